#include "kernels/cross_entropy/cross_entropy.hpp"

#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/rows.hpp"

namespace posetape {

// The host cannot look at classes that lie on the device: one that is out of range gives NaN.
template <class T, class Team>
static __global__ void __launch_bounds__(cuda::kThreads)
    cross_entropy_rows(CrossEntropyForward<T> a, Accumulator<T>* losses) {
  using A = Accumulator<T>;
  constexpr int n = Team::kPack;
  const Index row = Team::row();
  if (row >= a.rows) return;
  const T* x = a.x + row * a.width;
  typename Team::template Values<A> held;
  A most = -HUGE_VAL;
  Team::each(a.width, [&](int i, Index c) {
    cuda::load_pack<n>(x + c, held[i]);
#pragma unroll
    for (int e = 0; e < n; ++e) most = held[i][e] > most ? held[i][e] : most;
  });
  most = Team::max(most);
  A sum = 0;
  Team::each(a.width, [&](int i, Index c) {
    if constexpr (!Team::kHeld) cuda::load_pack<n>(x + c, held[i]);
#pragma unroll
    for (int e = 0; e < n; ++e) sum += exp_(held[i][e] - most);
  });
  sum = Team::sum(sum);
  if (Team::lane() != 0) return;
  const Index wanted = a.classes[row];
  const bool inside = wanted >= 0 && wanted < a.width;
  a.row[2 * row] = inside ? most : A(NAN);
  a.row[2 * row + 1] = sum;
  const A other = wanted == a.ignored ? A(0) : A(NAN);
  losses[row] = inside && wanted != a.ignored ? log_(sum) - (load(x[wanted]) - most) : other;
}

template <class T>
static void compute(const CrossEntropyForward<T>& a) {
  using A = Accumulator<T>;
  const cuda::Scratch<A> losses(a.rows);
  const bool packs = cuda::packed<T>({a.x}, {a.width});
  cuda::with_row_team<T>(a.width, packs, [&](auto team) {
    using Team = decltype(team);
    POSETAPE_RUN((cross_entropy_rows<T, Team>), cuda::blocks_for(a.rows, Team::kRows),
                 cuda::kThreads, 0, a, losses.data());
  });
  cuda::sum_rows<A>(
      1, a.rows, [a] __device__(Index, Index r) { return a.classes[r] == a.ignored ? A(0) : A(1); },
      [counted = a.counted] __device__(Index, A sum) { *counted = sum; });
  cuda::sum_rows<A>(
      1, a.rows, [all = losses.data()] __device__(Index, Index r) { return all[r]; },
      [loss = a.loss, counted = a.counted] __device__(Index, A sum) { *loss = sum / *counted; });
}
POSETAPE_CUDA_KERNEL(CrossEntropyForward);

template <class T>
static void compute(const CrossEntropyBackward<T>& a) {
  using A = Accumulator<T>;
  cuda::for_each(a.rows * a.width, [a] __device__(Index i) {
    const Index row = i / a.width;
    if (a.classes[row] == a.ignored) return a.dx.put(i, A(0));
    const A one = i % a.width == a.classes[row] ? A(1) : A(0);
    const A part = exp_(load(a.x[i]) - a.row[2 * row]) / a.row[2 * row + 1];
    a.dx.put(i, *a.dloss / *a.counted * (part - one));
  });
}
POSETAPE_CUDA_KERNEL(CrossEntropyBackward);

}  // namespace posetape
