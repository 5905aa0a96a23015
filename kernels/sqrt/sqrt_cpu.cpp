#include "kernels/sqrt/sqrt.hpp"

#include "kernels/cpu/unary.hpp"
#include "kernels/sqrt/sqrt_function.hpp"

namespace posetape {

template <class T>
static void run(const SqrtForward<T>& a) {
  unary_forward<Sqrt>(a);
}
template <class T>
static void run(const SqrtBackward<T>& a) {
  unary_backward<Sqrt>(a);
}
POSETAPE_CPU_KERNEL(SqrtForward);
POSETAPE_CPU_KERNEL(SqrtBackward);

}  // namespace posetape
