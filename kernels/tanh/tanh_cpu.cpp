#include "kernels/tanh/tanh.hpp"

#include "kernels/cpu/unary.hpp"
#include "kernels/tanh/tanh_function.hpp"

namespace posetape {

template <class T>
static void run(const TanhForward<T>& a) {
  unary_forward<Tanh>(a);
}
template <class T>
static void run(const TanhBackward<T>& a) {
  unary_backward<Tanh>(a);
}
POSETAPE_CPU_KERNEL(TanhForward);
POSETAPE_CPU_KERNEL(TanhBackward);

}  // namespace posetape
