#include "kernels/relu/relu.hpp"

#include "kernels/cuda/unary.hpp"
#include "kernels/relu/relu_function.hpp"

namespace posetape {

template <class T>
static void run(const ReluForward<T>& a) {
  unary_forward<Relu, T>(a);
}
template <class T>
static void run(const ReluBackward<T>& a) {
  unary_backward<Relu, T>(a);
}
POSETAPE_CUDA_KERNEL(ReluForward);
POSETAPE_CUDA_KERNEL(ReluBackward);

}  // namespace posetape
