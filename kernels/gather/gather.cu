#include "kernels/gather/gather.hpp"

#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/reduce.hpp"

namespace posetape {

// The host cannot look at indices that lie on the device: one that is out of range gives NaN.
template <class T>
static void compute(const GatherForward<T>& a) {
  cuda::for_each(a.count * a.width, [a] __device__(Index i) {
    const Index row = a.index[i / a.width];
    const bool inside = row >= 0 && row < a.rows;
    a.y[i] = inside ? a.table[row * a.width + i % a.width] : store<T>(Accumulator<T>(NAN));
  });
}
POSETAPE_CUDA_KERNEL(GatherForward);

// Each element of the table goes through all indices, in chunks: rows x count reads of an index
// that neighbours share, for tables of some hundred rows.
template <class T>
static void compute(const GatherBackward<T>& a) {
  using A = Accumulator<T>;
  cuda::sum_columns<A>(
      a.count, a.rows * a.width,
      [index = a.index, dy = a.dy, width = a.width] __device__(Index k, Index i) {
        return index[k] == i / width ? load(dy[k * width + i % width]) : A(0);
      },
      [dtable = a.dtable] __device__(Index i, A sum) { dtable.put(i, sum); });
}
POSETAPE_CUDA_KERNEL(GatherBackward);

}  // namespace posetape
