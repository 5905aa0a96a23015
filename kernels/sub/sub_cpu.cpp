#include "kernels/sub/sub.hpp"

#include "kernels/cpu/broadcast.hpp"

namespace posetape {

struct Sub {
  static constexpr bool kLinear = true;
  template <class A>
  static A value(A a, A b) {
    return a - b;
  }
  template <class A>
  static A da(A dy) {
    return dy;
  }
  template <class A>
  static A db(A dy) {
    return -dy;
  }
};

template <class T>
static void run(const SubForward<T>& a) {
  binary_forward<Sub>(a);
}
template <class T>
static void run(const SubBackward<T>& a) {
  binary_backward<Sub>(a);
}
POSETAPE_CPU_KERNEL(SubForward);
POSETAPE_CPU_KERNEL(SubBackward);

}  // namespace posetape
