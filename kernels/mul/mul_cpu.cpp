#include "kernels/mul/mul.hpp"

#include "kernels/cpu/broadcast.hpp"

namespace posetape {

struct Mul {
  static constexpr bool kLinear = false;
  template <class A>
  static A value(A a, A b) {
    return a * b;
  }
  template <class A>
  static A da(A dy, A, A b) {
    return dy * b;
  }
  template <class A>
  static A db(A dy, A a, A) {
    return dy * a;
  }
};

template <class T>
static void run(const MulForward<T>& a) {
  binary_forward<Mul>(a);
}
template <class T>
static void run(const MulBackward<T>& a) {
  binary_backward<Mul>(a);
}
POSETAPE_CPU_KERNEL(MulForward);
POSETAPE_CPU_KERNEL(MulBackward);

}  // namespace posetape
