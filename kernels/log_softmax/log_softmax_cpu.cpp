#include "kernels/log_softmax/log_softmax.hpp"

#include "kernels/cpu/rows.hpp"

namespace posetape {

template <class T>
static void compute(const LogSoftmaxForward<T>& a) {
  using A = Accumulator<T>;
  parallel_for(a.rows, rows_worth_a_thread(a.width), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const T* x = a.x + r * a.width;
      T* y = a.y + r * a.width;
      const auto row = row_exponentials(x, a.width);
      const A log_sum = log_(row.sum);
      for (Index i = 0; i < a.width; ++i) y[i] = store<T>(load(x[i]) - row.most - log_sum);
    }
  });
}
POSETAPE_CPU_KERNEL(LogSoftmaxForward);

template <class T>
static void compute(const LogSoftmaxBackward<T>& a) {
  using A = Accumulator<T>;
  parallel_for(a.rows, rows_worth_a_thread(a.width), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const T* y = a.y + r * a.width;
      const T* dy = a.dy + r * a.width;
      const A sum = static_cast<A>(sum_of<A>(a.width, [&](Index i) { return load(dy[i]); }));
      for (Index i = 0; i < a.width; ++i) {
        a.dx.put(r * a.width + i, load(dy[i]) - exp_(load(y[i])) * sum);
      }
    }
  });
}
POSETAPE_CPU_KERNEL(LogSoftmaxBackward);

}  // namespace posetape
