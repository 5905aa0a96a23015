#include "kernels/tanh/tanh.hpp"

#include "kernels/cpu/unary.hpp"

namespace posetape {

struct Tanh {
  template <class A>
  static A value(A x) {
    return tanh_(x);
  }
  template <class A>
  static A slope(A, A y) {
    return (A(1) - y) * (A(1) + y);
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
