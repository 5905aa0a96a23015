// Philox words in device code: cuRAND's generator under nvcc, and this project's own with
// POSETAPE_CUDA_EMULATED. They are the same, which tests/cuda/curand_test.cpp shows.
#pragma once

#include <cstdint>

#include "kernels/base/philox.hpp"

#ifndef POSETAPE_CUDA_EMULATED
#include <curand_kernel.h>
#endif

namespace posetape::cuda {

// philox4x32(seed, subsequence, block).
#ifdef POSETAPE_CUDA_EMULATED
inline PhiloxBlock random_words(std::uint64_t seed, std::uint64_t subsequence,
                                std::uint64_t block) {
  return philox4x32(seed, subsequence, block);
}
#else
// QUALIFIERS is cuRAND's own word for where its functions run.
QUALIFIERS PhiloxBlock random_words(std::uint64_t seed, std::uint64_t subsequence,
                                    std::uint64_t block) {
  curandStatePhilox4_32_10_t state;
  curand_init(seed, subsequence, 4 * block, &state);  // the offset counts words
  const uint4 words = curand4(&state);
  return {words.x, words.y, words.z, words.w};
}
#endif

}  // namespace posetape::cuda
