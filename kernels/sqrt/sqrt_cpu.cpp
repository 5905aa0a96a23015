#include "kernels/sqrt/sqrt.hpp"

#include "kernels/cpu/unary.hpp"

namespace posetape {

struct Sqrt {
  template <class A>
  static A value(A x) {
    return sqrt_(x);
  }
  template <class A>
  static A slope(A, A y) {
    return A(0.5) / y;
  }
};

template <class T>
static void run(const SqrtForward<T>& a) {
  unary_forward<Sqrt>(a);
}
template <class T>
static void run(const SqrtBackward<T>& a) {
  unary_backward<Sqrt>(a);
}
POSETAPE_CPU_KERNEL(SqrtForward);
POSETAPE_CPU_KERNEL(SqrtBackward);

}  // namespace posetape
