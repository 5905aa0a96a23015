#include "kernels/exp/exp.hpp"

#include "kernels/cpu/unary.hpp"
#include "kernels/exp/exp_function.hpp"

namespace posetape {

template <class T>
static void run(const ExpForward<T>& a) {
  unary_forward<Exp>(a);
}
template <class T>
static void run(const ExpBackward<T>& a) {
  unary_backward<Exp>(a);
}
POSETAPE_CPU_KERNEL(ExpForward);
POSETAPE_CPU_KERNEL(ExpBackward);

}  // namespace posetape
