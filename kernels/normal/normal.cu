#include "kernels/normal/normal.hpp"

#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/random_port.hpp"

namespace posetape {

template <class T>
static void compute(const NormalFill<T>& a) {
  using A = Accumulator<T>;
  cuda::for_each((a.size + 3) / 4, [a] __device__(Index block) {
    const std::uint64_t sub =
        a.subsequence + (a.step != nullptr ? static_cast<std::uint64_t>(*a.step) : 0);
    const PhiloxBlock words = cuda::random_words(a.seed, sub, static_cast<std::uint64_t>(block));
#pragma unroll
    for (int word = 0; word < 4; word += 2) {
      const Index i = block * 4 + word;
      if (i >= a.size) return;
      const auto pair = box_muller(words[word], words[word + 1]);
      a.x[i] = store<T>(static_cast<A>(pair[0]));
      if (i + 1 < a.size) a.x[i + 1] = store<T>(static_cast<A>(pair[1]));
    }
  });
}
POSETAPE_CUDA_KERNEL(NormalFill);

}  // namespace posetape
