#include "kernels/log_softmax/log_softmax.hpp"

#include "kernels/cuda/rows.hpp"

namespace posetape {

template <class T, class Team>
static __global__ void __launch_bounds__(cuda::kThreads)
    log_softmax_forward(LogSoftmaxForward<T> a) {
  using A = Accumulator<T>;
  constexpr int n = Team::kPack;
  const Index row = Team::row();
  if (row >= a.rows) return;
  const T* x = a.x + row * a.width;
  T* y = a.y + row * a.width;
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
  const A log_sum = log_(Team::sum(sum));
  Team::each(a.width, [&](int i, Index c) {
    if constexpr (!Team::kHeld) cuda::load_pack<n>(x + c, held[i]);
#pragma unroll
    for (int e = 0; e < n; ++e) held[i][e] = held[i][e] - most - log_sum;
    cuda::store_pack<n>(y + c, held[i]);
  });
}

template <class T>
static void compute(const LogSoftmaxForward<T>& a) {
  const bool packs = cuda::packed<T>({a.x, a.y}, {a.width});
  cuda::with_row_team<T>(a.width, packs, [&](auto team) {
    using Team = decltype(team);
    POSETAPE_RUN((log_softmax_forward<T, Team>), cuda::blocks_for(a.rows, Team::kRows),
                 cuda::kThreads, 0, a);
  });
}
POSETAPE_CUDA_KERNEL(LogSoftmaxForward);

template <class T, class Team>
static __global__ void __launch_bounds__(cuda::kThreads)
    log_softmax_backward(LogSoftmaxBackward<T> a) {
  using A = Accumulator<T>;
  constexpr int n = Team::kPack;
  const Index row = Team::row();
  if (row >= a.rows) return;
  const T* y = a.y + row * a.width;
  const T* dy = a.dy + row * a.width;
  typename Team::template Values<A> held_dy;
  A sum = 0;
  Team::each(a.width, [&](int i, Index c) {
    cuda::load_pack<n>(dy + c, held_dy[i]);
#pragma unroll
    for (int e = 0; e < n; ++e) sum += held_dy[i][e];
  });
  sum = Team::sum(sum);
  T* dx = a.dx.data + row * a.width;
  Team::each(a.width, [&](int i, Index c) {
    if constexpr (!Team::kHeld) cuda::load_pack<n>(dy + c, held_dy[i]);
    A logs[n];
    cuda::load_pack<n>(y + c, logs);
    A value[n] = {};
    if (a.dx.into == Into::add) cuda::load_pack<n>(dx + c, value);
#pragma unroll
    for (int e = 0; e < n; ++e) value[e] += held_dy[i][e] - exp_(logs[e]) * sum;
    cuda::store_pack<n>(dx + c, value);
  });
}

template <class T>
static void compute(const LogSoftmaxBackward<T>& a) {
  const bool packs = cuda::packed<T>({a.y, a.dy, a.dx.data}, {a.width});
  cuda::with_row_team<T>(a.width, packs, [&](auto team) {
    using Team = decltype(team);
    POSETAPE_RUN((log_softmax_backward<T, Team>), cuda::blocks_for(a.rows, Team::kRows),
                 cuda::kThreads, 0, a);
  });
}
POSETAPE_CUDA_KERNEL(LogSoftmaxBackward);

}  // namespace posetape
