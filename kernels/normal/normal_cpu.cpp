#include "kernels/normal/normal.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const NormalFill<T>& a) {
  parallel_for(normal_blocks(a), 64, [&](Index begin, Index end) {
    for (Index at = begin; at < end; ++at) {
      const NormalPlace place = normal_place(a, at);
      put_normals(a, place.first,
                  philox4x32(a.seed, place.subsequence, static_cast<std::uint64_t>(place.block)));
    }
  });
}
POSETAPE_CPU_KERNEL(NormalFill);

}  // namespace posetape
