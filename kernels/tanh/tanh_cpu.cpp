#include "kernels/tanh/tanh.hpp"

#include "kernels/cpu/unary.hpp"

namespace posetape {

struct Tanh {
  template <class A>
  static A value(A x) {
    return tanh_(x);
  }
  template <class A>
  static A slope(A x, A) {
    // 1 - tanh^2(x), which has lost its digits where y is near 1.
    return A(4) * sigmoid_(A(2) * x) * sigmoid_(A(-2) * x);
  }
};

template <class T>
static void run(const TanhForward<T>& a) {
  unary_forward<Tanh>(a);
}
template <class T>
static void run(const TanhBackward<T>& a) {
  unary_backward<Tanh>(a);
}
POSETAPE_CPU_KERNEL(TanhForward);
POSETAPE_CPU_KERNEL(TanhBackward);

}  // namespace posetape
