#include "kernels/exp/exp.hpp"

#include "kernels/cuda/unary.hpp"
#include "kernels/exp/exp_function.hpp"

namespace posetape {

template <class T>
static void run(const ExpForward<T>& a) {
  unary_forward<Exp, T>(a);
}
template <class T>
static void run(const ExpBackward<T>& a) {
  unary_backward<Exp, T>(a);
}
POSETAPE_CUDA_KERNEL(ExpForward);
POSETAPE_CUDA_KERNEL(ExpBackward);

}  // namespace posetape
