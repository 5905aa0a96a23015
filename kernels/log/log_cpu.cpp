#include "kernels/log/log.hpp"

#include "kernels/cpu/unary.hpp"

namespace posetape {

struct Log {
  template <class A>
  static A value(A x) {
    return log_(x);
  }
  template <class A>
  static A slope(A x, A) {
    return A(1) / x;
  }
};

template <class T>
static void run(const LogForward<T>& a) {
  unary_forward<Log>(a);
}
template <class T>
static void run(const LogBackward<T>& a) {
  unary_backward<Log>(a);
}
POSETAPE_CPU_KERNEL(LogForward);
POSETAPE_CPU_KERNEL(LogBackward);

}  // namespace posetape
