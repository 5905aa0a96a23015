#include "kernels/silu/silu.hpp"

#include "kernels/activation.hpp"
#include "kernels/cpu/unary.hpp"

namespace posetape {

template <class T>
static void run(const SiluForward<T>& a) {
  unary_forward<Silu>(a);
}
template <class T>
static void run(const SiluBackward<T>& a) {
  unary_backward<Silu>(a);
}
POSETAPE_CPU_KERNEL(SiluForward);
POSETAPE_CPU_KERNEL(SiluBackward);

}  // namespace posetape
