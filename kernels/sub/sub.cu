#include "kernels/sub/sub.hpp"

#include "kernels/cuda/broadcast.hpp"
#include "kernels/sub/sub_function.hpp"

namespace posetape {

template <class T>
static void run(const SubForward<T>& a) {
  binary_forward<Sub, T>(a);
}
template <class T>
static void run(const SubBackward<T>& a) {
  binary_backward<Sub, T>(a);
}
POSETAPE_CUDA_KERNEL(SubForward);
POSETAPE_CUDA_KERNEL(SubBackward);

}  // namespace posetape
