#include "kernels/cross_entropy/cross_entropy.hpp"

#include "kernels/cpu/rows.hpp"

namespace posetape {

template <class T>
static void compute(const CrossEntropyForward<T>& a) {
  using A = Accumulator<T>;
  reduce_rows<LongSum<A>>(
      a.rows, 1,
      [&](Index begin, Index end, LongSum<A>* total) {
        for (Index r = begin; r < end; ++r) {
          const T* x = a.x + r * a.width;
          const auto row = row_exponentials(x, a.width);
          a.row[2 * r] = row.most;
          a.row[2 * r + 1] = row.sum;
          *total += static_cast<LongSum<A>>(log_(row.sum) - (load(x[a.classes[r]]) - row.most));
        }
      },
      [&](Index, LongSum<A> sum) { *a.loss = static_cast<A>(sum / static_cast<double>(a.rows)); },
      rows_worth_a_thread(a.width));
}
POSETAPE_CPU_KERNEL(CrossEntropyForward);

template <class T>
static void compute(const CrossEntropyBackward<T>& a) {
  using A = Accumulator<T>;
  const A slope = *a.dloss / static_cast<A>(a.rows);
  parallel_for(a.rows, rows_worth_a_thread(a.width), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const T* x = a.x + r * a.width;
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
