#include "kernels/sub/sub.hpp"

#include "kernels/cpu/broadcast.hpp"
#include "kernels/sub/sub_function.hpp"

namespace posetape {

template <class T>
static void run(const SubForward<T>& a) {
  binary_forward<Sub>(a);
}
template <class T>
static void run(const SubBackward<T>& a) {
  binary_backward<Sub>(a);
}
POSETAPE_CPU_KERNEL(SubForward);
POSETAPE_CPU_KERNEL(SubBackward);

}  // namespace posetape
