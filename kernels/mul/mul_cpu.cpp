#include "kernels/mul/mul.hpp"

#include "kernels/cpu/broadcast.hpp"
#include "kernels/mul/mul_function.hpp"

namespace posetape {

template <class T>
static void run(const MulForward<T>& a) {
  binary_forward<Mul>(a);
}
template <class T>
static void run(const MulBackward<T>& a) {
  binary_backward<Mul>(a);
}
POSETAPE_CPU_KERNEL(MulForward);
POSETAPE_CPU_KERNEL(MulBackward);

}  // namespace posetape
