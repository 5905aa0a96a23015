#include "kernels/gather/gather.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const GatherForward<T>& a) {
  parallel_rows(a.count, a.width, [&](Index r, Index begin, Index end) {
    const T* row = a.table + a.index[r] * a.width;
    T* y = a.y + r * a.width;
    for (Index i = begin; i < end; ++i) y[i] = row[i];
  });
}
POSETAPE_CPU_KERNEL(GatherForward);

// The uses are sorted by row first, in order within a row, so that each row's sum is one thread's
// and is added up in the same order whoever does it.
template <class T>
static void compute(const GatherBackward<T>& a) {
  using A = Accumulator<T>;
  Scratch<Index> begins(a.rows + 1);  // uses of row v: begins[v] ... begins[v + 1] - 1 of `uses`
  Scratch<Index> uses(a.count);
  for (Index v = 0; v <= a.rows; ++v) begins[v] = 0;
  for (Index i = 0; i < a.count; ++i) ++begins[a.index[i] + 1];
  for (Index v = 0; v < a.rows; ++v) begins[v + 1] += begins[v];
  for (Index i = 0; i < a.count; ++i) uses[begins[a.index[i]]++] = i;
  for (Index v = a.rows; v > 0; --v) begins[v] = begins[v - 1];
  begins[0] = 0;

  const auto row = [&](Index v) {
    reduce_rows<A>(
        begins[v + 1] - begins[v], a.width,
        [&](Index begin, Index end, A* sums) {
          for (Index u = begins[v] + begin; u < begins[v] + end; ++u) {
            const T* dy = a.dy + uses[u] * a.width;
            for (Index i = 0; i < a.width; ++i) sums[i] += load(dy[i]);
          }
        },
        [&](Index i, A sum) { a.dtable.put(v * a.width + i, sum); });
  };
  // A small table of many uses is parallel inside each row's sum, all others across rows; the order
  // of additions is the same in both.
  if (a.rows < 16 && a.count > 16 * kChunkRows) {
    for (Index v = 0; v < a.rows; ++v) row(v);
    return;
  }
  parallel_for(a.rows, 16, [&](Index begin, Index end) {
    for (Index v = begin; v < end; ++v) row(v);
  });
}
POSETAPE_CPU_KERNEL(GatherBackward);

}  // namespace posetape
