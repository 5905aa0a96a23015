// Attention over many short sequences, on the CPU: part of axial_attention_cpu.cpp.
//
// A vector has one number of as many pairs of a sequence and a head as it has lanes. What is done
// for one pair in scalars is done for all of them at once, so that no lane is lost to sequences or
// heads that do not fill a vector. Every sum has the order that it has for long sequences: results
// are equal to the bit.
#pragma once

#include <algorithm>
#include <type_traits>

#include "kernels/axial_attention/sequence.hpp"
#include "kernels/cpu/kernel.hpp"
#include "kernels/cpu/short_math.hpp"
#include "kernels/cpu/vector.hpp"

namespace posetape {

// A sum of n terms, which `add_term` adds to what it is given, in an order that does not depend on
// the instruction set: as sixteen partial sums, of every sixteenth term each, as far as terms go by
// sixteens; the first takes the rest.
template <class V, class F>
static V ordered_sum(Index n, const F& add_term) {
  constexpr Index kPartialSums = 16;
  const Index whole = n / kPartialSums * kPartialSums;
  const auto partial_sum = [&](Index first) {
    V sum = {};
    for (Index j = first; j < whole; j += kPartialSums) sum = add_term(sum, j);
    return sum;
  };
  V sum = partial_sum(0);
  for (Index j = whole; j < n; ++j) sum = add_term(sum, j);
  for (Index first = 1; first < std::min(whole, kPartialSums); ++first) sum += partial_sum(first);
  return sum;
}

template <class A>
using Pairs = Vector<A>;
template <class A>
static constexpr Index kPairs = kLanes<A>;

// A matrix of numbers of pairs, row and column so many vectors apart.
template <class A>
struct PairMatrix {
  A* data;
  Index row_step, column_step;

  A* at(Index row, Index column) const {
    return data + (row * row_step + column * column_step) * kPairs<A>;
  }
  PairMatrix from(Index row, Index column) const {
    return {at(row, column), row_step, column_step};
  }
};

// c[r][x] = sum_k a[r][k] b[k][x], or that added to c, pair by pair.
template <Index rows, Index columns, class A>
static void pair_block(PairMatrix<A> a, PairMatrix<A> b, Index k_count, PairMatrix<A> c, bool add) {
  using V = Pairs<A>;
  V sums[rows][columns] = {};
  if (add) {
#pragma GCC unroll 4
    for (Index r = 0; r < rows; ++r) {
#pragma GCC unroll 4
      for (Index x = 0; x < columns; ++x) sums[r][x] = read<V>(c.at(r, x));
    }
  }
  for (Index k = 0; k < k_count; ++k) {
    V bk[columns];
#pragma GCC unroll 4
    for (Index x = 0; x < columns; ++x) bk[x] = read<V>(b.at(k, x));
#pragma GCC unroll 4
    for (Index r = 0; r < rows; ++r) {
      const V ak = read<V>(a.at(r, k));
#pragma GCC unroll 4
      for (Index x = 0; x < columns; ++x) sums[r][x] += ak * bk[x];
    }
  }
#pragma GCC unroll 4
  for (Index r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (Index x = 0; x < columns; ++x) write(c.at(r, x), sums[r][x]);
  }
}

template <class A>
static void pair_product(PairMatrix<A> a, Index rows, PairMatrix<A> b, Index k_count, Index columns,
                         PairMatrix<A> c, bool add = false) {
  // As many sums as there are registers for, beside a row of b.
  constexpr Index kBlockColumns = 4;
#ifdef __AVX512F__
  constexpr Index kBlockRows = 4;
#else
  constexpr Index kBlockRows = 2;
#endif
  const auto strip = [&](Index r, auto block_rows) {
    const auto part = [&](Index x, auto block_columns) {
      pair_block<block_rows.value, block_columns.value>(a.from(r, 0), b.from(0, x), k_count,
                                                        c.from(r, x), add);
    };
    Index x = 0;
    for (; x + kBlockColumns <= columns; x += kBlockColumns) {
      part(x, std::integral_constant<Index, kBlockColumns>{});
    }
    for (; x < columns; ++x) part(x, std::integral_constant<Index, 1>{});
  };
  Index r = 0;
  for (; r + kBlockRows <= rows; r += kBlockRows) {
    strip(r, std::integral_constant<Index, kBlockRows>{});
  }
  for (; r < rows; ++r) strip(r, std::integral_constant<Index, 1>{});
}

// The pairs of one vector, in a segment. Those of one sequence are a run: their heads, and so their
// channels, are neighbours.
struct PairGroup {
  struct Run {
    Index lane, lanes;
    Index first_token;  // of the sequence
    Index head;         // of the first lane
  };
  Run runs[kVectorBytes];
  Index run_count;
  Index token_step;  // from a token of a sequence to the next
  Index next_group;  // from a token to that of the next vector's first run
  Index length;
  Index channel;   // of the segment's first head
  Index lse_slot;  // of it

  // Calls f(run, token i of the run's sequence).
  template <class F>
  void each_run(Index i, const F& f) const {
    for (Index r = 0; r < run_count; ++r) f(runs[r], runs[r].first_token + i * token_step);
  }
};

// out[i][channel][pair] = factor x[token i][offset + channel]; `rows` has room for a number of each
// lane and channel.
template <class A, class T>
static void gather_pairs(const T* x, Index stride, Index offset, const PairGroup& g, Index channels,
                         A factor, A* rows, A* out) {
  const Index next = g.next_group * stride;
  for (Index i = 0; i < g.length; ++i) {
    g.each_run(i, [&](const PairGroup::Run& run, Index token) {
      const T* row = x + token * stride + offset + g.channel + run.head * channels;
      A* to = rows + run.lane * channels;
      const Index count = run.lanes * channels;
      prefetch(row + next, count);
      each_vector<A>(count, [&](Index c, auto lanes) {
        store_as(to + c, factor * load_as<decltype(lanes)>(row + c));
      });
    });
    transpose(rows, kPairs<A>, channels, out + i * channels * kPairs<A>);
  }
}

// Calls f(group, thread_buffer) for all pairs of a segment's sequences and heads.
template <class A, class F>
static void for_each_group(const AttentionShape& s, Index segment, Index buffer_size, const F& f) {
  const Index pairs = s.sequences(segment) * s.heads;
  const Index slot = segment * s.heads;
  parallel_for((pairs + kPairs<A> - 1) / kPairs<A>, 1, [&](Index begin, Index end) {
    Scratch<A> buffer(buffer_size);
    PairGroup g;
    g.token_step = s.token_step(segment);
    g.length = s.length(segment);
    g.channel = slot * s.head_width();
    g.lse_slot = slot;
    for (Index group = begin; group < end; ++group) {
      const Index first = group * kPairs<A>;
      const Index count = std::min(kPairs<A>, pairs - first);
      g.run_count = 0;
      for (Index lane = 0; lane < count;) {
        const Index q = (first + lane) / s.heads;
        const Index head = (first + lane) % s.heads;
        const Index lanes = std::min(s.heads - head, count - lane);
        g.runs[g.run_count++] = {lane, lanes, s.first_token(segment, q), head};
        lane += lanes;
      }
      const Index q = first / s.heads, next = q + g.run_count;
      g.next_group = next < s.sequences(segment)
                         ? s.first_token(segment, next) - s.first_token(segment, q)
                         : 0;
      // What the last vector's empty lanes have is computed, too, and left alone.
      if (count < kPairs<A>) std::fill_n(buffer.data(), buffer_size, A(0));
      f(g, buffer.data());
    }
  });
}

// Queries with so many scores, of a pair.
static Index queries_at_a_time(Index length, Index scores) {
  if (length <= 4) return length;
  return std::clamp(scores / length / 4 * 4, Index{4}, length);
}
// Room for theirs, of any length up to this one.
static Index most_scores(Index longest, Index scores) {
  return std::max(scores, 4 * longest);
}
// Forward they stay in the first cache. Backward all gradients of keys and values are read and
// written for each block of queries, so that fewer blocks are worth the second cache.
static constexpr Index kForwardScores = 384;
static constexpr Index kBackwardScores = 1152;

// scores[key][pair] of a query becomes e^(score - top), for bf16 as near as that can tell.
template <class T, class A>
static void to_weights(A* scores, Index length, const A* tops) {
  using V = Pairs<A>;
  constexpr Index kOne = kPairs<A>;
  if constexpr (std::is_same_v<T, bf16> && std::is_same_v<V, Floats>) {
    const V top = read<V>(tops);
    for (Index j = 0; j < length; ++j) {
      A* at = scores + j * kOne;
      write(at, power_of_two((read<V>(at) - top) * kLog2E));
    }
  } else {
    for (Index j = 0; j < length; ++j) {
      A* at = scores + j * kOne;
      for (Index l = 0; l < kOne; ++l) at[l] = exp_(at[l] - tops[l]);
    }
  }
}

template <class T>
static void forward_pairs(const AxialAttentionForward<T>& a, Index segment) {
  using A = Accumulator<T>;
  using V = Pairs<A>;
  constexpr Index kOne = kPairs<A>;
  const AttentionShape& s = a.shape;
  const Index channels = s.head_width();
  const Index lse_stride = s.segments() * s.heads;
  const Index longest = std::max(s.frames, s.joints);
  const Index buffer_size =
      (4 * longest * channels + most_scores(longest, kForwardScores) + channels) * kOne;
  for_each_group<A>(s, segment, buffer_size, [&](const PairGroup& g, A* buffer) {
    const Index length = g.length;
    const Index size = length * channels * kOne;
    A* q = buffer;  // [token][channel][pair], as k, v and the results
    A* k = q + size;
    A* v = k + size;
    A* results = v + size;
    A* rows = results + size;
    A* scores = rows + channels * kOne;  // [query][key][pair]
    gather_pairs(a.qkv, 3 * s.width, 0, g, channels, static_cast<A>(s.scale), rows, q);
    gather_pairs(a.qkv, 3 * s.width, s.width, g, channels, A(1), rows, k);
    gather_pairs(a.qkv, 3 * s.width, 2 * s.width, g, channels, A(1), rows, v);
    const Index most = queries_at_a_time(length, kForwardScores);
    for (Index first = 0; first < length; first += most) {
      const Index queries = std::min(most, length - first);
      pair_product<A>({q + first * channels * kOne, channels, 1}, queries, {k, 1, channels},
                      channels, length, {scores, length, 1});
      for (Index i = 0; i < queries; ++i) {
        A* row = scores + i * length * kOne;
        V top = read<V>(row);
        for (Index j = 1; j < length; ++j) top = larger(top, read<V>(row + j * kOne));
        A tops[kOne], sums[kOne];
        write(tops, top);
        // A query without a finite score (or with a NaN) must not become 0/0 silently: exp of NaN
        // stays NaN and spreads.
        to_weights<T>(row, length, tops);
        write(sums, ordered_sum<V>(length,
                                   [&](V sum, Index j) { return sum + read<V>(row + j * kOne); }));
        A logs[kOne];
        if constexpr (std::is_same_v<T, bf16>) {
          write(logs, top + short_log2(read<V>(sums)) / kLog2E);
        } else {
          for (Index l = 0; l < kOne; ++l) logs[l] = tops[l] + log_(sums[l]);
        }
        g.each_run(first + i, [&](const PairGroup::Run& run, Index token) {
          A* lse = a.lse + token * lse_stride + g.lse_slot + run.head;
          for (Index l = 0; l < run.lanes; ++l) lse[l] = logs[run.lane + l];
          // Asked for here, not all at once, where they would wait for each other.
          const Index at = token * s.width + g.channel + run.head * channels;
          if (a.add != nullptr) prefetch(a.add + at, run.lanes * channels);
          prefetch_to_write(a.out + at, run.lanes * channels);
        });
        for (Index l = 0; l < kOne; ++l) sums[l] = A(1) / sums[l];
        for (Index j = 0; j < length; ++j) {
          for (Index l = 0; l < kOne; ++l) row[j * kOne + l] *= sums[l];
        }
      }
      pair_product<A>({scores, length, 1}, queries, {v, channels, 1}, length, channels,
                      {results + first * channels * kOne, channels, 1});
    }
    for (Index i = 0; i < length; ++i) {
      transpose(results + i * channels * kOne, channels, kOne, rows);
      g.each_run(i, [&](const PairGroup::Run& run, Index token) {
        const Index at = token * s.width + g.channel + run.head * channels;
        const A* result = rows + run.lane * channels;
        const Index count = run.lanes * channels;
        T* out = a.out + at;
        if (a.add != nullptr) {
          const T* added = a.add + at;
          each_vector<A>(count, [&](Index c, auto lanes) {
            using Sum = decltype(lanes);
            store_as(out + c, read<Sum>(result + c) + load_as<Sum>(added + c));
          });
        } else {
          each_vector<A>(count, [&](Index c, auto lanes) {
            store_as(out + c, read<decltype(lanes)>(result + c));
          });
        }
      });
    }
  });
}

template <class T>
static void backward_pairs(const AxialAttentionBackward<T>& a, Index segment) {
  using A = Accumulator<T>;
  using V = Pairs<A>;
  constexpr Index kOne = kPairs<A>;
  const AttentionShape& s = a.shape;
  const Index channels = s.head_width();
  const auto scale = static_cast<A>(s.scale);
  const Index lse_stride = s.segments() * s.heads;
  const Index longest = std::max(s.frames, s.joints);
  const Index buffer_size =
      (7 * longest * channels + 2 * most_scores(longest, kBackwardScores) + channels) * kOne;
  for_each_group<A>(s, segment, buffer_size, [&](const PairGroup& g, A* buffer) {
    const Index length = g.length;
    const Index size = length * channels * kOne;
    A* q = buffer;  // [token][channel][pair], as the next six
    A* k = q + size;
    A* v = k + size;
    A* dout = v + size;
    A* dq = dout + size;
    A* dk = dq + size;
    A* dv = dk + size;
    A* rows = dv + size;
    const Index most = queries_at_a_time(length, kBackwardScores);
    A* prob = rows + channels * kOne;         // [query][key][pair]
    A* dscore = prob + most * length * kOne;  // the same
    gather_pairs(a.qkv, 3 * s.width, 0, g, channels, scale, rows, q);
    gather_pairs(a.qkv, 3 * s.width, s.width, g, channels, A(1), rows, k);
    gather_pairs(a.qkv, 3 * s.width, 2 * s.width, g, channels, A(1), rows, v);
    gather_pairs(a.dout, s.width, 0, g, channels, A(1), rows, dout);
    for (Index first = 0; first < length; first += most) {
      const Index queries = std::min(most, length - first);
      const PairMatrix<A> q_rows{q + first * channels * kOne, channels, 1};
      const PairMatrix<A> dout_rows{dout + first * channels * kOne, channels, 1};
      pair_product<A>(q_rows, queries, {k, 1, channels}, channels, length, {prob, length, 1});
      pair_product<A>(dout_rows, queries, {v, 1, channels}, channels, length, {dscore, length, 1});
      for (Index i = 0; i < queries; ++i) {
        A* p = prob + i * length * kOne;
        A* ds = dscore + i * length * kOne;
        A lse[kOne] = {};
        g.each_run(first + i, [&](const PairGroup::Run& run, Index token) {
          const A* from = a.lse + token * lse_stride + g.lse_slot + run.head;
          for (Index l = 0; l < run.lanes; ++l) lse[run.lane + l] = from[l];
          // As the forward pass asks for its results.
          for (Index part = 0; part < 3; ++part) {
            const Index at = (token * 3 + part) * s.width + g.channel + run.head * channels;
            prefetch_to_write(a.dqkv.data + at, run.lanes * channels);
          }
        });
        to_weights<T>(p, length, lse);
        const V delta = ordered_sum<V>(length, [&](V sum, Index j) {
          return sum + read<V>(p + j * kOne) * read<V>(ds + j * kOne);
        });
        for (Index j = 0; j < length; ++j) {
          A* at = ds + j * kOne;
          write(at, read<V>(p + j * kOne) * (read<V>(at) - delta));
        }
      }
      pair_product<A>({dscore, length, 1}, queries, {k, channels, 1}, length, channels,
                      {dq + first * channels * kOne, channels, 1});
      // q already carries the scale.
      pair_product<A>({dscore, 1, length}, length, q_rows, queries, channels, {dk, channels, 1},
                      first > 0);
      pair_product<A>({prob, 1, length}, length, dout_rows, queries, channels, {dv, channels, 1},
                      first > 0);
    }
    for (Index i = 0; i < length; ++i) {
      Index offset = 0;
      for (A* gradient : {dq, dk, dv}) {
        transpose(gradient + i * channels * kOne, channels, kOne, rows);
        const A factor = gradient == dq ? scale : A(1);
        g.each_run(i, [&](const PairGroup::Run& run, Index token) {
          const Index at = token * 3 * s.width + offset + g.channel + run.head * channels;
          const A* row = rows + run.lane * channels;
          T* to = a.dqkv.data + at;
          each_vector<A>(run.lanes * channels, [&](Index c, auto lanes) {
            put_as(to + c, factor * read<decltype(lanes)>(row + c), a.dqkv.into);
          });
        });
        offset += s.width;
      }
    }
  });
}

}  // namespace posetape
