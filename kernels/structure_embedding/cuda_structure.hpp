// The structure embedding on a GPU, for its own kernels and for attention's, which compute it
// beside their own work: a channel along the joints of a row, or a pack of channels of one token.
#pragma once

#include "kernels/cuda/pack.hpp"
#include "kernels/cuda/reduce.hpp"
#include "kernels/structure_embedding/structure_embedding.hpp"

namespace posetape {

// window[3 t + s] is the value at frame n + t - 1 and joint j + s - 1. Neighbours outside of the
// grid are marked, not zero, so that a weight that is not finite stays where it is.
template <class A>
struct TapWindow {
  A value[kTaps];
  bool frame[3];  // whether frame n + t - 1 exists
};

template <class T, class A>
__device__ inline void load_column(const Grid<T>& g, Index row, Index channel, Index joint, int s,
                                   TapWindow<A>& w) {
  for (int t = 0; t < 3; ++t) {
    if (!w.frame[t] || joint >= g.joints) continue;
    w.value[3 * t + s] = load(g.data[((row + t - 1) * g.joints + joint) * g.step + channel]);
  }
}

// Calls f(joint, window, has_left, has_right) for each joint of row b N + n.
template <class T, class F>
__device__ inline void along_joints(const Grid<T>& g, Index row, Index channel, const F& f) {
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

// sum[e] += what `correlate` gives around a token in channel c + e, with the taps in reverse or
// not.
template <bool reversed, int n, class T>
__device__ inline void correlate_pack(const Grid<T>& g, const T* weight, Index token, Index c,
                                      Accumulator<T> (&sum)[n]) {
  const Index joint = token % g.joints;
  const Index frame = token / g.joints % g.frames;
#pragma unroll 1
  for (int tap = 0; tap < kTaps; ++tap) {
    const Index frames = tap / 3 - 1, joints = tap % 3 - 1;
    if (frame + frames < 0 || frame + frames >= g.frames) continue;
    if (joint + joints < 0 || joint + joints >= g.joints) continue;
    Accumulator<T> x[n];
    cuda::load_pack<n>(g.data + (token + frames * g.joints + joints) * g.step + c, x);
    const int of = reversed ? kTaps - 1 - tap : tap;
#pragma unroll
    for (int e = 0; e < n; ++e) sum[e] += load(weight[(c + e) * kTaps + of]) * x[e];
  }
}

// Of a joint, on the first half of the channels. The host cannot look at parts that lie on the
// device: one out of range gives NaN.
template <class T>
__device__ inline Accumulator<T> part_embedding(const StructureEmbeddingForward<T>& a, Index joint,
                                                Index c) {
  using A = Accumulator<T>;
  const Index p = a.part[joint];
  const bool known = p >= 0 && p < a.parts;
  return known ? static_cast<A>(a.scale) * load(a.table[p * a.table_width + c % a.table_width])
               : A(NAN);
}

template <class T>
__device__ inline bool is_embedded(const StructureEmbeddingForward<T>& a, Index c) {
  return a.table != nullptr && c < a.width / 2;
}

// out[e] is what the forward pass gives at channel c + e of a token, as it is in memory.
template <int n, class T>
__device__ inline void structure_embedding_at(const StructureEmbeddingForward<T>& a, Index token,
                                              Index c, Accumulator<T> (&out)[n]) {
  Accumulator<T> sum[n] = {};
  correlate_pack<false>(values_of(a), a.weight, token, c, sum);
#pragma unroll
  for (int e = 0; e < n; ++e) {
    Accumulator<T> value = load(a.bias[c + e]);
    if (is_embedded(a, c + e)) value += part_embedding(a, token % a.joints, c + e);
    value += sum[e];
    out[e] = load(store<T>(value));
  }
}

// dv[e], of channel c + e of a token, gets what the backward pass adds to it, as if it had been in
// memory before.
template <int n, class T>
__device__ inline void add_values_gradient(const StructureEmbeddingBackward<T>& a, Index token,
                                           Index c, Accumulator<T> (&dv)[n]) {
  Accumulator<T> sum[n] = {};
  correlate_pack<true>(cotangents_of(a), a.weight, token, c, sum);
#pragma unroll
  for (int e = 0; e < n; ++e) dv[e] = load(store<T>(dv[e])) + sum[e];
}

// What a channel's parameters get: nine taps, the bias, and the sum of d over each body part's
// joints, of which kParts are taken at a time.
static constexpr int kParts = 6;
static constexpr int kSums = kTaps + 1 + kParts;

// How the rows are cut for the parameters: chunk k is the rows from k `chunk` on. A block takes a
// chunk, and as many channels as it has threads.
template <class A>
struct ParameterSums {
  Index rows, chunk, chunks;
  Index first_part;      // of this launch
  Index channel_blocks;  // of each chunk
  A* partial;            // [chunk][sum][channel]
  unsigned* counters;    // one for each block of channels, and one for all

  POSETAPE_FUNCTION Index blocks() const { return chunks * channel_blocks; }
};

// Without counters, which each launch takes. No chunks where no parameter wants a gradient.
template <class T>
ParameterSums<Accumulator<T>> parameter_sums(const StructureEmbeddingBackward<T>& a, int threads) {
  ParameterSums<Accumulator<T>> s{};
  s.rows = a.batch * a.frames;
  s.chunk = cuda::chunk_size(s.rows, 8);
  const bool wanted = a.dweight.wanted() || a.dbias.wanted() || a.dtable.wanted();
  s.chunks = wanted ? cuda::chunks_of(s.rows, s.chunk) : 0;
  s.channel_blocks = cuda::blocks_for(a.width, threads);
  return s;
}

// Channel c's sums over one chunk, into sums[kSums].
template <class T>
__device__ inline void add_up(const StructureEmbeddingBackward<T>& a,
                              const ParameterSums<Accumulator<T>>& s, Index number, Index c,
                              Accumulator<T>* sums) {
  using A = Accumulator<T>;
  const Index begin = number * s.chunk;
  const Index end = begin + s.chunk < s.rows ? begin + s.chunk : s.rows;
  const Grid<T> values = values_of(a);
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

// Block `number` of s.blocks(). The last block of some channels adds up their chunks, and the last
// of all those the table's, which need all channels.
template <class T>
__device__ inline void parameters_backward(const StructureEmbeddingBackward<T>& a,
                                           const ParameterSums<Accumulator<T>>& s, Index number) {
  using A = Accumulator<T>;
  const Index chunk = number % s.chunks;
  const Index channels = number / s.chunks;
  const Index c = channels * blockDim.x + threadIdx.x;
  if (c < a.width) {
    A sums[kSums];
#pragma unroll
    for (int i = 0; i < kSums; ++i) sums[i] = A(0);
    add_up(a, s, chunk, c, sums);
#pragma unroll
    for (int i = 0; i < kSums; ++i) s.partial[(chunk * kSums + i) * a.width + c] = sums[i];
  }
  const auto total = [&](Index sum, Index channel) {
    A value = 0;
    for (Index k = 0; k < s.chunks; ++k) value += s.partial[(k * kSums + sum) * a.width + channel];
    return value;
  };
  const auto chunks = static_cast<unsigned>(s.chunks);
  if (s.first_part == 0 && cuda::comes_last(s.counters + channels, chunks) && c < a.width) {
    for (Index t = 0; t < kTaps && a.dweight.wanted(); ++t) {
      a.dweight.put(c * kTaps + t, total(t, c));
    }
    if (a.dbias.wanted()) a.dbias.put(c, total(kTaps, c));
  }
  if (!a.dtable.wanted()) return;
  const auto all = static_cast<unsigned>(s.blocks());
  if (!cuda::comes_last(s.counters + s.channel_blocks, all)) return;
  for (Index i = threadIdx.x; i < kParts * a.table_width; i += blockDim.x) {
    const Index p = i / a.table_width;
    if (s.first_part + p >= a.parts) break;
    A sum = 0;
    for (Index k = i % a.table_width; k < a.width / 2; k += a.table_width) {
      sum += total(kTaps + 1 + p, k);
    }
    a.dtable.put(s.first_part * a.table_width + i, static_cast<A>(a.scale) * sum);
  }
}

}  // namespace posetape
