#include "kernels/tanh/tanh.hpp"

#include "kernels/cuda/unary.hpp"
#include "kernels/tanh/tanh_function.hpp"

namespace posetape {

template <class T>
static void run(const TanhForward<T>& a) {
  unary_forward<Tanh, T>(a);
}
template <class T>
static void run(const TanhBackward<T>& a) {
  unary_backward<Tanh, T>(a);
}
POSETAPE_CUDA_KERNEL(TanhForward);
POSETAPE_CUDA_KERNEL(TanhBackward);

}  // namespace posetape
