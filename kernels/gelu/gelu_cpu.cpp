#include "kernels/gelu/gelu.hpp"

#include "kernels/activation.hpp"
#include "kernels/cpu/unary.hpp"

namespace posetape {

template <class T>
static void run(const GeluForward<T>& a) {
  unary_forward<Gelu>(a);
}
template <class T>
static void run(const GeluBackward<T>& a) {
  unary_backward<Gelu>(a);
}
POSETAPE_CPU_KERNEL(GeluForward);
POSETAPE_CPU_KERNEL(GeluBackward);

}  // namespace posetape
