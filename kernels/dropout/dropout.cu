#include "kernels/dropout/dropout.hpp"

#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/random_port.hpp"

namespace posetape {

template <class T>
static void compute(const Dropout<T>& a) {
  using A = Accumulator<T>;
  cuda::for_each((a.size + 3) / 4, [a] __device__(Index block) {
    const std::uint64_t sub =
        a.subsequence + (a.step != nullptr ? static_cast<std::uint64_t>(*a.step) : 0);
    const PhiloxBlock words = cuda::random_words(a.seed, sub, static_cast<std::uint64_t>(block));
#pragma unroll
    for (int word = 0; word < 4; ++word) {
      const Index i = block * 4 + word;
      if (i >= a.size) return;
      const bool keep = words[word] >= a.threshold;
      a.y.put(i, keep ? load(a.x[i]) * static_cast<A>(a.scale) : A(0));
    }
  });
}
POSETAPE_CUDA_KERNEL(Dropout);

}  // namespace posetape
