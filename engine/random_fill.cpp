#include "engine/random_fill.hpp"

#include <algorithm>
#include <array>

#include "engine/dispatch.hpp"
#include "kernels/cpu/parallel.hpp"

namespace posetape {

void fill_normal(const Tensor& out, std::uint64_t seed, Stream stream, std::uint64_t step) {
  const std::uint64_t sub = subsequence(stream, step);
  const Index size = out.size();
  dispatch_real(out, [&]<class T>(Cpu) {
    T* data = out.data<T>();
    parallel_for((size + 3) / 4, 64, [&](Index begin, Index end) {
      for (Index block = begin; block < end; ++block) {
        const PhiloxBlock words = philox4x32(seed, sub, static_cast<std::uint64_t>(block));
        const auto first = box_muller(words[0], words[1]);
        const auto second = box_muller(words[2], words[3]);
        const std::array<double, 4> values = {first[0], first[1], second[0], second[1]};
        const Index count = std::min<Index>(4, size - block * 4);
        for (Index i = 0; i < count; ++i) {
          data[block * 4 + i] =
              store<T>(static_cast<Accumulator<T>>(values[static_cast<std::size_t>(i)]));
        }
      }
    });
  });
}

}  // namespace posetape
