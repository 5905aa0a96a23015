// Attention in bf16 on tensor cores, for heads of 16, 32 or 64 channels: part of
// axial_attention.cu.
//
// A warp owns a tile of 16 rows (queries, or in the second half of the backward pass keys) of one
// head and goes through the others in blocks. All products are mma's (kernels/cuda/port.hpp), and
// all numbers go from memory straight to the registers that it wants them in, without shared
// memory:
//
// - A dot product may take its channels in any order, if both sides have the same. So lane t of a
//   row's four has a quarter of its channels, neighbours in memory.
// - A product with weights has its columns in any order, so that lane g has neighbouring channels
//   of two rows, and pairs them up. Its result then has for lane t of four the same quarter.
// - The weights are in the lanes that computed them, as the product wants them; they are rounded to
//   bf16 there. Sums are in f32.
//
// A block has 128 rows: some sequences, each padded to whole tiles, or a part of a long one. No
// tile has rows of two: the bits of a sequence do not depend on what else is in the batch.
#pragma once

#include <vector>

#include "kernels/axial_attention/cuda_sequences.hpp"
#include "kernels/cuda/mma_product.hpp"
#include "kernels/cuda/pack.hpp"
#include "kernels/cuda/reduce.hpp"
#include "kernels/structure_embedding/cuda_structure.hpp"

namespace posetape::mma_sequences {

inline constexpr int kTile = 16;  // rows of a warp
inline constexpr int kEight = 8;  // columns of a product
inline constexpr int kWarps = 8;  // of a block
inline constexpr int kRows = kWarps * kTile;
inline constexpr int kMostThreads = kWarps * cuda::kWarp;

// How the sequences of a block lie in its rows.
struct Layout {
  int length;
  int pitch;      // rows from one sequence to the next
  int sequences;  // of a block; 1 where it has a part of one
  int parts;      // of a sequence
  int inverse;    // row / pitch = row * inverse / 2^16 for the rows that a block may ask for
};

inline Layout layout(Index tokens) {
  const int length = static_cast<int>(tokens);
  const int pitch = (length + kTile - 1) / kTile * kTile;
  if (pitch > kRows / 2) return {length, pitch, 1, (length + kRows - 1) / kRows, 0};
  return {length, pitch, kRows / pitch, 1, ((1 << 16) + pitch - 1) / pitch};
}

inline unsigned blocks(const Sequences& s, const Layout& l) {
  return cuda::blocks_for(s.count, l.sequences) * static_cast<unsigned>(l.parts * s.heads);
}

// Rows [begin, end).
struct Span {
  int begin;
  int end;
};

// What the kernels are given: numbers as wide as addresses, since the emulation would take two
// narrow ones side by side for one.
template <class Work>
struct Laid {
  Work work;
  Index length, pitch, sequences, parts, inverse;

  POSETAPE_FUNCTION Layout layout() const {
    return {int(length), int(pitch), int(sequences), int(parts), int(inverse)};
  }
};

// The block's sequences. All its threads make it, at once.
class Rows {
 public:
  template <class Work>
  __device__ Rows(const Works<Laid<Work>>& works, int* starts)
      : l_(works.mine().layout()), starts_(starts) {
    const Sequences& s = works.mine().work.sequences;
    const auto block = static_cast<int>(works.block());
    const auto heads = static_cast<int>(s.heads);
    head_ = block % heads;
    first_ = block / heads % l_.parts * kRows;
    const Index sequence = Index{block / heads / l_.parts} * l_.sequences;
    const Index left = s.count - sequence;
    count_ = static_cast<int>(left < l_.sequences ? left : l_.sequences);
    step_ = static_cast<int>(s.token_step);
    for (int i = static_cast<int>(threadIdx.x); i < count_; i += static_cast<int>(blockDim.x)) {
      starts[i] = static_cast<int>(s.token(sequence + i, 0));
    }
    __syncthreads();
  }

  __device__ int head() const { return head_; }
  // The first row of this warp's tile.
  __device__ int tile() const {
    return first_ + static_cast<int>(threadIdx.x) / cuda::kWarp * kTile;
  }
  // The rows of a tile's sequence; none where the tile is beyond it.
  __device__ Span sequence(int tile) const {
    const int begin = number(tile) * l_.pitch;
    return {begin, token(tile) >= 0 ? begin + l_.length : begin};
  }
  // A row's token, or -1 where there is none.
  __device__ int token(int row) const {
    const int q = number(row);
    const int i = row - q * l_.pitch;
    return q < count_ && i < l_.length ? starts_[q] + i * step_ : -1;
  }

 private:
  __device__ int number(int row) const { return row * l_.inverse >> 16; }

  Layout l_;
  const int* starts_;  // first tokens
  int head_;
  int first_;
  int count_;
  int step_;
};

// One head's rows of q, k, v or a gradient: one of each token.
template <class T>
struct Head {
  T* data;
  Index step;
  __device__ T* row(int token) const { return data + token * step; }
};

template <class T>
__device__ inline Head<T> head_of(T* data, Index step, const Sequences& s, const Rows& rows) {
  return {data + (s.first_slot + rows.head()) * s.channels, step};
}

using cuda::lane_part;
using cuda::lane_row;

// Over the four lanes of a row.
__device__ inline float quad_sum(float x) {
  x += __shfl_xor_sync(cuda::kFullWarp, x, 1);
  return x + __shfl_xor_sync(cuda::kFullWarp, x, 2);
}
__device__ inline float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(cuda::kFullWarp, x, 1));
  return fmaxf(x, __shfl_xor_sync(cuda::kFullWarp, x, 2));
}

// n pairs of neighbours, from the lane's place on; zero where the row has no token.
template <int n>
__device__ inline void load_pairs(const Head<const bf16>& head, int token, int place,
                                  bf16x2 (&to)[n]) {
  constexpr int kPairs = n < 4 ? n : 4;  // in one access
#pragma unroll
  for (int i = 0; i < n; i += kPairs) {
    cuda::Pack<bf16x2, kPairs> pack = {};
    if (token >= 0) {
      pack = load_vector<cuda::Pack<bf16x2, kPairs>>(head.row(token) + 2 * (place * n + i));
    }
#pragma unroll
    for (int e = 0; e < kPairs; ++e) to[i + e] = pack.of[e];
  }
}

// A tile's own rows, as the left sides of dot products.
template <int channels>
struct Own {
  bf16x2 of[channels / 16][4];

  __device__ Own(const Head<const bf16>& head, const int (&tokens)[2]) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      bf16x2 pairs[channels / 8];
      load_pairs(head, tokens[r], lane_part(), pairs);
#pragma unroll
      for (int i = 0; i < channels / 8; ++i) of[i / 2][i % 2 * 2 + r] = pairs[i];
    }
  }
};

// sums[j] += own rows . rows [first + 8 j, first + 8 j + 8) below `end`
template <int channels, int n>
__device__ inline void add_dots(const Own<channels>& own, const Rows& rows,
                                const Head<const bf16>& head, int first, int end,
                                float (&sums)[n][4]) {
#pragma unroll
  for (int j = 0; j < n; ++j) {
    if (first + kEight * j < end) {
      bf16x2 pairs[channels / 8];
      load_pairs(head, rows.token(first + kEight * j + lane_row()), lane_part(), pairs);
#pragma unroll
      for (int i = 0; i < channels / 16; ++i) {
        mma(sums[j], own.of[i], {pairs[2 * i], pairs[2 * i + 1]});
      }
    }
  }
}

// result += weights * rows [first, first + 8 n) below `end`
template <int channels, int n>
__device__ inline void add_weighted(const float (&weights)[n][4], const Rows& rows,
                                    const Head<const bf16>& head, int first, int end,
                                    float (&result)[channels / 8][4]) {
#pragma unroll
  for (int j = 0; j < n; j += 2) {
    if (first + kEight * j < end) {
      bf16x2 left[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* two = weights[j + i / 2] + i % 2 * 2;
        left[i] = to_bf16x2(make_float2(two[0], two[1]));
      }
      bf16x2 pairs[4][channels / 16];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = first + kEight * (j + i / 2) + 2 * lane_part() + i % 2;
        load_pairs(head, rows.token(row), lane_row(), pairs[i]);
      }
#pragma unroll
      for (int c = 0; c < channels / 16; ++c) {
        mma(result[2 * c], left, {{pairs[0][c].x, pairs[1][c].x}, {pairs[2][c].x, pairs[3][c].x}});
        mma(result[2 * c + 1], left,
            {{pairs[0][c].y, pairs[1][c].y}, {pairs[2][c].y, pairs[3][c].y}});
      }
    }
  }
}

// Leaves what is stored as it is.
struct Nothing {
  __device__ void operator()(int, int, const auto&) const {}
};

// The own rows' results, times a factor each, plus what before(token, channel of the head, values)
// gives. after(...) may change what is stored.
template <int channels, class Before, class After = Nothing>
__device__ inline void store(const Head<bf16>& to, const int (&tokens)[2],
                             const float (&factors)[2], const float (&result)[channels / 8][4],
                             const Before& before, const After& after = {}) {
  constexpr int n = channels / 4;  // of a lane
  constexpr int kPack = n < 8 ? n : 8;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (tokens[r] < 0) continue;
#pragma unroll
    for (int c = 0; c < n; c += kPack) {
      const int channel = lane_part() * n + c;
      float values[kPack] = {};
      before(tokens[r], channel, values);
#pragma unroll
      for (int e = 0; e < kPack; ++e) {
        values[e] += factors[r] * result[(c + e) % (n / 2)][2 * r + (c + e) / (n / 2)];
      }
      after(tokens[r], channel, values);
      cuda::store_pack<kPack>(to.row(tokens[r]) + channel, values);
    }
  }
}

// What a warp's two rows a lane are: numbers g and g + 8 of its tile.
struct OwnRows {
  Span all;  // of the sequence
  int row[2];
  int token[2];

  __device__ explicit OwnRows(const Rows& rows) : all(rows.sequence(rows.tile())) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      row[r] = rows.tile() + lane_row() + 8 * r;
      token[r] = rows.token(row[r]);
    }
  }
};

// Calls f(r, which, the other's row) for the lane's numbers of a product's columns [first, ...).
template <int n, class F>
__device__ inline void each_number(int first, const F& f) {
#pragma unroll
  for (int j = 0; j < n; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) f(i / 2, j, i, first + kEight * j + 2 * lane_part() + i % 2);
  }
}

// Keys of a block in passes over them.
inline constexpr int kOthers = 6;  // times 8

template <int channels>
static __global__ void __launch_bounds__(kMostThreads, 1)
    attention_forward_mma(Works<Laid<ForwardWork<bf16>>> works) {
  POSETAPE_SHARED(int, starts, kRows);
  const ForwardWork<bf16>& a = works.mine().work;
  const Sequences& s = a.sequences;
  const Rows rows(works, starts);
  const OwnRows own(rows);
  const Head<const bf16> q = head_of(a.qkv, 3 * s.width, s, rows);
  const Head<const bf16> k = {q.data + s.width, q.step};
  const Head<const bf16> v = {k.data + s.width, q.step};
  const auto scale = static_cast<float>(s.scale);
  const Own<channels> queries(q, own.token);

  float result[channels / 8][4] = {};
  float top[2] = {-HUGE_VALF, -HUGE_VALF};
  float sum[2] = {};  // of the lane's keys
#pragma unroll 1
  for (int first = own.all.begin; first < own.all.end; first += kOthers * kEight) {
    float p[kOthers][4] = {};
    add_dots(queries, rows, k, first, own.all.end, p);
    float most[2] = {top[0], top[1]};
    each_number<kOthers>(first, [&](int r, int j, int i, int key) {
      p[j][i] *= scale;
      if (key < own.all.end && p[j][i] > most[r]) most[r] = p[j][i];
    });
    // What has been added up so far moves to the new largest score.
    float correction[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      most[r] = quad_max(most[r]);
      const float old = top[r];
      top[r] = most[r];
      if (most[r] == -HUGE_VALF) most[r] = 0;  // -inf - -inf is no number
      correction[r] = __expf(old - most[r]);
      sum[r] *= correction[r];
    }
    each_number<kOthers>(first, [&](int r, int j, int i, int key) {
      p[j][i] = key < own.all.end ? __expf(p[j][i] - most[r]) : 0.0f;
      sum[r] += p[j][i];
    });
#pragma unroll
    for (int c = 0; c < channels / 8; ++c) {
#pragma unroll
      for (int i = 0; i < 4; ++i) result[c][i] *= correction[i / 2];
    }
    add_weighted<channels>(p, rows, v, first, own.all.end, result);
  }
  float inverse[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    sum[r] = quad_sum(sum[r]);
    inverse[r] = 1.0f / sum[r];
    if (own.token[r] >= 0 && lane_part() == 0) {
      a.lse[own.token[r] * s.slots + s.first_slot + rows.head()] = top[r] + log_(sum[r]);
    }
  }
  const Index first_channel = (s.first_slot + rows.head()) * s.channels;
  store<channels>(head_of(a.out, s.width, s, rows), own.token, inverse, result,
                  [&](int token, int channel, auto& values) {
                    if (a.local.qkv != nullptr) {
                      structure_embedding_at(a.local, token, first_channel + channel, values);
                    } else if (a.add != nullptr) {
                      cuda::load_pack(a.add + token * s.width + first_channel + channel, values);
                    }
                  });
}

// What the backward pass knows of a query.
struct Statistics {
  float lse;
  float delta;
};

// Where a backward pass reads and writes.
struct Heads {
  Head<const bf16> q, k, v, dout;
  Head<bf16> dqkv;
  bool adds;
  Index width;

  __device__ Heads(const BackwardWork<bf16>& a, const Rows& rows)
      : q(head_of(a.qkv, 3 * a.sequences.width, a.sequences, rows)),
        k{q.data + a.sequences.width, q.step},
        v{k.data + a.sequences.width, q.step},
        dout(head_of(a.dout, a.sequences.width, a.sequences, rows)),
        dqkv(head_of(a.dqkv.data, q.step, a.sequences, rows)),
        adds(a.dqkv.into == Into::add),
        width(a.sequences.width) {}

  // part: 0, 1 or 2 for dq, dk or dv
  template <int channels, class After = Nothing>
  __device__ void put(int part, const OwnRows& own, float factor,
                      const float (&result)[channels / 8][4], const After& after = {}) const {
    const Head<bf16> to = {dqkv.data + part * width, dqkv.step};
    store<channels>(
        to, own.token, {factor, factor}, result,
        [&](int token, int channel, auto& values) {
          if (adds) cuda::load_pack(to.row(token) + channel, values);
        },
        after);
  }
};

// dq of a tile of queries. Calls keep(row, token, Statistics) for each of them once.
template <int channels, class F>
__device__ inline void query_side(const BackwardWork<bf16>& a, const Rows& rows, const Heads& heads,
                                  const F& keep) {
  const Sequences& s = a.sequences;
  const OwnRows own(rows);
  const auto scale = static_cast<float>(s.scale);
  const Own<channels> queries(heads.q, own.token);
  const Own<channels> douts(heads.dout, own.token);
  float lse[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const Index at = own.token[r] * s.slots + s.first_slot + rows.head();
    lse[r] = own.token[r] >= 0 ? a.lse[at] : 0.0f;
  }
  // A pass for delta and one for dq, unless one block has all the keys, whose scores then are still
  // there.
  float delta[2] = {};
  float dq[channels / 8][4] = {};
  const bool one_block = own.all.end - own.all.begin <= kOthers * kEight;
#pragma unroll 1
  for (int pass = one_block ? 1 : 0; pass < 2; ++pass) {
#pragma unroll 1
    for (int first = own.all.begin; first < own.all.end; first += kOthers * kEight) {
      float p[kOthers][4] = {}, dp[kOthers][4] = {};
      add_dots(queries, rows, heads.k, first, own.all.end, p);
      add_dots(douts, rows, heads.v, first, own.all.end, dp);
      float sum[2] = {};
      each_number<kOthers>(first, [&](int r, int j, int i, int key) {
        p[j][i] = key < own.all.end ? __expf(scale * p[j][i] - lse[r]) : 0.0f;
        sum[r] += p[j][i] * dp[j][i];
      });
      if (one_block || pass == 0) {
        delta[0] += quad_sum(sum[0]);
        delta[1] += quad_sum(sum[1]);
      }
      if (pass == 0) continue;
      each_number<kOthers>(first,
                           [&](int r, int j, int i, int) { p[j][i] *= dp[j][i] - delta[r]; });
      add_weighted<channels>(p, rows, heads.k, first, own.all.end, dq);
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (own.token[r] >= 0 && lane_part() == 0) {
      keep(own.row[r], own.token[r], Statistics{lse[r], delta[r]});
    }
  }
  heads.put<channels>(0, own, scale, dq);
}

// dk and dv of a tile of keys. of(row) gives a query's Statistics.
template <int channels, class F>
__device__ inline void key_side(const BackwardWork<bf16>& a, const Rows& rows, const Heads& heads,
                                const F& of) {
  constexpr int kQueries = 2;  // times 8
  const OwnRows own(rows);
  const auto scale = static_cast<float>(a.sequences.scale);
  const Own<channels> keys(heads.k, own.token);
  const Own<channels> values(heads.v, own.token);
  float dk[channels / 8][4] = {}, dv[channels / 8][4] = {};
#pragma unroll 1
  for (int first = own.all.begin; first < own.all.end; first += kQueries * kEight) {
    float p[kQueries][4] = {}, ds[kQueries][4] = {};
    add_dots(keys, rows, heads.q, first, own.all.end, p);
    add_dots(values, rows, heads.dout, first, own.all.end, ds);
    each_number<kQueries>(first, [&](int, int j, int i, int query) {
      const bool meets = query < own.all.end;
      const Statistics known = meets ? of(query) : Statistics{};
      p[j][i] = meets ? __expf(scale * p[j][i] - known.lse) : 0.0f;
      ds[j][i] = p[j][i] * (ds[j][i] - known.delta);
    });
    add_weighted<channels>(ds, rows, heads.q, first, own.all.end, dk);
    add_weighted<channels>(p, rows, heads.dout, first, own.all.end, dv);
  }
  heads.put<channels>(1, own, scale, dk);
  const Index first_channel = (a.sequences.first_slot + rows.head()) * a.sequences.channels;
  heads.put<channels>(2, own, 1.0f, dv, [&](int token, int channel, auto& sums) {
    if (a.local.dout != nullptr) {
      add_values_gradient(a.local, token, first_channel + channel, sums);
    }
  });
}

// All of sequences that blocks have whole. Of others dq and the delta that their keys need. The
// first blocks take the structure embedding's parameters.
template <int channels>
static __global__ void __launch_bounds__(kMostThreads, 1)
    attention_backward_mma(Works<Laid<BackwardWork<bf16>>> works, ParameterSums<float> parameters) {
  POSETAPE_SHARED(int, starts, kRows);
  POSETAPE_SHARED(Statistics, statistics, kRows);
  if (blockIdx.x < works.begin) {
    return parameters_backward(works.of[0].work.local, parameters, blockIdx.x);
  }
  const BackwardWork<bf16>& a = works.mine().work;
  const Sequences& s = a.sequences;
  const bool whole = works.mine().parts == 1;
  const Rows rows(works, starts);
  const Heads heads(a, rows);
  query_side<channels>(a, rows, heads, [&](int row, int token, const Statistics& known) {
    if (whole) {
      statistics[row] = known;
    } else {
      a.delta[token * s.slots + s.first_slot + rows.head()] = known.delta;
    }
  });
  if (!whole) return;
  __syncthreads();
  key_side<channels>(a, rows, heads, [&](int row) { return statistics[row]; });
}

template <int channels>
static __global__ void __launch_bounds__(kMostThreads, 1)
    attention_keys_mma(Works<Laid<BackwardWork<bf16>>> works) {
  POSETAPE_SHARED(int, starts, kRows);
  const BackwardWork<bf16>& a = works.mine().work;
  const Sequences& s = a.sequences;
  const Rows rows(works, starts);
  key_side<channels>(a, rows, Heads(a, rows), [&](int row) {
    const Index at = rows.token(row) * s.slots + s.first_slot + rows.head();
    return Statistics{a.lse[at], a.delta[at]};
  });
}

// Calls f(std::integral_constant of channels of a head) where these kernels do the work, and says
// whether they do.
template <class F>
bool on_tensor_cores(const Sequences& s, const F& f) {
  constexpr int kFirstMajor = 8;  // sm_80
  constexpr Index kMostTokens = 0x7FFFFFFF;
  if (s.packed == 0 || s.count * s.length > kMostTokens || cuda::open().major < kFirstMajor) {
    return false;
  }
  switch (s.channels) {
    case 16:
      f(std::integral_constant<int, 16>{});
      return true;
    case 32:
      f(std::integral_constant<int, 32>{});
      return true;
    case 64:
      f(std::integral_constant<int, 64>{});
      return true;
    default:
      return false;
  }
}

// The works of all axes, or of those whose sequences are in parts.
template <class Work>
Works<Laid<Work>> laid(std::span<const Work> list, bool in_parts = false, Index begin = 0) {
  std::vector<Laid<Work>> all;
  for (const Work& work : list) {
    const Layout l = layout(work.sequences.length);
    if (!in_parts || l.parts > 1) {
      all.push_back({work, l.length, l.pitch, l.sequences, l.parts, l.inverse});
    }
  }
  if (all.empty()) return {};
  return together(
      std::span<const Laid<Work>>(all),
      [](const Laid<Work>& x) { return blocks(x.work.sequences, x.layout()); }, begin);
}

inline bool forward(std::span<const ForwardWork<bf16>> list) {
  return on_tensor_cores(list.front().sequences, [&](auto channels) {
    const auto works = laid(list);
    POSETAPE_RUN((attention_forward_mma<channels>), static_cast<unsigned>(works.end), kMostThreads,
                 0, works);
  });
}

inline bool backward(std::span<const BackwardWork<bf16>> list) {
  return on_tensor_cores(list.front().sequences, [&](auto channels) {
    const StructureEmbeddingBackward<bf16>& local = list.front().local;
    ParameterSums<float> parameters{};
    if (local.dout != nullptr) parameters = parameter_sums(local, kMostThreads);
    const cuda::Scratch<float> partial(parameters.chunks * kSums * local.width);
    parameters.partial = partial.data();
    if (parameters.chunks > 0) {
      parameters.counters = cuda::take_counters(parameters.channel_blocks + 1);
    }
    const auto works = laid(list, false, parameters.blocks());
    const auto parts = laid(list, true);
    POSETAPE_RUN((attention_backward_mma<channels>), static_cast<unsigned>(works.end), kMostThreads,
                 0, works, parameters);
    POSETAPE_RUN((attention_keys_mma<channels>), static_cast<unsigned>(parts.end), kMostThreads, 0,
                 parts);
  });
}

}  // namespace posetape::mma_sequences
