#include "kernels/add/add.hpp"

#include "kernels/cpu/broadcast.hpp"

namespace posetape {

struct Add {
  static constexpr bool kLinear = true;
  template <class A>
  static A value(A a, A b) {
    return a + b;
  }
  template <class A>
  static A da(A dy) {
    return dy;
  }
  template <class A>
  static A db(A dy) {
    return dy;
  }
};

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
