// A thread owns a channel of one row of joints and walks along them with the 3 x 3 neighbourhood in
// registers, so that each value is loaded by three frames' threads and not nine times. Neighbouring
// threads have neighbouring channels, which lie together in memory.
#include "kernels/structure_embedding/cuda_structure.hpp"

namespace posetape {

static constexpr int kChannels = 128;  // of a block

template <class T>
static __global__ void __launch_bounds__(kChannels, 1)
    structure_embedding_forward(StructureEmbeddingForward<T> a) {
  using A = Accumulator<T>;
  const Index c = Index{blockIdx.y} * kChannels + threadIdx.x;
  if (c >= a.width) return;
  const Index row = blockIdx.x;
  A weight[kTaps];
  for (int t = 0; t < kTaps; ++t) weight[t] = load(a.weight[c * kTaps + t]);
  const A bias = load(a.bias[c]);
  const bool embedded = is_embedded(a, c);
  along_joints(values_of(a), row, c, [&](Index j, const TapWindow<A>& w, bool left, bool right) {
    A value = bias;
    if (embedded) value += part_embedding(a, j, c);
    value += correlate(w, weight, left, right);
    a.out[(row * a.joints + j) * a.width + c] = store<T>(value);
  });
}

static dim3 rows_by_channels(Index rows, Index width) {
  return dim3(static_cast<unsigned>(rows), cuda::blocks_for(width, kChannels));
}

template <class T>
static void compute(const StructureEmbeddingForward<T>& a) {
  POSETAPE_RUN(structure_embedding_forward<T>, rows_by_channels(a.batch * a.frames, a.width),
               kChannels, 0, a);
}
POSETAPE_CUDA_KERNEL(StructureEmbeddingForward);

// dv of channel c of one row: what reads v at (n, j) is the same neighbourhood with the taps in
// reverse.
template <class T>
__device__ inline void values_backward(const StructureEmbeddingBackward<T>& a, Index row, Index c) {
  using A = Accumulator<T>;
  A weight[kTaps];
  for (int t = 0; t < kTaps; ++t) weight[t] = load(a.weight[c * kTaps + kTaps - 1 - t]);
  along_joints(cotangents_of(a), row, c,
               [&](Index j, const TapWindow<A>& w, bool left, bool right) {
                 const Index at = (row * a.joints + j) * 3 * a.width + c;
                 if (a.dqkv.into == Into::write) {
                   a.dqkv.data[at] = T(0);
                   a.dqkv.data[at + a.width] = T(0);
                 }
                 a.dqkv.put(at + 2 * a.width, correlate(w, weight, left, right));
               });
}

// The first blocks take the parameters' sums, the others a row of values each.
template <class T>
static __global__ void __launch_bounds__(kChannels, 1)
    structure_embedding_backward(StructureEmbeddingBackward<T> a, ParameterSums<Accumulator<T>> s) {
  const Index block = blockIdx.x;
  if (block < s.blocks()) return parameters_backward(a, s, block);
  const Index rest = block - s.blocks();
  const Index c = rest % s.channel_blocks * kChannels + threadIdx.x;
  if (c < a.width) values_backward(a, rest / s.channel_blocks, c);
}

template <class T>
static void compute(const StructureEmbeddingBackward<T>& a) {
  auto s = parameter_sums(a, kChannels);
  const cuda::Scratch<Accumulator<T>> partial(s.chunks * kSums * a.width);
  s.partial = partial.data();
  const Index parts = a.dtable.wanted() ? a.parts : 0;
  for (; s.first_part == 0 || s.first_part < parts; s.first_part += kParts) {
    const Index rows = a.dqkv.wanted() && s.first_part == 0 ? s.rows : 0;
    s.counters = cuda::take_counters(static_cast<unsigned>(s.channel_blocks + 1));
    const Index blocks = s.blocks() + rows * s.channel_blocks;
    POSETAPE_RUN(structure_embedding_backward<T>, static_cast<unsigned>(blocks), kChannels, 0, a,
                 s);
  }
}
POSETAPE_CUDA_KERNEL(StructureEmbeddingBackward);

}  // namespace posetape
