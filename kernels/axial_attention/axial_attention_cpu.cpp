// One task is one sequence of tokens (the joints of a frame, or the frames of a joint) with all its
// heads. A head's q, k, v are copied into small padded buffers in the cache, and products run over
// blocks of four query rows, so that each vector loaded from k or v serves four rows.
#include "kernels/axial_attention/axial_attention.hpp"

#include <limits>

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
  for (Index x = 0; x < width; x += kWidth<A>) {
    Wide<A> c0{}, c1{}, c2{}, c3{};
    for (Index k = 0; k < k_count; ++k) {
      const Wide<A> bk = read<Wide<A>>(b + k * width + x);
      c0 += a[k] * bk;
      c1 += a[a_stride + k] * bk;
      c2 += a[2 * a_stride + k] * bk;
      c3 += a[3 * a_stride + k] * bk;
    }
    write(c + x, c0);
    write(c + c_stride + x, c1);
    write(c + 2 * c_stride + x, c2);
    write(c + 3 * c_stride + x, c3);
  }
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

// Where the tokens of one sequence and the channels of one head are.
struct Place {
  Index first_token;
  Index token_step;
  Index length;
  Index channel;   // of the head's first channel in [0, D)
  Index lse_slot;  // of the head in [0, segments * heads)
};

// Calls f(place, thread_buffer) for every sequence and head.
template <class A, class F>
static void for_each_head(const AttentionShape& s, Index buffer_size, const F& f) {
  for (Index segment = 0; segment < s.segments(); ++segment) {
    const bool space = s.axis == Axis::space || (s.axis == Axis::cross && segment == 0);
    const Index sequences = space ? s.batch * s.frames : s.batch * s.joints;
    parallel_for(sequences, 1, [&](Index begin, Index end) {
      Scratch<A> buffer(buffer_size);
      for (Index q = begin; q < end; ++q) {
        Place place{};
        if (space) {
          place = {q * s.joints, 1, s.joints, 0, 0};
        } else {
          place = {q / s.joints * s.frames * s.joints + q % s.joints, s.joints, s.frames, 0, 0};
        }
        for (Index h = 0; h < s.heads; ++h) {
          place.lse_slot = segment * s.heads + h;
          place.channel = place.lse_slot * s.head_width();
          f(place, buffer.data());
        }
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

// out[i][c] = x[token i][offset + c], zero beyond.
template <class A, class T>
static void gather_rows(const T* x, Index stride, Index offset, const Place& p, Index channels,
                        Index rows, Index width, A* out) {
  for (Index i = 0; i < rows; ++i) {
    const T* row = x + (p.first_token + i * p.token_step) * stride + offset + p.channel;
    for (Index c = 0; c < width; ++c) {
      out[i * width + c] = i < p.length && c < channels ? load(row[c]) : A(0);
    }
  }
}

// out[c][i] = x[i][c] for x [rows][width], into [channels][length], zero beyond the tokens.
template <class A>
static void transpose(const A* x, Index tokens, Index width, Index channels, Index length, A* out) {
  for (Index c = 0; c < channels; ++c) {
    for (Index i = 0; i < tokens; ++i) out[c * length + i] = x[i * width + c];
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
  const Index buffer_size = 3 * (most.rows + kRows) * most.width + channels * most.length +
                            kRows * (most.length + most.width);
  for_each_head<A>(s, buffer_size, [&](const Place& p, A* buffer) {
    const Padding<A> pad(p.length, channels);
    A* q = buffer;
    A* k = q + pad.rows * pad.width;
    A* v = k + pad.rows * pad.width;
    A* kt = v + pad.rows * pad.width;
    A* scores = kt + channels * pad.length;
    A* result = scores + kRows * pad.length;
    gather_rows(a.qkv, 3 * s.width, 0, p, channels, pad.rows, pad.width, q);
    gather_rows(a.qkv, 3 * s.width, s.width, p, channels, pad.rows, pad.width, k);
    gather_rows(a.qkv, 3 * s.width, 2 * s.width, p, channels, pad.rows, pad.width, v);
    for (Index i = 0; i < pad.rows * pad.width; ++i) q[i] *= scale;
    transpose(k, p.length, pad.width, channels, pad.length, kt);
    for (Index i = 0; i < p.length; i += kRows) {
      four_rows_times(q + i * pad.width, pad.width, kt, channels, pad.length, scores, pad.length);
      const Index rows = std::min(kRows, p.length - i);
      for (Index r = 0; r < rows; ++r) {
        A* row = scores + r * pad.length;
        A top = -std::numeric_limits<A>::infinity();
        for (Index j = 0; j < p.length; ++j) top = row[j] > top ? row[j] : top;
        // A row without a finite score (or with a NaN) must not become 0/0 silently: exp of NaN
        // stays NaN and spreads.
        A sum = 0;
#pragma omp simd reduction(+ : sum)
        for (Index j = 0; j < p.length; ++j) {
          row[j] = exp_(row[j] - top);
          sum += row[j];
        }
        const A inverse = A(1) / sum;
        for (Index j = 0; j < p.length; ++j) row[j] *= inverse;
        const Index token = p.first_token + (i + r) * p.token_step;
        a.lse[token * lse_stride + p.lse_slot] = top + log_(sum);
      }
      four_rows_times(scores, pad.length, v, p.length, pad.width, result, pad.width);
      for (Index r = 0; r < rows; ++r) {
        const Index at = (p.first_token + (i + r) * p.token_step) * s.width + p.channel;
        for (Index c = 0; c < channels; ++c) {
          const A added = a.add != nullptr ? load(a.add[at + c]) : A(0);
          a.out[at + c] = store<T>(result[r * pad.width + c] + added);
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
      7 * most.rows * most.width + 2 * channels * most.length + 2 * kRows * most.length;
  for_each_head<A>(s, buffer_size, [&](const Place& p, A* buffer) {
    const Padding<A> pad(p.length, channels);
    const Index block = pad.rows * pad.width;
    A* q = buffer;
    A* k = q + block;
    A* v = k + block;
    A* dout = v + block;
    A* dq = dout + block;
    A* dk = dq + block;
    A* dv = dk + block;
    A* kt = dv + block;
    A* vt = kt + channels * pad.length;
    A* prob = vt + channels * pad.length;
    A* dscore = prob + kRows * pad.length;
    gather_rows(a.qkv, 3 * s.width, 0, p, channels, pad.rows, pad.width, q);
    gather_rows(a.qkv, 3 * s.width, s.width, p, channels, pad.rows, pad.width, k);
    gather_rows(a.qkv, 3 * s.width, 2 * s.width, p, channels, pad.rows, pad.width, v);
    gather_rows(a.dout, s.width, 0, p, channels, pad.rows, pad.width, dout);
    for (Index i = 0; i < block; ++i) {
      q[i] *= scale;
      dk[i] = A(0);
      dv[i] = A(0);
    }
    transpose(k, p.length, pad.width, channels, pad.length, kt);
    transpose(v, p.length, pad.width, channels, pad.length, vt);
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
        const A lse = a.lse[(p.first_token + (i + r) * p.token_step) * lse_stride + p.lse_slot];
        A delta = 0;
#pragma omp simd reduction(+ : delta)
        for (Index j = 0; j < p.length; ++j) {
          pr[j] = exp_(pr[j] - lse);
          delta += pr[j] * ds[j];
        }
        for (Index j = 0; j < p.length; ++j) ds[j] = pr[j] * (ds[j] - delta);
      }
      four_rows_times(dscore, pad.length, k, p.length, pad.width, dq + i * pad.width, pad.width);
      // q already carries the scale.
      add_outer_products(dscore, pad.length, q + i * pad.width, pad.width, p.length, pad.width, dk);
      add_outer_products(prob, pad.length, dout + i * pad.width, pad.width, p.length, pad.width,
                         dv);
    }
    for (Index i = 0; i < p.length; ++i) {
      const Index at = (p.first_token + i * p.token_step) * 3 * s.width + p.channel;
      for (Index c = 0; c < channels; ++c) {
        a.dqkv.put(at + c, dq[i * pad.width + c] * scale);
        a.dqkv.put(at + s.width + c, dk[i * pad.width + c]);
        a.dqkv.put(at + 2 * s.width + c, dv[i * pad.width + c]);
      }
    }
  });
}
POSETAPE_CPU_KERNEL(AxialAttentionBackward);

}  // namespace posetape
