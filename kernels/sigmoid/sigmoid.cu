#include "kernels/sigmoid/sigmoid.hpp"

#include "kernels/cuda/unary.hpp"
#include "kernels/sigmoid/sigmoid_function.hpp"

namespace posetape {

template <class T>
static void run(const SigmoidForward<T>& a) {
  unary_forward<Sigmoid, T>(a);
}
template <class T>
static void run(const SigmoidBackward<T>& a) {
  unary_backward<Sigmoid, T>(a);
}
POSETAPE_CUDA_KERNEL(SigmoidForward);
POSETAPE_CUDA_KERNEL(SigmoidBackward);

}  // namespace posetape
