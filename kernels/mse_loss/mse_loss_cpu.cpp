#include "kernels/mse_loss/mse_loss.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const MseLossForward<T>& a) {
  using A = Accumulator<T>;
  reduce_rows<LongSum<A>>(
      a.size, 1,
      [&](Index begin, Index end, LongSum<A>* total) {
        *total = sum_of<A>(end - begin, [&](Index i) {
          const A d = load(a.x[begin + i]) - load(a.y[begin + i]);
          return d * d;
        });
      },
      [&](Index, LongSum<A> sum) { *a.loss = static_cast<A>(sum / static_cast<double>(a.size)); },
      4096);
}
POSETAPE_CPU_KERNEL(MseLossForward);

template <class T>
static void compute(const MseLossBackward<T>& a) {
  using A = Accumulator<T>;
  const A slope = A(2) * *a.dloss / static_cast<A>(a.size);
  parallel_rows(1, a.size, [&](Index, Index begin, Index end) {
    if (a.dx.wanted()) {
      for (Index i = begin; i < end; ++i) a.dx.put(i, slope * (load(a.x[i]) - load(a.y[i])));
    }
    if (a.dy.wanted()) {
      for (Index i = begin; i < end; ++i) a.dy.put(i, slope * (load(a.y[i]) - load(a.x[i])));
    }
  });
}
POSETAPE_CPU_KERNEL(MseLossBackward);

}  // namespace posetape
