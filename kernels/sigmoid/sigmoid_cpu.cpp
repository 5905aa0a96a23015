#include "kernels/sigmoid/sigmoid.hpp"

#include "kernels/cpu/unary.hpp"
#include "kernels/sigmoid/sigmoid_function.hpp"

namespace posetape {

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
