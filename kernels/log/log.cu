#include "kernels/log/log.hpp"

#include "kernels/cuda/unary.hpp"
#include "kernels/log/log_function.hpp"

namespace posetape {

template <class T>
static void run(const LogForward<T>& a) {
  unary_forward<Log, T>(a);
}
template <class T>
static void run(const LogBackward<T>& a) {
  unary_backward<Log, T>(a);
}
POSETAPE_CUDA_KERNEL(LogForward);
POSETAPE_CUDA_KERNEL(LogBackward);

}  // namespace posetape
