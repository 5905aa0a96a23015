// Functions of one tensor's elements, several a thread: loads and stores are as wide as they get,
// which narrow types need to be as fast as the memory.
#pragma once

#include <cstdint>

#include "kernels/cuda/elementwise.hpp"

namespace posetape::cuda {

template <class T, int size>
struct alignas(size * sizeof(T)) Pack {
  T of[size];
};
template <class T>
inline constexpr int kPack = 16 / sizeof(T);

template <int size, class T, class F>
static __global__ void __launch_bounds__(kThreads) map_packs(Index packs, const T* x, T* y, F f) {
  const Index i = Index{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= packs) return;
  auto pack = load_vector<Pack<T, size>>(x + i * size);
#pragma unroll
  for (int k = 0; k < size; ++k) pack.of[k] = f(pack.of[k]);
  store_vector(y + i * size, pack);
}

// y[i] = f(x[i]) for every i below `size`; y may be x.
template <class T, class F>
static void map(Index size, const T* x, T* y, const F& f) {
  const auto aligned = [](const T* data) {
    return reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
  };
  const Index packs = aligned(x) && aligned(y) ? size / kPack<T> : 0;
  const Index rest = size - packs * kPack<T>;
  POSETAPE_RUN((map_packs<kPack<T>, T, F>), blocks_for(packs, kThreads), kThreads, 0, packs, x, y,
               f);
  POSETAPE_RUN((map_packs<1, T, F>), blocks_for(rest, kThreads), kThreads, 0, rest,
               x + (size - rest), y + (size - rest), f);
}

}  // namespace posetape::cuda
