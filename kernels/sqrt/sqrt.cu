#include "kernels/sqrt/sqrt.hpp"

#include "kernels/cuda/unary.hpp"
#include "kernels/sqrt/sqrt_function.hpp"

namespace posetape {

template <class T>
static void run(const SqrtForward<T>& a) {
  unary_forward<Sqrt, T>(a);
}
template <class T>
static void run(const SqrtBackward<T>& a) {
  unary_backward<Sqrt, T>(a);
}
POSETAPE_CUDA_KERNEL(SqrtForward);
POSETAPE_CUDA_KERNEL(SqrtBackward);

}  // namespace posetape
