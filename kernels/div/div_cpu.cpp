#include "kernels/div/div.hpp"

#include "kernels/cpu/broadcast.hpp"

namespace posetape {

struct Div {
  static constexpr bool kLinear = false;
  template <class A>
  static A value(A a, A b) {
    return a / b;
  }
  template <class A>
  static A da(A dy, A, A b) {
    return dy / b;
  }
  // b twice in a quotient, as b * b may overflow where the result does not.
  template <class A>
  static A db(A dy, A a, A b) {
    return -dy * (a / b) / b;
  }
};

template <class T>
static void run(const DivForward<T>& a) {
  binary_forward<Div>(a);
}
template <class T>
static void run(const DivBackward<T>& a) {
  binary_backward<Div>(a);
}
POSETAPE_CPU_KERNEL(DivForward);
POSETAPE_CPU_KERNEL(DivBackward);

}  // namespace posetape
