// Several neighbouring elements in one access, of at most 16 bytes.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "kernels/cuda/kernel.hpp"

namespace posetape::cuda {

template <class T, int size>
struct alignas(size * sizeof(T)) Pack {
  T of[size];
};
template <class T>
inline constexpr int kPack = 16 / sizeof(T);

// Whether packs are aligned that begin at these addresses (null ones pass), some multiples of these
// steps further.
template <class T>
bool packed(std::initializer_list<const void*> rows, std::initializer_list<Index> steps) {
  bool all = true;
  for (const void* row : rows) all = all && reinterpret_cast<std::uintptr_t>(row) % 16 == 0;
  for (const Index step : steps) all = all && step % kPack<T> == 0;
  return all;
}

// n neighbouring elements, aligned to all their bytes.
template <int n, class T>
__device__ inline void load_pack(const T* from, Accumulator<T> (&to)[n]) {
  const auto pack = load_vector<Pack<T, n>>(from);
#pragma unroll
  for (int i = 0; i < n; ++i) to[i] = load(pack.of[i]);
}
template <int n, class T>
__device__ inline void store_pack(T* to, const Accumulator<T> (&from)[n]) {
  Pack<T, n> pack;
#pragma unroll
  for (int i = 0; i < n; ++i) pack.of[i] = store<T>(from[i]);
  store_vector(to, pack);
}

// As put() of each.
template <int n, class T>
__device__ inline void put_pack(const GradientOut<T>& to, Index first,
                                Accumulator<T> (&values)[n]) {
  if (to.into == Into::add) {
    Accumulator<T> before[n];
    load_pack<n>(to.data + first, before);
#pragma unroll
    for (int i = 0; i < n; ++i) values[i] += before[i];
  }
  store_pack<n>(to.data + first, values);
}

}  // namespace posetape::cuda
