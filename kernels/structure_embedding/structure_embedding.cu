// A thread owns a channel of one row of joints and walks along them with the 3 x 3 neighbourhood in
// registers, so that each value is loaded by three frames' threads and not nine times. Neighbouring
// threads have neighbouring channels, which lie together in memory.
#include "kernels/structure_embedding/structure_embedding.hpp"

#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/reduce.hpp"

namespace posetape {

static constexpr int kChannels = 128;  // of a block
static constexpr int kTaps = 9;

// Vectors of channels on the grid of frames and joints; `step` elements from one joint to the next.
template <class T>
struct ChannelGrid {
  const T* data;
  Index step;
  Index frames;
  Index joints;
};

// window[3 t + s] is the value at frame n + t - 1 and joint j + s - 1. Neighbours outside of the
// grid are marked, not zero, so that a weight that is not finite stays where it is.
template <class A>
struct TapWindow {
  A value[kTaps];
  bool frame[3];  // whether frame n + t - 1 exists
};

template <class T, class A>
__device__ inline void load_column(const ChannelGrid<T>& g, Index row, Index channel, Index joint,
                                   int s, TapWindow<A>& w) {
  for (int t = 0; t < 3; ++t) {
    if (!w.frame[t] || joint >= g.joints) continue;
    w.value[3 * t + s] = load(g.data[((row + t - 1) * g.joints + joint) * g.step + channel]);
  }
}

// Calls f(joint, window, has_left, has_right) for each joint of row b N + n.
template <class T, class F>
__device__ inline void along_joints(const ChannelGrid<T>& g, Index row, Index channel, const F& f) {
  using A = Accumulator<T>;
  const Index n = row % g.frames;
  TapWindow<A> w;
  for (int i = 0; i < kTaps; ++i) w.value[i] = A(0);
  w.frame[0] = n > 0;
  w.frame[1] = true;
  w.frame[2] = n + 1 < g.frames;
  load_column(g, row, channel, 0, 1, w);
  for (Index j = 0; j < g.joints; ++j) {
    load_column(g, row, channel, j + 1, 2, w);
    f(j, w, j > 0, j + 1 < g.joints);
    for (int t = 0; t < 3; ++t) {
      w.value[3 * t] = w.value[3 * t + 1];
      w.value[3 * t + 1] = w.value[3 * t + 2];
    }
  }
}

template <class A>
__device__ inline bool inside(const TapWindow<A>& w, int tap, bool left, bool right) {
  const int s = tap % 3;
  return w.frame[tap / 3] && (s == 1 || (s == 0 ? left : right));
}

// The correlation of one channel's window with its weights.
template <class A>
__device__ inline A correlate(const TapWindow<A>& w, const A* weight, bool left, bool right) {
  A sum = 0;
  for (int tap = 0; tap < kTaps; ++tap) {
    if (inside(w, tap, left, right)) sum += weight[tap] * w.value[tap];
  }
  return sum;
}

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
  const bool embedded = a.table != nullptr && c < a.width / 2;
  const ChannelGrid<T> values{a.qkv + 2 * a.width, 3 * a.width, a.frames, a.joints};
  along_joints(values, row, c, [&](Index j, const TapWindow<A>& w, bool left, bool right) {
    A value = bias;
    if (embedded) {
      // The host cannot look at parts that lie on the device: one out of range gives NaN.
      const Index p = a.part[j];
      const bool known = p >= 0 && p < a.parts;
      value += known
                   ? static_cast<A>(a.scale) * load(a.table[p * a.table_width + c % a.table_width])
                   : A(NAN);
    }
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
  const ChannelGrid<T> cotangents{a.dout, a.width, a.frames, a.joints};
  along_joints(cotangents, row, c, [&](Index j, const TapWindow<A>& w, bool left, bool right) {
    const Index at = (row * a.joints + j) * 3 * a.width + c;
    if (a.dqkv.into == Into::write) {
      a.dqkv.data[at] = T(0);
      a.dqkv.data[at + a.width] = T(0);
    }
    a.dqkv.put(at + 2 * a.width, correlate(w, weight, left, right));
  });
}

// What a channel's parameters get: nine taps, the bias, and the sum of d over each body part's
// joints, of which kParts are taken at a time.
static constexpr int kParts = 6;
static constexpr int kSums = kTaps + 1 + kParts;

// How the rows are cut for the parameters: chunk k is the rows from k `chunk` on.
struct ParameterSums {
  Index rows, chunk, chunks;
  Index first_part;    // of this launch
  unsigned* counters;  // one for each block of channels, and one for all
};

// Channel c's sums over one chunk, into sums[kSums].
template <class T>
__device__ inline void add_up(const StructureEmbeddingBackward<T>& a, const ParameterSums& s,
                              Index number, Index c, Accumulator<T>* sums) {
  using A = Accumulator<T>;
  const Index begin = number * s.chunk;
  const Index end = begin + s.chunk < s.rows ? begin + s.chunk : s.rows;
  const ChannelGrid<T> values{a.qkv + 2 * a.width, 3 * a.width, a.frames, a.joints};
  for (Index row = begin; row < end; ++row) {
    along_joints(values, row, c, [&](Index j, const TapWindow<A>& w, bool left, bool right) {
      const A d = load(a.dout[(row * a.joints + j) * a.width + c]);
      const Index part = a.part != nullptr ? a.part[j] - s.first_part : -1;
#pragma unroll
      for (int t = 0; t < kTaps; ++t) {
        if (inside(w, t, left, right)) sums[t] += d * w.value[t];
      }
      sums[kTaps] += d;
#pragma unroll
      for (int p = 0; p < kParts; ++p) sums[kTaps + 1 + p] += part == p ? d : A(0);
    });
  }
}

// The first blocks take the chunks of the parameters' sums, partial[chunk][sum][channel], the
// others a row of values each. The last block of some channels adds up their chunks, and the last
// of all those the table's, which need all channels.
template <class T>
static __global__ void __launch_bounds__(kChannels, 1)
    structure_embedding_backward(StructureEmbeddingBackward<T> a, ParameterSums s,
                                 Accumulator<T>* partial) {
  using A = Accumulator<T>;
  const Index c = Index{blockIdx.y} * kChannels + threadIdx.x;
  if (blockIdx.x >= s.chunks) {
    if (c < a.width) values_backward(a, blockIdx.x - s.chunks, c);
    return;
  }
  if (c < a.width) {
    A sums[kSums];
#pragma unroll
    for (int i = 0; i < kSums; ++i) sums[i] = A(0);
    add_up(a, s, blockIdx.x, c, sums);
#pragma unroll
    for (int i = 0; i < kSums; ++i) {
      partial[(Index{blockIdx.x} * kSums + i) * a.width + c] = sums[i];
    }
  }
  const auto total = [&](Index sum, Index channel) {
    A value = 0;
    for (Index k = 0; k < s.chunks; ++k) value += partial[(k * kSums + sum) * a.width + channel];
    return value;
  };
  const auto blocks = static_cast<unsigned>(s.chunks);
  if (s.first_part == 0 && cuda::comes_last(s.counters + blockIdx.y, blocks) && c < a.width) {
    for (Index t = 0; t < kTaps && a.dweight.wanted(); ++t)
      a.dweight.put(c * kTaps + t, total(t, c));
    if (a.dbias.wanted()) a.dbias.put(c, total(kTaps, c));
  }
  if (!a.dtable.wanted() || !cuda::comes_last(s.counters + gridDim.y, blocks * gridDim.y)) return;
  for (Index i = threadIdx.x; i < kParts * a.table_width; i += kChannels) {
    const Index p = i / a.table_width;
    if (s.first_part + p >= a.parts) break;
    A sum = 0;
    for (Index k = i % a.table_width; k < a.width / 2; k += a.table_width) {
      sum += total(kTaps + 1 + p, k);
    }
    a.dtable.put(s.first_part * a.table_width + i, static_cast<A>(a.scale) * sum);
  }
}

template <class T>
static void compute(const StructureEmbeddingBackward<T>& a) {
  const bool parameters = a.dweight.wanted() || a.dbias.wanted() || a.dtable.wanted();
  ParameterSums s{};
  s.rows = a.batch * a.frames;
  s.chunk = cuda::chunk_size(s.rows, 8);
  s.chunks = parameters ? cuda::chunks_of(s.rows, s.chunk) : 0;
  const cuda::Scratch<Accumulator<T>> partial(s.chunks * kSums * a.width);
  const Index parts = a.dtable.wanted() ? a.parts : 0;
  for (; s.first_part == 0 || s.first_part < parts; s.first_part += kParts) {
    const Index values = a.dqkv.wanted() && s.first_part == 0 ? s.rows : 0;
    const dim3 grid = rows_by_channels(s.chunks + values, a.width);
    s.counters = cuda::take_counters(grid.y + 1);
    POSETAPE_RUN(structure_embedding_backward<T>, grid, kChannels, 0, a, s, partial.data());
  }
}
POSETAPE_CUDA_KERNEL(StructureEmbeddingBackward);

}  // namespace posetape
