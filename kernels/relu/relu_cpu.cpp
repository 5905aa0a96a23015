#include "kernels/relu/relu.hpp"

#include "kernels/cpu/unary.hpp"
#include "kernels/relu/relu_function.hpp"

namespace posetape {

template <class T>
static void run(const ReluForward<T>& a) {
  unary_forward<Relu>(a);
}
template <class T>
static void run(const ReluBackward<T>& a) {
  unary_backward<Relu>(a);
}
POSETAPE_CPU_KERNEL(ReluForward);
POSETAPE_CPU_KERNEL(ReluBackward);

}  // namespace posetape
