#include "kernels/log/log.hpp"

#include "kernels/cpu/unary.hpp"
#include "kernels/log/log_function.hpp"

namespace posetape {

template <class T>
static void run(const LogForward<T>& a) {
  unary_forward<Log>(a);
}
template <class T>
static void run(const LogBackward<T>& a) {
  unary_backward<Log>(a);
}
POSETAPE_CPU_KERNEL(LogForward);
POSETAPE_CPU_KERNEL(LogBackward);

}  // namespace posetape
