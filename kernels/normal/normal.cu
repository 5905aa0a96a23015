#include "kernels/normal/normal.hpp"

#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/random_port.hpp"

namespace posetape {

template <class T>
static void compute(const NormalFill<T>& a) {
  cuda::for_each(normal_blocks(a), [a] __device__(Index at) {
    const NormalPlace place = normal_place(a, at);
    put_normals(
        a, place.first,
        cuda::random_words(a.seed, place.subsequence, static_cast<std::uint64_t>(place.block)));
  });
}
POSETAPE_CUDA_KERNEL(NormalFill);

}  // namespace posetape
