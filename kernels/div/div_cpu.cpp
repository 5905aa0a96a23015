#include "kernels/div/div.hpp"

#include "kernels/cpu/broadcast.hpp"
#include "kernels/div/div_function.hpp"

namespace posetape {

template <class T>
static void run(const DivForward<T>& a) {
  binary_forward<Div>(a);
}
template <class T>
static void run(const DivBackward<T>& a) {
  binary_backward<Div>(a);
}
POSETAPE_CPU_KERNEL(DivForward);
POSETAPE_CPU_KERNEL(DivBackward);

}  // namespace posetape
