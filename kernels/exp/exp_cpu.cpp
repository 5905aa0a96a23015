#include "kernels/exp/exp.hpp"

#include "kernels/cpu/unary.hpp"

namespace posetape {

struct Exp {
  template <class A>
  static A value(A x) {
    return exp_(x);
  }
  template <class A>
  static A slope(A, A y) {
    return y;
  }
};

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
