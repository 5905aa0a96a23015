#include "kernels/cross_entropy/cross_entropy.hpp"

#include "kernels/cpu/rows.hpp"

namespace posetape {

template <class T>
static void compute(const CrossEntropyForward<T>& a) {
  using A = Accumulator<T>;
  LongSum<A> totals[2];  // of the loss, and of ones
  reduce_rows<LongSum<A>>(
      a.rows, 2,
      [&](Index begin, Index end, LongSum<A>* total) {
        for (Index r = begin; r < end; ++r) {
          if (a.classes[r] == a.ignored) continue;
          const T* x = a.x + r * a.width;
          const auto row = row_exponentials(x, a.width);
          a.row[2 * r] = row.most;
          a.row[2 * r + 1] = row.sum;
          total[0] += static_cast<LongSum<A>>(log_(row.sum) - (load(x[a.classes[r]]) - row.most));
          total[1] += LongSum<A>(1);
        }
      },
      [&](Index i, LongSum<A> sum) { totals[i] = sum; }, rows_worth_a_thread(a.width));
  *a.counted = static_cast<A>(totals[1]);
  *a.loss = static_cast<A>(totals[0] / totals[1]);
}
POSETAPE_CPU_KERNEL(CrossEntropyForward);

template <class T>
static void compute(const CrossEntropyBackward<T>& a) {
  using A = Accumulator<T>;
  const A slope = *a.dloss / *a.counted;
  parallel_for(a.rows, rows_worth_a_thread(a.width), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const T* x = a.x + r * a.width;
      if (a.classes[r] == a.ignored) {
        for (Index c = 0; c < a.width; ++c) a.dx.put(r * a.width + c, A(0));
        continue;
      }
      const A most = a.row[2 * r];
      const A scale = A(1) / a.row[2 * r + 1];
      const Index wanted = a.classes[r];
      for (Index c = 0; c < a.width; ++c) {
        const A one = c == wanted ? A(1) : A(0);
        a.dx.put(r * a.width + c, slope * (exp_(load(x[c]) - most) * scale - one));
      }
    }
  });
}
POSETAPE_CPU_KERNEL(CrossEntropyBackward);

}  // namespace posetape
