// Loops over elements.
#pragma once

#include "kernels/cuda/kernel.hpp"

namespace posetape::cuda {

template <class F>
static __global__ void __launch_bounds__(kThreads) each_element(Index size, F f) {
  const Index i = Index{blockIdx.x} * kThreads + threadIdx.x;
  if (i < size) f(i);
}

// f(i) for every i below `size`, each once, in any order: f is a __device__ lambda that captures by
// value.
template <class F>
static void for_each(Index size, const F& f) {
  POSETAPE_RUN((each_element<F>), blocks_for(size, kThreads), kThreads, 0, size, f);
}

}  // namespace posetape::cuda
