// Attention over sequences in bf16 by products of blocks, on AMX's tiles or AVX512_BF16's pairs
// (kernels/cpu/tiles.hpp): part of axial_attention_cpu.cpp.
//
// One task is one sequence with all its heads, as in axial_attention_cpu.cpp, and again a query is
// a lane: for 32 queries at a time, S^T = K Q^T comes from the tiles key by key, maximum, sums and
// exponentials run from lane to same lane, and O^T = V^T P^T goes back to the tiles. P, and
// backwards dS, are rounded to bf16 where a product takes them; sums are in f32.
//
// A product's left side is rows, its right side pairs: 32-bit words of two neighbours along the
// inner dimension (kernels/cpu/tiles.hpp). Both of Q, K, V and dO are needed along channels and
// along tokens.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/axial_attention/sequence.hpp"
#include "kernels/cpu/kernel.hpp"
#include "kernels/cpu/short_math.hpp"
#include "kernels/cpu/tiles.hpp"
#include "kernels/cpu/vector.hpp"

namespace posetape {

using Queries = Floats;  // 16 of them
using Halves = Vector<std::uint16_t, 64>;
using Words = Vector<std::uint32_t, 64>;
static constexpr Index kHalf = kSide / 2;

// 32 numbers in bf16.
static inline Halves rounded(Queries first, Queries second) {
#ifdef __AVX512BF16__
  return (Halves)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
#else
  Halves h;
  for (Index l = 0; l < kHalf; ++l) h[l] = bf16(first[l]).bits;
  for (Index l = 0; l < kHalf; ++l) h[kHalf + l] = bf16(second[l]).bits;
  return h;
#endif
}

// words[l] = pair of the numbers first + l and second + l of x and y, one behind the other. The
// order is written as constants, as in transpose_block().
template <Index first, Index second, std::size_t... l>
static inline Words pairs_of(Halves x, Halves y, std::index_sequence<l...>) {
  return (Words)__builtin_shufflevector(x, y, ((l % 2 == 0 ? first : second) + l / 2)...);
}
template <Index first, Index second>
static inline Words pairs_of(Halves x, Halves y) {
  return pairs_of<first, second>(x, y, std::make_index_sequence<kSide>());
}

// Sizes of one head: tokens and channels padded to whole tiles.
struct TileSizes {
  Index heads;
  Index channels;
  Index inner;  // channels, as tiles take them along k
  Index tokens;

  TileSizes(const AttentionShape& s, Index segment)
      : heads(s.heads),
        channels(s.head_width()),
        inner(padded(channels, kSide)),
        tokens(padded(s.length(segment), kSide)) {}
  Index rows() const { return tokens * inner; }      // of one head, in bf16
  Index pairs() const { return tokens * channels; }  // of them along tokens, in bf16
  Index results() const { return tokens * heads * channels; }
};

// out[head][token][channel], where zeros beyond the end stay.
static void gather_rows(const bf16* x, Index stride, const Place& p, const TileSizes& z,
                        bf16* out) {
  each_row_ahead(x, stride, p, z.heads * z.channels, [&](Index i, const bf16* row) {
    for (Index h = 0; h < z.heads; ++h) {
      bf16* to = out + h * z.rows() + i * z.inner;
      for (Index c = 0; c < z.channels; c += kTileHeight) {
        write(to + c, read<Vector<std::uint16_t, 32>>(row + h * z.channels + c));
      }
    }
  });
}

// out[pair of channels][token] of 32 rows.
static void pairs_along_channels(const bf16* rows, const TileSizes& z, std::uint32_t* out) {
  for (Index w = 0; w < z.inner / 2; w += kSquare) {
    for (Index r = 0; r < kSide; r += kSquare) {
      transpose_block(rows + r * z.inner + 2 * w, z.inner, out + w * kSide + r, kSide);
    }
  }
}

// out[pair of tokens][channel] of all rows.
static void pairs_along_tokens(const bf16* rows, const TileSizes& z, std::uint32_t* out) {
  for (Index i = 0; i < z.tokens / 2; ++i) {
    const bf16* even = rows + 2 * i * z.inner;
    const bf16* odd = even + z.inner;
    for (Index c = 0; c < z.channels; ++c) {
      out[i * z.channels + c] = even[c].bits | std::uint32_t{odd[c].bits} << 16;
    }
  }
}

// Tiles of rows along the tokens, one row a channel, from pairs_along_tokens().
static void rows_along_tokens(const std::uint32_t* pairs, const TileSizes& z, bf16* out) {
  for (Index c = 0; c < z.channels; c += kTileHeight) {
    for (Index i = 0; i < z.tokens; i += kTileInner, out += kTileHeight * kTileInner) {
      for (Index p = 0; p < kTileInner / 2; p += kSquare) {
        for (Index x = 0; x < kTileHeight; x += kSquare) {
          transpose_block(pairs + (i / 2 + p) * z.channels + c + x, z.channels,
                          out + x * kTileInner + 2 * p, kTileInner);
        }
      }
    }
  }
}

// scores[key][query] of 32 queries.
static void all_scores(const bf16* rows, const std::uint32_t* query_pairs, const TileSizes& z,
                       float* scores) {
  for (Index j = 0; j < z.tokens; j += kSide) {
    tiles_product(TilesOfRows::in_place(rows + j * z.inner, z.inner), {query_pairs, kSide},
                  padded(z.channels, kInnerStep), {scores + j * kSide, kSide});
  }
}

// out[query][channel], results apart, of 32 queries: the sum over keys of their weights, given as
// pairs of keys, times value_rows, along tokens. Each query's is multiplied by its factor.
static void weighted_sum(const bf16* value_rows, const std::uint32_t* weights, const TileSizes& z,
                         const float* factors, float* out) {
  alignas(64) float sums[kTileHeight * kSide];
  for (Index c = 0; c < z.channels; c += kTileHeight) {
    tiles_product<false, true>(TilesOfRows::packed(value_rows + c * z.tokens, z.tokens),
                               {weights, kSide}, z.tokens, {sums, kSide});
    for (Index half = 0; half < kSide; half += kHalf) {
      const auto factor = read<Queries>(factors + half);
      for (Index r = 0; r < kTileHeight; ++r) {
        float* at = sums + r * kSide + half;
        write(at, read<Queries>(at) * factor);
      }
      for (Index r = 0; r < kTileHeight; r += kSquare) {
        for (Index q = 0; q < kHalf; q += kSquare) {
          transpose_block(sums + r * kSide + half + q, kSide,
                          out + (half + q) * z.heads * z.channels + c + r, z.heads * z.channels);
        }
      }
    }
  }
}

// The channels of a sequence's tokens, to be asked for a few lines at a time.
template <bool write = false>
static RowsAhead<bf16, write> tokens_ahead(const bf16* x, Index stride, const Place& p,
                                           const TileSizes& z) {
  return {x + p.token(0) * stride + p.channel, p.token_step * stride, p.length,
          z.heads * z.channels};
}
// So many lines for each head and block of queries, to be through in time.
static Index lines_at_a_time(const Place& p, const TileSizes& z) {
  const Index lines = p.length * z.heads * z.channels / kTileInner;
  return lines / (z.heads * (z.tokens / kSide)) + 1;
}

static void forward_tiles(const AxialAttentionForward<bf16>& a, Index segment) {
  const AttentionShape& s = a.shape;
  const TileSizes z(s, segment);
  const Index stride = 3 * s.width;
  const Index lse_stride = s.segments() * s.heads;
  const float to_power = static_cast<float>(s.scale) * kLog2E;
  parallel_for(s.sequences(segment), 1, [&](Index begin, Index end) {
    const TilesInUse tiles;
    Scratch<bf16> all_rows(3 * z.heads * z.rows());
    Scratch<std::uint32_t> query_pairs(kSide * z.inner / 2), value_pairs(z.pairs() / 2);
    Scratch<bf16> value_rows(z.pairs());
    Scratch<float> scores(z.tokens * kSide);
    Scratch<std::uint32_t> weights(z.tokens / 2 * kSide);
    Scratch<float> results(z.results());
    std::fill_n(all_rows.data(), 3 * z.heads * z.rows(), bf16());
    std::fill_n(weights.data(), z.tokens / 2 * kSide, 0u);
    bf16* const q = all_rows.data();
    bf16* const k = q + z.heads * z.rows();
    bf16* const v = k + z.heads * z.rows();
    for (Index sequence = begin; sequence < end; ++sequence) {
      const Place p(s, segment, sequence);
      gather_rows(a.qkv, stride, p, z, q);
      gather_rows(a.qkv + s.width, stride, p, z, k);
      gather_rows(a.qkv + 2 * s.width, stride, p, z, v);
      RowsAhead<bf16> added_ahead = tokens_ahead(a.add != nullptr ? a.add : a.out, s.width, p, z);
      RowsAhead<bf16, true> results_ahead = tokens_ahead<true>(a.out, s.width, p, z);
      const Index lines = lines_at_a_time(p, z);
      for (Index h = 0; h < z.heads; ++h) {
        pairs_along_tokens(v + h * z.rows(), z, value_pairs.data());
        rows_along_tokens(value_pairs.data(), z, value_rows.data());
        for (Index i = 0; i < p.length; i += kSide) {
          pairs_along_channels(q + h * z.rows() + i * z.inner, z, query_pairs.data());
          all_scores(k + h * z.rows(), query_pairs.data(), z, scores.data());
          added_ahead.ask(lines);
          results_ahead.ask(lines);
          alignas(64) float lse[kSide], factors[kSide];
          for (Index half = 0; half < kSide; half += kHalf) {
            const auto power = [&](Index j) {
              return read<Queries>(scores.data() + j * kSide + half) * to_power;
            };
            // In four parts, which do not wait for each other.
            Queries top = power(0), others[3] = {top, top, top};
            Index from = 1;
            for (; from + 4 <= p.length; from += 4) {
              top = larger(top, power(from));
              for (Index x = 0; x < 3; ++x) others[x] = larger(others[x], power(from + 1 + x));
            }
            for (; from < p.length; ++from) top = larger(top, power(from));
            for (const Queries& other : others) top = larger(top, other);
            // A query without a finite score (or with a NaN) must not become 0/0 silently: 2^NaN
            // stays NaN and spreads.
            Queries sum = {};
            std::uint32_t* to = weights.data() + half;
            Index j = 0;
            for (; j + 2 <= p.length; j += 2, to += kSide) {
              const Queries even = power_of_two(power(j) - top);
              const Queries odd = power_of_two(power(j + 1) - top);
              sum += even + odd;
              const Halves both = rounded(even, odd);
              write(to, pairs_of<0, kHalf>(both, both));
            }
            if (j < p.length) {
              const Queries last = power_of_two(power(j) - top);
              sum += last;
              const Halves both = rounded(last, Queries{});
              write(to, pairs_of<0, kHalf>(both, both));
            }
            write(lse + half, (top + short_log2(sum)) / kLog2E);
            write(factors + half, 1.0f / sum);
          }
          for (Index l = 0; l < std::min(kSide, p.length - i); ++l) {
            a.lse[p.token(i + l) * lse_stride + p.lse_slot + h] = lse[l];
          }
          weighted_sum(value_rows.data(), weights.data(), z, factors,
                       results.data() + i * z.heads * z.channels + h * z.channels);
        }
      }
      const Index count = z.heads * z.channels;
      for (Index i = 0; i < p.length; ++i) {
        const float* result = results.data() + i * count;
        const Index at = p.token(i) * s.width + p.channel;
        each_vector<float>(count, [&](Index c, auto lanes) {
          using V = decltype(lanes);
          V value = read<V>(result + c);
          if (a.add != nullptr) value = value + load_as<V>(a.add + at + c);
          store_as(a.out + at + c, value);
        });
      }
    }
  });
}

static void backward_tiles(const AxialAttentionBackward<bf16>& a, Index segment) {
  const AttentionShape& s = a.shape;
  const TileSizes z(s, segment);
  const Index stride = 3 * s.width;
  const Index lse_stride = s.segments() * s.heads;
  const Index width = z.heads * z.channels;
  const auto scale = static_cast<float>(s.scale);
  const float to_power = scale * kLog2E;
  parallel_for(s.sequences(segment), 1, [&](Index begin, Index end) {
    const TilesInUse tiles;
    Scratch<bf16> all_rows(4 * z.heads * z.rows());
    Scratch<std::uint32_t> query_pairs(kSide * z.inner / 2), dout_pairs(kSide * z.inner / 2);
    Scratch<std::uint32_t> q_along(z.pairs() / 2), k_along(z.pairs() / 2),
        dout_along(z.pairs() / 2);
    Scratch<bf16> key_rows(z.pairs());
    Scratch<float> scores(z.tokens * kSide), dscores(z.tokens * kSide);
    // [key][query] of a head, so many queries at a time.
    const Index most = std::min(z.tokens, Index{512});
    Scratch<bf16> weight_rows(z.tokens * most), dscore_rows(z.tokens * most);
    Scratch<std::uint32_t> dscore_pairs(z.tokens / 2 * kSide);
    Scratch<float> dq(z.results()), dk(z.results()), dv(z.results());
    std::fill_n(all_rows.data(), 4 * z.heads * z.rows(), bf16());
    std::fill_n(weight_rows.data(), z.tokens * most, bf16());
    std::fill_n(dscore_rows.data(), z.tokens * most, bf16());
    bf16* const q = all_rows.data();
    bf16* const k = q + z.heads * z.rows();
    bf16* const v = k + z.heads * z.rows();
    bf16* const dout = v + z.heads * z.rows();
    alignas(64) float scales[kSide];
    std::fill_n(scales, kSide, scale);
    for (Index sequence = begin; sequence < end; ++sequence) {
      const Place p(s, segment, sequence);
      gather_rows(a.qkv, stride, p, z, q);
      gather_rows(a.qkv + s.width, stride, p, z, k);
      gather_rows(a.qkv + 2 * s.width, stride, p, z, v);
      gather_rows(a.dout, s.width, p, z, dout);
      const Place next(s, segment, std::min(sequence + 1, end - 1));
      RowsAhead<bf16> next_rows[4] = {tokens_ahead(a.qkv, stride, next, z),
                                      tokens_ahead(a.qkv + s.width, stride, next, z),
                                      tokens_ahead(a.qkv + 2 * s.width, stride, next, z),
                                      tokens_ahead(a.dout, s.width, next, z)};
      const bf16* results = a.dqkv.data;
      RowsAhead<bf16, true> results_ahead[3] = {
          tokens_ahead<true>(results, stride, p, z),
          tokens_ahead<true>(results + s.width, stride, p, z),
          tokens_ahead<true>(results + 2 * s.width, stride, p, z)};
      const Index lines = lines_at_a_time(p, z);
      for (Index h = 0; h < z.heads; ++h) {
        pairs_along_tokens(q + h * z.rows(), z, q_along.data());
        pairs_along_tokens(k + h * z.rows(), z, k_along.data());
        pairs_along_tokens(dout + h * z.rows(), z, dout_along.data());
        rows_along_tokens(k_along.data(), z, key_rows.data());
        for (Index i = 0; i < p.length; i += kSide) {
          pairs_along_channels(q + h * z.rows() + i * z.inner, z, query_pairs.data());
          pairs_along_channels(dout + h * z.rows() + i * z.inner, z, dout_pairs.data());
          all_scores(k + h * z.rows(), query_pairs.data(), z, scores.data());
          all_scores(v + h * z.rows(), dout_pairs.data(), z, dscores.data());
          for (auto& rows : next_rows) rows.ask(lines);
          for (auto& rows : results_ahead) rows.ask(lines);
          alignas(64) float lse[kSide] = {};
          for (Index l = 0; l < std::min(kSide, p.length - i); ++l) {
            lse[l] = a.lse[p.token(i + l) * lse_stride + p.lse_slot + h] * kLog2E;
          }
          Queries deltas[2];
          for (Index half = 0; half < 2; ++half) {
            const auto top = read<Queries>(lse + half * kHalf);
            Queries delta = {};
            for (Index j = 0; j < p.length; ++j) {
              float* score = scores.data() + j * kSide + half * kHalf;
              const Queries weight = power_of_two(read<Queries>(score) * to_power - top);
              delta += weight * read<Queries>(dscores.data() + j * kSide + half * kHalf);
              write(score, weight);
            }
            deltas[half] = delta;
          }
          const auto dscore_row = [&](Index j) {
            const float* weight = scores.data() + j * kSide;
            const float* product = dscores.data() + j * kSide;
            const auto first = read<Queries>(weight), second = read<Queries>(weight + kHalf);
            write(weight_rows.data() + j * most + i % most, rounded(first, second));
            const Halves row = rounded(first * (read<Queries>(product) - deltas[0]),
                                       second * (read<Queries>(product + kHalf) - deltas[1]));
            write(dscore_rows.data() + j * most + i % most, row);
            return row;
          };
          for (Index j = 0; j < z.tokens; j += 2) {
            const Halves even = j < p.length ? dscore_row(j) : Halves{};
            const Halves odd = j + 1 < p.length ? dscore_row(j + 1) : Halves{};
            write(dscore_pairs.data() + j / 2 * kSide, pairs_of<0, kSide>(even, odd));
            write(dscore_pairs.data() + j / 2 * kSide + kHalf,
                  pairs_of<kHalf, kSide + kHalf>(even, odd));
          }
          weighted_sum(key_rows.data(), dscore_pairs.data(), z, scales,
                       dq.data() + i * width + h * z.channels);
          const Index first = i / most * most, count = i + kSide - first;
          if (count < most && i + kSide < p.length) continue;
          const auto sum_over_queries = [&](const bf16* rows, const std::uint32_t* pairs,
                                            float* out) {
            for (Index j = 0; j < z.tokens; j += kSide) {
              const auto left = TilesOfRows::in_place(rows + j * most, most);
              for (Index c = 0; c < z.channels; c += kSide) {
                const RowsOfPairs right{pairs + first / 2 * z.channels + c, z.channels};
                const RowsOfSums to{out + j * width + h * z.channels + c, width};
                if (c + kSide <= z.channels) {
                  tiles_product<true, true>(left, right, count, to, first > 0);
                } else {
                  tiles_product<true, false>(left, right, count, to, first > 0);
                }
              }
            }
          };
          sum_over_queries(dscore_rows.data(), q_along.data(), dk.data());
          sum_over_queries(weight_rows.data(), dout_along.data(), dv.data());
        }
      }
      for (Index i = 0; i < p.length; ++i) {
        bf16* to = a.dqkv.data + p.token(i) * stride + p.channel;
        const auto put = [&](const float* from, float factor) {
          each_vector<float>(width, [&](Index c, auto lanes) {
            put_as(to + c, factor * read<decltype(lanes)>(from + i * width + c), a.dqkv.into);
          });
          to += s.width;
        };
        put(dq.data(), 1.0f);
        put(dk.data(), scale);
        put(dv.data(), 1.0f);
      }
    }
  });
}

// Whether a segment's heads fill tiles.
static bool fill_tiles(const AttentionShape& s) {
  return s.head_width() % kTileHeight == 0;
}

}  // namespace posetape
