#include "kernels/gelu/gelu.hpp"

#include "kernels/activation.hpp"
#include "kernels/cuda/unary.hpp"

namespace posetape {

template <class T>
static void run(const GeluForward<T>& a) {
  unary_forward<Gelu, T>(a);
}
template <class T>
static void run(const GeluBackward<T>& a) {
  unary_backward<Gelu, T>(a);
}
POSETAPE_CUDA_KERNEL(GeluForward);
POSETAPE_CUDA_KERNEL(GeluBackward);

}  // namespace posetape
