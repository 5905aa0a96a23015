#include "kernels/dropout/dropout.hpp"

#include "kernels/base/philox.hpp"
#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const Dropout<T>& a) {
  using A = Accumulator<T>;
  const std::uint64_t sub =
      a.subsequence + (a.step != nullptr ? static_cast<std::uint64_t>(*a.step) : 0);
  const A scale = static_cast<A>(a.scale);
  parallel_for((a.size + 3) / 4, 256, [&](Index begin, Index end) {
    for (Index block = begin; block < end; ++block) {
      const PhiloxBlock words = philox4x32(a.seed, sub, static_cast<std::uint64_t>(block));
      for (Index i = block * 4; i < std::min(a.size, block * 4 + 4); ++i) {
        const bool keep = words[static_cast<std::size_t>(i % 4)] >= a.threshold;
        a.y.put(i, keep ? load(a.x[i]) * scale : A(0));
      }
    }
  });
}
POSETAPE_CPU_KERNEL(Dropout);

}  // namespace posetape
