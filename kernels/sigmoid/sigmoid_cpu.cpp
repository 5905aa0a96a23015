#include "kernels/sigmoid/sigmoid.hpp"

#include "kernels/cpu/unary.hpp"

namespace posetape {

struct Sigmoid {
  template <class A>
  static A value(A x) {
    return sigmoid_(x);
  }
  template <class A>
  static A slope(A x, A) {
    return sigmoid_(x) * sigmoid_(-x);  // of y alone, 1 - y would have lost its digits near 1
  }
};

template <class T>
static void run(const SigmoidForward<T>& a) {
  unary_forward<Sigmoid>(a);
}
template <class T>
static void run(const SigmoidBackward<T>& a) {
  unary_backward<Sigmoid>(a);
}
POSETAPE_CPU_KERNEL(SigmoidForward);
POSETAPE_CPU_KERNEL(SigmoidBackward);

}  // namespace posetape
