// Functions of one or two tensors' elements, several a thread: loads and stores are as wide as they
// get, which narrow types need to be as fast as the memory.
#pragma once

#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/pack.hpp"

namespace posetape::cuda {

template <int size, class T, class F>
static __global__ void __launch_bounds__(kThreads) map_packs(Index packs, const T* x, T* y, F f) {
  const Index i = Index{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= packs) return;
  auto pack = load_vector<Pack<T, size>>(x + i * size);
#pragma unroll
  for (int k = 0; k < size; ++k) pack.of[k] = f(pack.of[k]);
  store_vector(y + i * size, pack);
}

template <int size, class T, class F>
static __global__ void __launch_bounds__(kThreads)
    map_two_packs(Index packs, const T* a, const T* b, T* y, F f) {
  const Index i = Index{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= packs) return;
  auto pack = load_vector<Pack<T, size>>(a + i * size);
  const auto other = load_vector<Pack<T, size>>(b + i * size);
#pragma unroll
  for (int k = 0; k < size; ++k) pack.of[k] = f(pack.of[k], other.of[k]);
  store_vector(y + i * size, pack);
}

// How many whole packs there are; none where an array is not aligned for them.
template <class T, class... P>
Index packs_in(Index size, const P*... data) {
  const bool aligned = ((reinterpret_cast<std::uintptr_t>(data) % 16 == 0) && ...);
  return aligned ? size / kPack<T> : 0;
}

// y[i] = f(x[i]) for every i below `size`; y may be x.
template <class T, class F>
static void map(Index size, const T* x, T* y, const F& f) {
  const Index packs = packs_in<T>(size, x, y);
  const Index done = packs * kPack<T>;
  POSETAPE_RUN((map_packs<kPack<T>, T, F>), blocks_for(packs, kThreads), kThreads, 0, packs, x, y,
               f);
  POSETAPE_RUN((map_packs<1, T, F>), blocks_for(size - done, kThreads), kThreads, 0, size - done,
               x + done, y + done, f);
}

// y[i] = f(a[i], b[i]); y may be one of them.
template <class T, class F>
static void map(Index size, const T* a, const T* b, T* y, const F& f) {
  const Index packs = packs_in<T>(size, a, b, y);
  const Index done = packs * kPack<T>;
  POSETAPE_RUN((map_two_packs<kPack<T>, T, F>), blocks_for(packs, kThreads), kThreads, 0, packs, a,
               b, y, f);
  POSETAPE_RUN((map_two_packs<1, T, F>), blocks_for(size - done, kThreads), kThreads, 0,
               size - done, a + done, b + done, y + done, f);
}

}  // namespace posetape::cuda
