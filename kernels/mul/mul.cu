#include "kernels/mul/mul.hpp"

#include "kernels/cuda/broadcast.hpp"
#include "kernels/mul/mul_function.hpp"

namespace posetape {

template <class T>
static void run(const MulForward<T>& a) {
  binary_forward<Mul, T>(a);
}
template <class T>
static void run(const MulBackward<T>& a) {
  binary_backward<Mul, T>(a);
}
POSETAPE_CUDA_KERNEL(MulForward);
POSETAPE_CUDA_KERNEL(MulBackward);

}  // namespace posetape
