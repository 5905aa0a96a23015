#include "kernels/silu/silu.hpp"

#include "kernels/activation.hpp"
#include "kernels/cuda/unary.hpp"

namespace posetape {

template <class T>
static void run(const SiluForward<T>& a) {
  unary_forward<Silu, T>(a);
}
template <class T>
static void run(const SiluBackward<T>& a) {
  unary_backward<Silu, T>(a);
}
POSETAPE_CUDA_KERNEL(SiluForward);
POSETAPE_CUDA_KERNEL(SiluBackward);

}  // namespace posetape
