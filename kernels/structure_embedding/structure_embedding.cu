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
static __global__ void __launch_bounds__(kChannels)
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
static void run(const StructureEmbeddingForward<T>& a) {
  POSETAPE_RUN(structure_embedding_forward<T>, rows_by_channels(a.batch * a.frames, a.width),
               kChannels, 0, a);
}
POSETAPE_CUDA_KERNEL(StructureEmbeddingForward);

// What reads v at (n, j) is the same neighbourhood with the taps in reverse.
template <class T>
static __global__ void __launch_bounds__(kChannels)
    structure_embedding_values(StructureEmbeddingBackward<T> a) {
  using A = Accumulator<T>;
  const Index c = Index{blockIdx.y} * kChannels + threadIdx.x;
  if (c >= a.width) return;
  const Index row = blockIdx.x;
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

// A chunk of rows' sums of d v for the nine taps, partial[chunk][tap][channel].
template <class T>
static __global__ void __launch_bounds__(kChannels)
    structure_embedding_weight(StructureEmbeddingBackward<T> a, Index rows, Index chunk,
                               Accumulator<T>* partial) {
  using A = Accumulator<T>;
  const Index c = Index{blockIdx.y} * kChannels + threadIdx.x;
  if (c >= a.width) return;
  const Index begin = Index{blockIdx.x} * chunk;
  const Index end = begin + chunk < rows ? begin + chunk : rows;
  const ChannelGrid<T> values{a.qkv + 2 * a.width, 3 * a.width, a.frames, a.joints};
  A sums[kTaps];
  for (int t = 0; t < kTaps; ++t) sums[t] = A(0);
  for (Index row = begin; row < end; ++row) {
    along_joints(values, row, c, [&](Index j, const TapWindow<A>& w, bool left, bool right) {
      const A d = load(a.dout[(row * a.joints + j) * a.width + c]);
      for (int t = 0; t < kTaps; ++t) {
        if (inside(w, t, left, right)) sums[t] += d * w.value[t];
      }
    });
  }
  for (int t = 0; t < kTaps; ++t) {
    partial[(Index{blockIdx.x} * kTaps + t) * a.width + c] = sums[t];
  }
}

template <class T>
static void weight_backward(const StructureEmbeddingBackward<T>& a) {
  using A = Accumulator<T>;
  const Index rows = a.batch * a.frames;
  const Index chunk = cuda::chunk_size(rows, 8);
  const Index chunks = rows > 0 ? (rows + chunk - 1) / chunk : 0;
  const cuda::Scratch<A> partial(chunks * kTaps * a.width);
  POSETAPE_RUN(structure_embedding_weight<T>, rows_by_channels(chunks, a.width), kChannels, 0, a,
               rows, chunk, partial.data());
  const auto finish = [dweight = a.dweight, width = a.width] __device__(Index i, A sum) {
    dweight.put(i % width * kTaps + i / width, sum);
  };
  POSETAPE_RUN((cuda::add_chunks<A, decltype(finish)>),
               cuda::blocks_for(kTaps * a.width, cuda::kThreads), cuda::kThreads, 0, partial.data(),
               chunks, kTaps * a.width, finish);
}

// Bias and table need no more than each joint's and channel's sum over the rows.
template <class T>
static void sums_backward(const StructureEmbeddingBackward<T>& a) {
  using A = Accumulator<T>;
  const Index cells = a.joints * a.width;
  const cuda::Scratch<A> sums(cells);
  cuda::sum_columns<A>(
      a.batch * a.frames, cells,
      [dout = a.dout, cells] __device__(Index row, Index i) { return load(dout[row * cells + i]); },
      [sums = sums.data()] __device__(Index i, A sum) { sums[i] = sum; });
  if (a.dbias.wanted()) {
    cuda::for_each(a.width, [a, sums = sums.data()] __device__(Index c) {
      A sum = 0;
      for (Index j = 0; j < a.joints; ++j) sum += sums[j * a.width + c];
      a.dbias.put(c, sum);
    });
  }
  if (a.dtable.wanted()) {
    cuda::for_each(a.parts * a.table_width, [a, sums = sums.data()] __device__(Index i) {
      const Index p = i / a.table_width;
      A sum = 0;
      for (Index j = 0; j < a.joints; ++j) {
        if (a.part[j] != p) continue;
        for (Index c = i % a.table_width; c < a.width / 2; c += a.table_width) {
          sum += sums[j * a.width + c];
        }
      }
      a.dtable.put(i, static_cast<A>(a.scale) * sum);
    });
  }
}

template <class T>
static void run(const StructureEmbeddingBackward<T>& a) {
  if (a.dqkv.wanted()) {
    POSETAPE_RUN(structure_embedding_values<T>, rows_by_channels(a.batch * a.frames, a.width),
                 kChannels, 0, a);
  }
  if (a.dweight.wanted()) weight_backward(a);
  if (a.dbias.wanted() || a.dtable.wanted()) sums_backward(a);
}
POSETAPE_CUDA_KERNEL(StructureEmbeddingBackward);

}  // namespace posetape
