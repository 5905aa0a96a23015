// cuRAND's device code for the host, so that it runs without a GPU.
#define QUALIFIERS static __forceinline__ __host__ __device__
#include "kernels/cuda/random_port.hpp"

namespace posetape::test {

PhiloxBlock curand_words(std::uint64_t seed, std::uint64_t subsequence, std::uint64_t block) {
  return cuda::random_words(seed, subsequence, block);
}

}  // namespace posetape::test
