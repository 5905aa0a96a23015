#include "kernels/add/add.hpp"

#include "kernels/add/add_function.hpp"
#include "kernels/cpu/broadcast.hpp"

namespace posetape {

template <class T>
static void run(const AddForward<T>& a) {
  binary_forward<Add>(a);
}
template <class T>
static void run(const AddBackward<T>& a) {
  binary_backward<Add>(a);
}
POSETAPE_CPU_KERNEL(AddForward);
POSETAPE_CPU_KERNEL(AddBackward);

}  // namespace posetape
