#include "kernels/div/div.hpp"

#include "kernels/cuda/broadcast.hpp"
#include "kernels/div/div_function.hpp"

namespace posetape {

template <class T>
static void run(const DivForward<T>& a) {
  binary_forward<Div, T>(a);
}
template <class T>
static void run(const DivBackward<T>& a) {
  binary_backward<Div, T>(a);
}
POSETAPE_CUDA_KERNEL(DivForward);
POSETAPE_CUDA_KERNEL(DivBackward);

}  // namespace posetape
