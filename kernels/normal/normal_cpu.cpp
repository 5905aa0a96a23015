#include "kernels/normal/normal.hpp"

#include "kernels/base/philox.hpp"
#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const NormalFill<T>& a) {
  using A = Accumulator<T>;
  const std::uint64_t sub =
      a.subsequence + (a.step != nullptr ? static_cast<std::uint64_t>(*a.step) : 0);
  parallel_for((a.size + 3) / 4, 64, [&](Index begin, Index end) {
    for (Index block = begin; block < end; ++block) {
      const PhiloxBlock words = philox4x32(a.seed, sub, static_cast<std::uint64_t>(block));
      for (Index i = block * 4; i < std::min(a.size, block * 4 + 4); i += 2) {
        const std::size_t word = i % 4 == 0 ? 0 : 2;
        const auto pair = box_muller(words[word], words[word + 1]);
        a.x[i] = store<T>(static_cast<A>(pair[0]));
        if (i + 1 < a.size) a.x[i + 1] = store<T>(static_cast<A>(pair[1]));
      }
    }
  });
}
POSETAPE_CPU_KERNEL(NormalFill);

}  // namespace posetape
