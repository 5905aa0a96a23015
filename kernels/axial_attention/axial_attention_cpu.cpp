// One task is one sequence of tokens (the joints of a frame, or the frames of a joint) with all its
// heads: a token's channels are read and written in one go, since the tokens of a joint lie far
// apart. q, k and v are copied into padded buffers in the cache, head by head, and products run
// over blocks of four query rows, so that each vector loaded from k or v serves four rows.
#include "kernels/axial_attention/axial_attention.hpp"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "kernels/cpu/kernel.hpp"
#include "kernels/cpu/vector.hpp"

namespace posetape {

static constexpr Index kRows = 4;

// Vectors of one size for every instruction set, in as many registers as that takes.
static constexpr Index kBytes = 64;
template <class A>
using Wide = Vector<A, kBytes>;
template <class A>
static constexpr Index kWidth = kLanes<A, kBytes>;

static Index padded(Index n, Index to) {
  return (n + to - 1) / to * to;
}

// c[r][x] = sum_k a[r][k] b[k][x] for four rows; b has `width` columns, a multiple of the lanes.
template <class A>
static void four_rows_times(const A* a, Index a_stride, const A* b, Index k_count, Index width,
                            A* c, Index c_stride) {
  // `vectors` at a time: sums that do not wait for each other.
  const auto columns = [&](Index x, auto vectors) {
    Wide<A> sums[kRows][vectors] = {};
    for (Index k = 0; k < k_count; ++k) {
      for (Index v = 0; v < vectors; ++v) {
        const Wide<A> bk = read<Wide<A>>(b + k * width + x + v * kWidth<A>);
#pragma GCC unroll 4
        for (Index r = 0; r < kRows; ++r) sums[r][v] += a[r * a_stride + k] * bk;
      }
    }
#pragma GCC unroll 4
    for (Index r = 0; r < kRows; ++r) {
      for (Index v = 0; v < vectors; ++v) write(c + r * c_stride + x + v * kWidth<A>, sums[r][v]);
    }
  };
  Index x = 0;
  for (; x + 2 * kWidth<A> <= width; x += 2 * kWidth<A>) {
    columns(x, std::integral_constant<Index, 2>{});
  }
  if (x < width) columns(x, std::integral_constant<Index, 1>{});
}

// c[k][x] += sum_r a[r][k] b[r][x] over four rows r.
template <class A>
static void add_outer_products(const A* a, Index a_stride, const A* b, Index b_stride,
                               Index k_count, Index width, A* c) {
  for (Index x = 0; x < width; x += kWidth<A>) {
    const Wide<A> b0 = read<Wide<A>>(b + x);
    const Wide<A> b1 = read<Wide<A>>(b + b_stride + x);
    const Wide<A> b2 = read<Wide<A>>(b + 2 * b_stride + x);
    const Wide<A> b3 = read<Wide<A>>(b + 3 * b_stride + x);
    for (Index k = 0; k < k_count; ++k) {
      A* row = c + k * width + x;
      write(row, read<Wide<A>>(row) + a[k] * b0 + a[a_stride + k] * b1 + a[2 * a_stride + k] * b2 +
                     a[3 * a_stride + k] * b3);
    }
  }
}

// The greatest of x, whose length is a multiple of the lanes; lane by lane first, since a chain of
// comparisons waits for each.
template <class A>
static A greatest(const A* x, Index length) {
  A lanes[kWidth<A>];
  std::copy_n(x, kWidth<A>, lanes);
  for (Index i = kWidth<A>; i < length; i += kWidth<A>) {
    for (Index l = 0; l < kWidth<A>; ++l) lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
  }
#pragma GCC unroll 4
  for (Index half = kWidth<A> / 2; half > 0; half /= 2) {
    for (Index l = 0; l < half; ++l)
      lanes[l] = lanes[l + half] > lanes[l] ? lanes[l + half] : lanes[l];
  }
  return lanes[0];
}

// Where the tokens of one sequence and the channels of its segment are.
struct Place {
  Index first_token;
  Index token_step;
  Index length;
  Index channel;   // of the first head's first channel in [0, D)
  Index lse_slot;  // of the first head in [0, segments * heads)

  Index token(Index i) const { return first_token + i * token_step; }
};

// Calls f(place, thread_buffer) for every sequence.
template <class A, class F>
static void for_each_sequence(const AttentionShape& s, Index buffer_size, const F& f) {
  for (Index segment = 0; segment < s.segments(); ++segment) {
    const bool space = s.axis == Axis::space || (s.axis == Axis::cross && segment == 0);
    const Index sequences = space ? s.batch * s.frames : s.batch * s.joints;
    const Index slot = segment * s.heads;
    parallel_for(sequences, 1, [&](Index begin, Index end) {
      Scratch<A> buffer(buffer_size);
      for (Index q = begin; q < end; ++q) {
        const Place place = space ? Place{q * s.joints, 1, s.joints, slot * s.head_width(), slot}
                                  : Place{q / s.joints * s.frames * s.joints + q % s.joints,
                                          s.joints, s.frames, slot * s.head_width(), slot};
        f(place, buffer.data());
      }
    });
  }
}

// Sizes of one head's buffers: tokens and channels padded to whole vectors and blocks.
template <class A>
struct Padding {
  Index length;  // tokens, padded to lanes
  Index rows;    // tokens, padded to blocks of rows
  Index width;   // channels, padded to lanes
  Padding(Index tokens, Index channels)
      : length(padded(tokens, kWidth<A>)),
        rows(padded(tokens, kRows)),
        width(padded(channels, kWidth<A>)) {}
};

// out[h][i][c] = x[token i][offset + channel c of head h], zero beyond.
template <class A, class T>
static void gather(const T* x, Index stride, Index offset, const Place& p, Index heads,
                   Index channels, const Padding<A>& pad, A* out) {
  const Index block = pad.rows * pad.width;
  for (Index i = 0; i < p.length; ++i) {
    const T* row = x + p.token(i) * stride + offset + p.channel;
    for (Index h = 0; h < heads; ++h) {
      A* to = out + h * block + i * pad.width;
      if (channels == kWidth<A>) {  // the common width, whose loop needs no tail
        for (Index c = 0; c < kWidth<A>; ++c) to[c] = load(row[h * kWidth<A> + c]);
        continue;
      }
      for (Index c = 0; c < channels; ++c) to[c] = load(row[h * channels + c]);
      for (Index c = channels; c < pad.width; ++c) to[c] = A(0);
    }
  }
  for (Index h = 0; h < heads; ++h) {
    std::fill(out + h * block + p.length * pad.width, out + (h + 1) * block, A(0));
  }
}

// out[c][i] = x[i][c] for x [rows][width], into [channels][length], zero beyond the tokens.
template <class A>
static void transpose(const A* x, Index tokens, Index width, Index channels, Index length, A* out) {
  // Blocks of 4 x 4 where there are whole ones: a column at a time touches a line for each element.
  Index whole = 0;
  if constexpr (std::is_same_v<A, float>) {
    whole = channels % 4 == 0 ? tokens / 4 * 4 : 0;
    for (Index i = 0; i < whole; i += 4) {
      for (Index c = 0; c < channels; c += 4) {
        transpose_4x4(x + i * width + c, width, out + c * length + i, length);
      }
    }
  }
  for (Index c = 0; c < channels; ++c) {
    for (Index i = whole; i < tokens; ++i) out[c * length + i] = x[i * width + c];
    for (Index i = tokens; i < length; ++i) out[c * length + i] = A(0);
  }
}

template <class T>
static void run(const AxialAttentionForward<T>& a) {
  using A = Accumulator<T>;
  const AttentionShape& s = a.shape;
  const Index channels = s.head_width();
  const auto scale = static_cast<A>(s.scale);
  const Index lse_stride = s.segments() * s.heads;
  const Padding<A> most(std::max(s.frames, s.joints), channels);
  const Index buffer_size =
      4 * s.heads * most.rows * most.width + channels * most.length + kRows * most.length;
  for_each_sequence<A>(s, buffer_size, [&](const Place& p, A* buffer) {
    const Padding<A> pad(p.length, channels);
    const Index block = pad.rows * pad.width;
    A* all_q = buffer;
    A* all_k = all_q + s.heads * block;
    A* all_v = all_k + s.heads * block;
    A* all_results = all_v + s.heads * block;
    A* kt = all_results + s.heads * block;
    A* scores = kt + channels * pad.length;
    gather(a.qkv, 3 * s.width, 0, p, s.heads, channels, pad, all_q);
    gather(a.qkv, 3 * s.width, s.width, p, s.heads, channels, pad, all_k);
    gather(a.qkv, 3 * s.width, 2 * s.width, p, s.heads, channels, pad, all_v);
    for (Index h = 0; h < s.heads; ++h) {
      A* q = all_q + h * block;
      const A* v = all_v + h * block;
      A* result = all_results + h * block;
      for (Index i = 0; i < block; ++i) q[i] *= scale;
      transpose(all_k + h * block, p.length, pad.width, channels, pad.length, kt);
      for (Index i = 0; i < p.length; i += kRows) {
        four_rows_times(q + i * pad.width, pad.width, kt, channels, pad.length, scores, pad.length);
        const Index rows = std::min(kRows, p.length - i);
        for (Index r = 0; r < rows; ++r) {
          A* row = scores + r * pad.length;
          std::fill(row + p.length, row + pad.length, -std::numeric_limits<A>::infinity());
          const A top = greatest(row, pad.length);
          // A row without a finite score (or with a NaN) must not become 0/0 silently: exp of NaN
          // stays NaN and spreads.
          // With the padding, whose results nobody reads: whole vectors.
          for (Index j = 0; j < pad.length; ++j) row[j] = exp_(row[j] - top);
          A sum = 0;
#pragma omp simd reduction(+ : sum)
          for (Index j = 0; j < p.length; ++j) sum += row[j];
          const A inverse = A(1) / sum;
          for (Index j = 0; j < p.length; ++j) row[j] *= inverse;
          a.lse[p.token(i + r) * lse_stride + p.lse_slot + h] = top + log_(sum);
        }
        four_rows_times(scores, pad.length, v, p.length, pad.width, result + i * pad.width,
                        pad.width);
      }
    }
    for (Index i = 0; i < p.length; ++i) {
      const Index at = p.token(i) * s.width + p.channel;
      for (Index h = 0; h < s.heads; ++h) {
        const A* result = all_results + h * block + i * pad.width;
        T* out = a.out + at + h * channels;
        if (a.add != nullptr) {
          const T* added = a.add + at + h * channels;
          for (Index c = 0; c < channels; ++c) out[c] = store<T>(result[c] + load(added[c]));
        } else {
          for (Index c = 0; c < channels; ++c) out[c] = store<T>(result[c]);
        }
      }
    }
  });
}
POSETAPE_CPU_KERNEL(AxialAttentionForward);

template <class T>
static void run(const AxialAttentionBackward<T>& a) {
  using A = Accumulator<T>;
  const AttentionShape& s = a.shape;
  const Index channels = s.head_width();
  const auto scale = static_cast<A>(s.scale);
  const Index lse_stride = s.segments() * s.heads;
  const Padding<A> most(std::max(s.frames, s.joints), channels);
  const Index buffer_size =
      7 * s.heads * most.rows * most.width + 2 * channels * most.length + 2 * kRows * most.length;
  for_each_sequence<A>(s, buffer_size, [&](const Place& p, A* buffer) {
    const Padding<A> pad(p.length, channels);
    const Index block = pad.rows * pad.width;
    A* all_q = buffer;
    A* all_k = all_q + s.heads * block;
    A* all_v = all_k + s.heads * block;
    A* all_dout = all_v + s.heads * block;
    A* all_dq = all_dout + s.heads * block;
    A* all_dk = all_dq + s.heads * block;
    A* all_dv = all_dk + s.heads * block;
    A* kt = all_dv + s.heads * block;
    A* vt = kt + channels * pad.length;
    A* prob = vt + channels * pad.length;
    A* dscore = prob + kRows * pad.length;
    gather(a.qkv, 3 * s.width, 0, p, s.heads, channels, pad, all_q);
    gather(a.qkv, 3 * s.width, s.width, p, s.heads, channels, pad, all_k);
    gather(a.qkv, 3 * s.width, 2 * s.width, p, s.heads, channels, pad, all_v);
    gather(a.dout, s.width, 0, p, s.heads, channels, pad, all_dout);
    for (Index h = 0; h < s.heads; ++h) {
      A* q = all_q + h * block;
      const A* k = all_k + h * block;
      const A* dout = all_dout + h * block;
      A* dk = all_dk + h * block;
      A* dv = all_dv + h * block;
      for (Index i = 0; i < block; ++i) {
        q[i] *= scale;
        dk[i] = A(0);
        dv[i] = A(0);
      }
      transpose(k, p.length, pad.width, channels, pad.length, kt);
      transpose(all_v + h * block, p.length, pad.width, channels, pad.length, vt);
      for (Index i = 0; i < p.length; i += kRows) {
        const Index rows = std::min(kRows, p.length - i);
        four_rows_times(q + i * pad.width, pad.width, kt, channels, pad.length, prob, pad.length);
        four_rows_times(dout + i * pad.width, pad.width, vt, channels, pad.length, dscore,
                        pad.length);
        for (Index r = 0; r < kRows; ++r) {
          A* pr = prob + r * pad.length;
          A* ds = dscore + r * pad.length;
          if (r >= rows) {  // rows of padding add nothing to dk and dv
            for (Index j = 0; j < pad.length; ++j) pr[j] = ds[j] = A(0);
            continue;
          }
          const A lse = a.lse[p.token(i + r) * lse_stride + p.lse_slot + h];
          for (Index j = 0; j < pad.length; ++j) pr[j] = exp_(pr[j] - lse);
          A delta = 0;
#pragma omp simd reduction(+ : delta)
          for (Index j = 0; j < p.length; ++j) delta += pr[j] * ds[j];
          for (Index j = 0; j < p.length; ++j) ds[j] = pr[j] * (ds[j] - delta);
        }
        four_rows_times(dscore, pad.length, k, p.length, pad.width,
                        all_dq + h * block + i * pad.width, pad.width);
        // q already carries the scale.
        add_outer_products(dscore, pad.length, q + i * pad.width, pad.width, p.length, pad.width,
                           dk);
        add_outer_products(prob, pad.length, dout + i * pad.width, pad.width, p.length, pad.width,
                           dv);
      }
    }
    for (Index i = 0; i < p.length; ++i) {
      const Index at = p.token(i) * 3 * s.width + p.channel;
      for (Index h = 0; h < s.heads; ++h) {
        const Index from = h * block + i * pad.width;
        const Index to = at + h * channels;
        for (Index c = 0; c < channels; ++c) a.dqkv.put(to + c, all_dq[from + c] * scale);
        for (Index c = 0; c < channels; ++c) a.dqkv.put(to + s.width + c, all_dk[from + c]);
        for (Index c = 0; c < channels; ++c) a.dqkv.put(to + 2 * s.width + c, all_dv[from + c]);
      }
    }
  });
}
POSETAPE_CPU_KERNEL(AxialAttentionBackward);

}  // namespace posetape
