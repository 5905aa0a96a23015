#include "kernels/add/add.hpp"

#include "kernels/add/add_function.hpp"
#include "kernels/cuda/broadcast.hpp"

namespace posetape {

template <class T>
static void run(const AddForward<T>& a) {
  binary_forward<Add, T>(a);
}
template <class T>
static void run(const AddBackward<T>& a) {
  binary_backward<Add, T>(a);
}
POSETAPE_CUDA_KERNEL(AddForward);
POSETAPE_CUDA_KERNEL(AddBackward);

}  // namespace posetape
