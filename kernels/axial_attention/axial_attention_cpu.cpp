// Short sequences are computed many at a time (short_sequences.hpp), and long ones in bf16 by its
// own products where the processor has them (tile_sequences.hpp). Of other long ones, one task is
// one sequence of tokens (the joints of a frame, or the frames of a joint) with all its heads: a
// token's channels are read and written in one go, since the tokens of a joint lie far apart. q, k
// and v are copied into padded buffers in the cache, head by head. Scores are computed for a block
// of queries at a time, key by key, with a query in each lane: the softmax then takes its maximum
// and its sums from lane to same lane, and only blocks of scores are ever stored.
#include "kernels/axial_attention/axial_attention.hpp"

#include <algorithm>
#include <type_traits>

#include "kernels/axial_attention/sequence.hpp"
#include "kernels/axial_attention/short_sequences.hpp"
#include "kernels/cpu/kernel.hpp"
#include "kernels/cpu/tiles.hpp"
#include "kernels/cpu/vector.hpp"
#ifdef POSETAPE_BLOCKS
#include "kernels/axial_attention/tile_sequences.hpp"
#endif

namespace posetape {

static constexpr Index kRows = 4;  // of a product, at a time
// Of a block, which is whole vectors and whole products.
template <class A>
static constexpr Index kQueries = std::max(2 * kLanes<A>, kRows);

// A matrix whose rows and columns are any number of elements apart.
template <class A>
struct Strided {
  const A* data;
  Index row_step;
  Index column_step;
};

// c[r][x] = sum_k a[r][k] b[k][x], or that added to c: `rows` rows and `vectors` vectors of
// columns, whose sums do not wait for each other.
template <Index rows, Index vectors, class A>
static void block_product(Strided<A> a, const A* b, Index k_count, Index width, A* c, bool add) {
  Vector<A> sums[rows][vectors] = {};
  if (add) {
    for (Index r = 0; r < rows; ++r) {
      for (Index v = 0; v < vectors; ++v) {
        sums[r][v] = read<Vector<A>>(c + r * width + v * kLanes<A>);
      }
    }
  }
  for (Index k = 0; k < k_count; ++k) {
    const A* ak = a.data + k * a.column_step;
    for (Index v = 0; v < vectors; ++v) {
      const Vector<A> bk = read<Vector<A>>(b + k * width + v * kLanes<A>);
#pragma GCC unroll 8
      for (Index r = 0; r < rows; ++r) sums[r][v] += ak[r * a.row_step] * bk;
    }
  }
#pragma GCC unroll 8
  for (Index r = 0; r < rows; ++r) {
    for (Index v = 0; v < vectors; ++v) write(c + r * width + v * kLanes<A>, sums[r][v]);
  }
}

// The same for any number of rows, which are padded to kRows, and any width that is a multiple of
// the lanes and the distance of the rows of b and c.
template <class A>
static void product(Strided<A> a, Index rows, const A* b, Index k_count, Index width, A* c,
                    bool add = false) {
  Index r = 0;
  const auto at = [&] { return Strided<A>{a.data + r * a.row_step, a.row_step, a.column_step}; };
  if (width == kLanes<A>) {
    for (; r + 2 * kRows <= padded(rows, kRows); r += 2 * kRows) {
      block_product<2 * kRows, 1>(at(), b, k_count, width, c + r * width, add);
    }
  }
  for (; r < rows; r += kRows) {
    Index x = 0;
    for (; x + 2 * kLanes<A> <= width; x += 2 * kLanes<A>) {
      block_product<kRows, 2>(at(), b + x, k_count, width, c + r * width + x, add);
    }
    if (x < width) block_product<kRows, 1>(at(), b + x, k_count, width, c + r * width + x, add);
  }
}

// Calls f(place, thread_buffer) for every sequence.
template <class A, class F>
static void for_each_sequence(const AttentionShape& s, Index segment, Index buffer_size,
                              const F& f) {
  parallel_for(s.sequences(segment), 1, [&](Index begin, Index end) {
    Scratch<A> buffer(buffer_size);
    for (Index q = begin; q < end; ++q) f(Place(s, segment, q), buffer.data());
  });
}

// Sizes of one head's buffers: tokens and channels padded to whole blocks.
template <class A>
struct Padding {
  Index rows;   // tokens, padded to blocks of queries
  Index width;  // channels, padded to lanes
  Padding(Index tokens, Index channels)
      : rows(padded(tokens, kQueries<A>)), width(padded(channels, kLanes<A>)) {}
};

// out[h][i][c] = factor x[token i][offset + channel c of head h]; zero beyond, up to the tokens
// padded to `multiple`.
template <class A, class T>
static void gather(const T* x, Index stride, Index offset, const Place& p, Index heads,
                   Index channels, const Padding<A>& pad, Index multiple, A factor, A* out) {
  const Index block = pad.rows * pad.width;
  each_row_ahead(x + offset, stride, p, heads * channels, [&](Index i, const T* row) {
    for (Index h = 0; h < heads; ++h) {
      A* to = out + h * block + i * pad.width;
      if (channels == kLanes<A>) {  // the common width, whose loop needs no tail
        for (Index c = 0; c < kLanes<A>; ++c) to[c] = factor * load(row[h * kLanes<A> + c]);
        continue;
      }
      for (Index c = 0; c < channels; ++c) to[c] = factor * load(row[h * channels + c]);
      for (Index c = channels; c < pad.width; ++c) to[c] = A(0);
    }
  });
  for (Index h = 0; h < heads; ++h) {
    std::fill(out + h * block + p.length * pad.width,
              out + h * block + padded(p.length, multiple) * pad.width, A(0));
  }
}

template <class T>
static void forward_sequences(const AxialAttentionForward<T>& a, Index segment) {
  using A = Accumulator<T>;
  using V = Vector<A>;
  constexpr Index kBlock = kQueries<A>;
  const AttentionShape& s = a.shape;
  const Index channels = s.head_width();
  const auto scale = static_cast<A>(s.scale);
  const Index lse_stride = s.segments() * s.heads;
  const Padding<A> most(std::max(s.frames, s.joints), channels);
  const Index buffer_size =
      4 * s.heads * most.rows * most.width + (most.width + most.rows) * kBlock;
  for_each_sequence<A>(s, segment, buffer_size, [&](const Place& p, A* buffer) {
    const Padding<A> pad(p.length, channels);
    const Index block = pad.rows * pad.width;
    A* all_q = buffer;
    A* all_k = all_q + s.heads * block;
    A* all_v = all_k + s.heads * block;
    A* all_results = all_v + s.heads * block;
    A* qt = all_results + s.heads * block;  // [channel][query of the block]
    A* scores = qt + pad.width * kBlock;    // [key][query of the block]
    const Index stride = 3 * s.width;
    gather(a.qkv, stride, 0, p, s.heads, channels, pad, kBlock, scale, all_q);
    gather(a.qkv, stride, s.width, p, s.heads, channels, pad, kRows, A(1), all_k);
    gather(a.qkv, stride, 2 * s.width, p, s.heads, channels, pad, kRows, A(1), all_v);
    for (Index i = 0; a.add != nullptr && i < p.length; ++i) {
      prefetch(a.add + p.token(i) * s.width + p.channel, s.heads * channels);
    }
    for (Index h = 0; h < s.heads; ++h) {
      const A* k = all_k + h * block;
      const A* v = all_v + h * block;
      for (Index i = 0; i < p.length; i += kBlock) {
        transpose(all_q + h * block + i * pad.width, kBlock, pad.width, qt);
        product({k, pad.width, 1}, p.length, qt, channels, kBlock, scores);
        A tops[kBlock];
        A sums[kBlock];
        for (Index x = 0; x < kBlock; x += kLanes<A>) {
          V top = read<V>(scores + x);
          for (Index j = 1; j < p.length; ++j) top = larger(top, read<V>(scores + j * kBlock + x));
          write(tops + x, top);
        }
        // A query without a finite score (or with a NaN) must not become 0/0 silently: exp of NaN
        // stays NaN and spreads.
        for (Index j = 0; j < p.length; ++j) {
          A* row = scores + j * kBlock;
          for (Index l = 0; l < kBlock; ++l) row[l] = exp_(row[l] - tops[l]);
        }
        for (Index x = 0; x < kBlock; x += kLanes<A>) {
          write(sums + x, ordered_sum<V>(p.length, [&](V sum, Index j) {
                  return sum + read<V>(scores + j * kBlock + x);
                }));
        }
        const Index queries = std::min(kBlock, p.length - i);
        for (Index l = 0; l < queries; ++l) {
          a.lse[p.token(i + l) * lse_stride + p.lse_slot + h] = tops[l] + log_(sums[l]);
        }
        for (Index l = 0; l < kBlock; ++l) sums[l] = A(1) / sums[l];
        for (Index j = 0; j < p.length; ++j) {
          for (Index l = 0; l < kBlock; ++l) scores[j * kBlock + l] *= sums[l];
        }
        product({scores, 1, kBlock}, queries, v, p.length, pad.width,
                all_results + h * block + i * pad.width);
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

template <class T>
static void backward_sequences(const AxialAttentionBackward<T>& a, Index segment) {
  using A = Accumulator<T>;
  using V = Vector<A>;
  constexpr Index kBlock = kQueries<A>;
  const AttentionShape& s = a.shape;
  const Index channels = s.head_width();
  const auto scale = static_cast<A>(s.scale);
  const Index lse_stride = s.segments() * s.heads;
  const Padding<A> most(std::max(s.frames, s.joints), channels);
  const Index buffer_size =
      7 * s.heads * most.rows * most.width + 2 * (most.width + most.rows) * kBlock;
  for_each_sequence<A>(s, segment, buffer_size, [&](const Place& p, A* buffer) {
    const Padding<A> pad(p.length, channels);
    const Index block = pad.rows * pad.width;
    A* all_q = buffer;
    A* all_k = all_q + s.heads * block;
    A* all_v = all_k + s.heads * block;
    A* all_dout = all_v + s.heads * block;
    A* all_dq = all_dout + s.heads * block;
    A* all_dk = all_dq + s.heads * block;
    A* all_dv = all_dk + s.heads * block;
    A* qt = all_dv + s.heads * block;       // [channel][query of the block]
    A* dout_t = qt + pad.width * kBlock;    // the same
    A* prob = dout_t + pad.width * kBlock;  // [key][query of the block]
    A* dscore = prob + pad.rows * kBlock;   // the same
    const Index stride = 3 * s.width;
    gather(a.qkv, stride, 0, p, s.heads, channels, pad, kBlock, scale, all_q);
    gather(a.qkv, stride, s.width, p, s.heads, channels, pad, kRows, A(1), all_k);
    gather(a.qkv, stride, 2 * s.width, p, s.heads, channels, pad, kRows, A(1), all_v);
    gather(a.dout, s.width, 0, p, s.heads, channels, pad, kBlock, A(1), all_dout);
    for (Index h = 0; h < s.heads; ++h) {
      const A* k = all_k + h * block;
      const A* v = all_v + h * block;
      for (Index i = 0; i < p.length; i += kBlock) {
        const Index from = h * block + i * pad.width;
        const Index queries = std::min(kBlock, p.length - i);
        transpose(all_q + from, kBlock, pad.width, qt);
        transpose(all_dout + from, kBlock, pad.width, dout_t);
        product({k, pad.width, 1}, p.length, qt, channels, kBlock, prob);
        product({v, pad.width, 1}, p.length, dout_t, channels, kBlock, dscore);
        A lse[kBlock] = {};
        for (Index l = 0; l < queries; ++l) {
          lse[l] = a.lse[p.token(i + l) * lse_stride + p.lse_slot + h];
        }
        for (Index j = 0; j < p.length; ++j) {
          A* row = prob + j * kBlock;
          for (Index l = 0; l < kBlock; ++l) row[l] = exp_(row[l] - lse[l]);
        }
        for (Index x = 0; x < kBlock; x += kLanes<A>) {
          const V delta = ordered_sum<V>(p.length, [&](V sum, Index j) {
            const Index at = j * kBlock + x;
            return sum + read<V>(prob + at) * read<V>(dscore + at);
          });
          for (Index j = 0; j < p.length; ++j) {
            A* ds = dscore + j * kBlock + x;
            write(ds, read<V>(prob + j * kBlock + x) * (read<V>(ds) - delta));
          }
        }
        product({dscore, 1, kBlock}, queries, k, p.length, pad.width, all_dq + from);
        // q already carries the scale.
        product({dscore, kBlock, 1}, p.length, all_q + from, queries, pad.width, all_dk + h * block,
                i > 0);
        product({prob, kBlock, 1}, p.length, all_dout + from, queries, pad.width,
                all_dv + h * block, i > 0);
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

// Whether a segment's sequences are better computed many at a time: where so many arrays of a
// vector's pairs stay in the second cache, or so few channels would leave most lanes of a vector
// empty, and tiles are not faster still.
static bool are_short(const AttentionShape& s, Index segment, Index arrays) {
  const Index numbers = s.length(segment) * s.head_width();  // of a pair, in an array
#ifdef POSETAPE_BLOCKS
  if (fill_tiles(s) && numbers > 400) return false;
#endif
  return s.head_width() <= 4 || arrays * numbers <= 5300;
}

template <class T>
static void compute(const AxialAttentionForward<T>& a) {
  for (Index segment = 0; segment < a.shape.segments(); ++segment) {
    if (are_short(a.shape, segment, 4)) {  // q, k, v, results
      forward_pairs(a, segment);
#ifdef POSETAPE_BLOCKS
    } else if (fill_tiles(a.shape)) {
      forward_tiles(a, segment);
#endif
    } else {
      forward_sequences(a, segment);
    }
  }
}
POSETAPE_CPU_KERNEL(AxialAttentionForward);

template <class T>
static void compute(const AxialAttentionBackward<T>& a) {
  for (Index segment = 0; segment < a.shape.segments(); ++segment) {
    if (are_short(a.shape, segment, 7)) {  // q, k, v, dout and three gradients
      backward_pairs(a, segment);
#ifdef POSETAPE_BLOCKS
    } else if (fill_tiles(a.shape)) {
      backward_tiles(a, segment);
#endif
    } else {
      backward_sequences(a, segment);
    }
  }
}
POSETAPE_CPU_KERNEL(AxialAttentionBackward);

}  // namespace posetape
