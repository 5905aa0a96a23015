#include "kernels/relu/relu.hpp"

#include "kernels/cpu/unary.hpp"

namespace posetape {

struct Relu {
  template <class A>
  static A value(A x) {
    return x < A(0) ? A(0) : x;  // a NaN stays a NaN
  }
  template <class A>
  static A slope(A x, A) {
    return x > A(0) ? A(1) : A(0);
  }
};

template <class T>
static void run(const ReluForward<T>& a) {
  unary_forward<Relu>(a);
}
template <class T>
static void run(const ReluBackward<T>& a) {
  unary_backward<Relu>(a);
}
POSETAPE_CPU_KERNEL(ReluForward);
POSETAPE_CPU_KERNEL(ReluBackward);

}  // namespace posetape
