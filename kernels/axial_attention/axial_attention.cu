// A thread owns a row (a query, or in the second half of the backward pass a key) or two, whose
// scores with a tile of the other side's rows it keeps in registers: no thread needs another's
// scores. Both sides lie in shared memory, 16 channels (32 for wide heads) at a time. Sequences of
// up to 32 tokens are one warp each, several to a block, longer ones a block for each 64 or 128
// rows.
//
// All threads read the same row of the other side, which costs one of the 32 banks' cycles for 16
// bytes, and their own rows, which cost four. With one row a thread and 16 others, 4 channels are
// 64 multiplications and 16 + 4 cycles of loads beside 16 of arithmetic (an SM has 128 lanes); with
// two rows they are 16 + 8 beside 32, so that arithmetic is what long sequences wait for. Short
// ones do 4 * 17 multiplications for each number they read, half of them idle, and wait for memory.
#include "kernels/axial_attention/axial_attention.hpp"

#include <array>
#include <type_traits>

#include "kernels/axial_attention/cuda_sequences.hpp"
#include "kernels/axial_attention/mma_sequences.hpp"
#include "kernels/cuda/pack.hpp"
#include "kernels/cuda/reduce.hpp"

namespace posetape {

// How many threads own how many rows each, beside tiles of how many others.
template <class A, int channels, int group, int own, int others, int own_tiles, int other_tiles>
struct Plan {
  using Number = A;
  static constexpr int kChannels = channels;
  static constexpr int kGroup = group;  // threads that work together
  static constexpr int kOwn = own;      // rows of a thread
  static constexpr int kOwnRows = own * group;
  static constexpr int kOthers = others;
  // One pack more than a row has: neighbouring threads' packs lie in different banks.
  static constexpr int kStride = channels + cuda::kPack<A>;
  static constexpr int kOwnTile = kOwnRows * kStride;
  static constexpr int kOtherTile = kOthers * kStride;
  // The last ones are for a number of each own row.
  static constexpr int kShared = own_tiles * kOwnTile + other_tiles * kOtherTile + kOwnRows;
  static constexpr int kMostShared = 48 * 1024 / static_cast<int>(sizeof(A));
  // Warps can share a block, since they need not wait for each other.
  static constexpr int kGroups = group > cuda::kWarp          ? 1
                                 : 4 * kShared <= kMostShared ? 4
                                 : 2 * kShared <= kMostShared ? 2
                                                              : 1;
  static constexpr int kThreads = kGroups * kGroup;
  // Blocks that must fit: said, or ptxas spills registers to make room for more.
  static constexpr int kBlocks = 1;

  __device__ static void wait() {
    if constexpr (kGroup == cuda::kWarp) {
      __syncwarp();
    } else {
      __syncthreads();
    }
  }
};

static constexpr int kShort = cuda::kWarp;  // tokens

// As many others as registers have room for; 17 joints, and some, in one tile.
template <class A>
static constexpr bool kNarrow = std::is_same_v<A, float>;
template <class A>
static constexpr int kShortOthers = kNarrow<A> ? 24 : 8;
template <class A>
static constexpr int kLongOthers = kNarrow<A> ? 16 : 8;

// Channels of a wide head at a time. f64 is for checks and bf16 goes to tensor cores: they have one
// kind of kernels.
template <class T>
static constexpr int kWideSlice = std::is_same_v<T, float> ? 32 : 16;

template <class A, int channels>
using ShortForward = Plan<A, channels, cuda::kWarp, 1, kShortOthers<A>, 1, 2>;
template <class A, int channels>
using ShortBackward = Plan<A, channels, cuda::kWarp, 1, kShortOthers<A>, 2, 2>;
template <class A, int channels>
using LongForward = Plan<A, channels, 64, kNarrow<A> ? 2 : 1, kLongOthers<A>, 1, 2>;
template <class A, int channels>
using LongBackward =
    Plan<A, channels, 64, kNarrow<A> && channels == 16 ? 2 : 1, kLongOthers<A>, 2, 2>;

// What one group of threads does: some rows of one head of one sequence, and of the result some of
// its channels (all of them, unless the head is wide).
struct Task {
  Index sequence;
  Index head;
  Index first;  // row
  Index slice;  // of kChannels channels
  Index slices;
};

template <class P>
static Index tasks(const Sequences& s) {
  return s.count * s.heads * cuda::blocks_for(s.length, P::kOwnRows) *
         cuda::blocks_for(s.channels, P::kChannels);
}

template <class P>
__device__ inline Task task(const Sequences& s, Index number) {
  const Index slices = (s.channels + P::kChannels - 1) / P::kChannels;
  const Index blocks = (s.length + P::kOwnRows - 1) / P::kOwnRows;
  const Index rest = number / slices;
  return {rest / blocks / s.heads, rest / blocks % s.heads, rest % blocks * P::kOwnRows,
          number % slices, slices};
}

// One head's rows of q, k, v or a result.
template <class T>
struct HeadRows {
  T* data;
  Index step;
};

template <class T>
__device__ inline HeadRows<T> head_rows(T* data, Index stride, const Sequences& s, const Task& t) {
  return {data + s.token(t.sequence, 0) * stride + (s.first_slot + t.head) * s.channels,
          s.token_step * stride};
}

// Calls f(row of the tile, channel of the tile, whether inside) for packs of n elements.
template <class P, int rows, int n, class F>
__device__ inline void each_pack(const Sequences& s, Index first, Index slice, int thread,
                                 const F& f) {
  constexpr int kPacks = P::kChannels / n;
#pragma unroll 1
  for (int i = thread; i < rows * kPacks; i += P::kGroup) {
    const int row = i / kPacks;
    const int c = i % kPacks * n;
    f(row, c, first + row < s.length && slice * P::kChannels + c < s.channels);
  }
}

// A slice of rows into shared memory, zero beyond the sequence and the head.
template <class P, int rows, int n, class T>
__device__ inline void load_packs(const Sequences& s, const HeadRows<const T>& from, Index first,
                                  Index slice, Accumulator<T> scale, int thread,
                                  Accumulator<T>* tile) {
  using A = Accumulator<T>;
  each_pack<P, rows, n>(s, first, slice, thread, [&](int row, int c, bool inside) {
    A values[n] = {};
    if (inside) {
      cuda::load_pack<n>(from.data + (first + row) * from.step + slice * P::kChannels + c, values);
    }
#pragma unroll
    for (int e = 0; e < n; ++e) tile[row * P::kStride + c + e] = scale * values[e];
  });
}
template <class P, int rows, class T>
__device__ inline void load_rows(const Sequences& s, const HeadRows<const T>& from, Index first,
                                 Index slice, Accumulator<T> scale, int thread,
                                 Accumulator<T>* tile) {
  if (s.packed != 0) {
    load_packs<P, rows, cuda::kPack<T>>(s, from, first, slice, scale, thread, tile);
  } else {
    load_packs<P, rows, 1>(s, from, first, slice, scale, thread, tile);
  }
}

// And back, plus what `add` has there, unless that is null.
template <class P, int n, class T>
__device__ inline void store_packs(const Sequences& s, const HeadRows<T>& to, const T* add,
                                   Index first, Index slice, int thread,
                                   const Accumulator<T>* tile) {
  using A = Accumulator<T>;
  each_pack<P, P::kOwnRows, n>(s, first, slice, thread, [&](int row, int c, bool inside) {
    if (!inside) return;
    const Index at = (first + row) * to.step + slice * P::kChannels + c;
    A values[n] = {};
    if (add != nullptr) cuda::load_pack<n>(add + at, values);
#pragma unroll
    for (int e = 0; e < n; ++e) values[e] += tile[row * P::kStride + c + e];
    cuda::store_pack<n>(to.data + at, values);
  });
}

// The threads' own rows, through shared memory so that whole lines are written.
template <class P, class T, class A>
__device__ inline void store_own(const Sequences& s, const HeadRows<T>& to, const T* add,
                                 const Task& t, A scale, int thread,
                                 const A (&rows)[P::kOwn][P::kChannels], A* tile) {
  P::wait();
#pragma unroll
  for (int r = 0; r < P::kOwn; ++r) {
#pragma unroll
    for (int c = 0; c < P::kChannels; ++c) {
      tile[(thread + r * P::kGroup) * P::kStride + c] = scale * rows[r][c];
    }
  }
  P::wait();
  if (s.packed != 0) {
    store_packs<P, cuda::kPack<T>>(s, to, add, t.first, t.slice, thread, tile);
  } else {
    store_packs<P, 1>(s, to, add, t.first, t.slice, thread, tile);
  }
}

// Calls f(j) for the others that exist, and some up to the next multiple of 8.
template <class P, class F>
__device__ inline void each_other(int count, const F& f) {
#pragma unroll
  for (int j = 0; j < P::kOthers; j += 8) {
    if (j < count) {
#pragma unroll
      for (int k = 0; k < 8; ++k) f(j + k);
    }
  }
}

// sums[r][j] += own row r . other row j
template <class P, class A>
__device__ inline void add_dots(const A* own, const A* others, int count, int channels, int thread,
                                A (&sums)[P::kOwn][P::kOthers]) {
  constexpr int n = cuda::kPack<A>;
#pragma unroll 1
  for (int c = 0; c < channels; c += n) {
    A x[P::kOwn][n];
#pragma unroll
    for (int r = 0; r < P::kOwn; ++r) {
      cuda::load_pack<n>(own + (thread + r * P::kGroup) * P::kStride + c, x[r]);
    }
    each_other<P>(count, [&](int j) {
      A y[n];
      cuda::load_pack<n>(others + j * P::kStride + c, y);
#pragma unroll
      for (int r = 0; r < P::kOwn; ++r) {
#pragma unroll
        for (int e = 0; e < n; ++e) sums[r][j] += x[r][e] * y[e];
      }
    });
  }
}

// result[r] += sum_j weight[r][j] other row j
template <class P, class A>
__device__ inline void add_weighted(const A (&weight)[P::kOwn][P::kOthers], const A* others,
                                    int count, A (&result)[P::kOwn][P::kChannels]) {
  constexpr int n = cuda::kPack<A>;
  each_other<P>(count, [&](int j) {
#pragma unroll
    for (int c = 0; c < P::kChannels; c += n) {
      A y[n];
      cuda::load_pack<n>(others + j * P::kStride + c, y);
#pragma unroll
      for (int r = 0; r < P::kOwn; ++r) {
#pragma unroll
        for (int e = 0; e < n; ++e) result[r][c + e] += weight[r][j] * y[e];
      }
    }
  });
}

// Channels of a head that a slice has.
template <class P>
__device__ inline int slice_channels(const Sequences& s, Index slice) {
  const Index left = s.channels - slice * P::kChannels;
  return static_cast<int>(left < P::kChannels ? left : P::kChannels);
}

template <class P>
__device__ inline int others_from(const Sequences& s, Index first) {
  const Index left = s.length - first;
  return static_cast<int>(left < P::kOthers ? left : P::kOthers);
}

template <class T, class P>
static __global__ void __launch_bounds__(P::kThreads, P::kBlocks)
    attention_forward(Works<ForwardWork<T>> works) {
  using A = Accumulator<T>;
  POSETAPE_SHARED(A, shared, P::kGroups * P::kShared);
  const ForwardWork<T>& a = works.mine();
  const Sequences& s = a.sequences;
  const int thread = static_cast<int>(threadIdx.x) % P::kGroup;
  const int group = static_cast<int>(threadIdx.x) / P::kGroup;
  const Task t = task<P>(s, works.block() * P::kGroups + group);
  if (t.sequence >= s.count) return;
  A* own = shared + group * P::kShared;
  A* keys = own + P::kOwnTile;
  A* values = keys + P::kOtherTile;
  const HeadRows<const T> q = head_rows(a.qkv, 3 * s.width, s, t);
  const HeadRows<const T> k = {q.data + s.width, q.step};
  const HeadRows<const T> v = {k.data + s.width, q.step};
  const auto scale = static_cast<A>(s.scale);

  A result[P::kOwn][P::kChannels] = {};
  A top[P::kOwn], sum[P::kOwn];
#pragma unroll
  for (int r = 0; r < P::kOwn; ++r) {
    top[r] = -HUGE_VAL;
    sum[r] = 0;
  }
#pragma unroll 1
  for (Index first = 0; first < s.length; first += P::kOthers) {
    const int count = others_from<P>(s, first);
    A p[P::kOwn][P::kOthers] = {};
#pragma unroll 1
    for (Index i = 1; i <= t.slices; ++i) {
      const Index slice = (t.slice + i) % t.slices;  // the result's comes last
      P::wait();
      if (first == 0 || t.slices > 1) {
        load_rows<P, P::kOwnRows>(s, q, t.first, slice, scale, thread, own);
      }
      load_rows<P, P::kOthers>(s, k, first, slice, A(1), thread, keys);
      if (i == t.slices) load_rows<P, P::kOthers>(s, v, first, slice, A(1), thread, values);
      P::wait();
      add_dots<P>(own, keys, count, slice_channels<P>(s, slice), thread, p);
    }
    // What has been added up so far moves to the new largest score.
#pragma unroll
    for (int r = 0; r < P::kOwn; ++r) {
      A most = top[r];
#pragma unroll
      for (int j = 0; j < P::kOthers; ++j) most = j < count && p[r][j] > most ? p[r][j] : most;
      const A reference = most == A(-HUGE_VAL) ? A(0) : most;  // -inf - -inf is no number
      const A correction = exp_(top[r] - reference);
      top[r] = most;
      sum[r] *= correction;
#pragma unroll
      for (int j = 0; j < P::kOthers; ++j) {
        p[r][j] = j < count ? exp_(p[r][j] - reference) : A(0);
        sum[r] += p[r][j];
      }
#pragma unroll
      for (int c = 0; c < P::kChannels; ++c) result[r][c] *= correction;
    }
    add_weighted<P>(p, values, count, result);
  }
#pragma unroll
  for (int r = 0; r < P::kOwn; ++r) {
    const A inverse = A(1) / sum[r];
#pragma unroll
    for (int c = 0; c < P::kChannels; ++c) result[r][c] *= inverse;
    const Index row = t.first + thread + r * P::kGroup;
    if (t.slice == 0 && row < s.length) {
      a.lse[s.token(t.sequence, row) * s.slots + s.first_slot + t.head] = top[r] + log_(sum[r]);
    }
  }
  const HeadRows<T> out = head_rows(a.out, s.width, s, t);
  const T* add = a.add != nullptr ? head_rows(a.add, s.width, s, t).data : nullptr;
  store_own<P>(s, out, add, t, A(1), thread, result, own);
}

// Two pairs of rows whose dot products a backward pass needs: (q, k) and (dout, v) of a query, the
// other way round of a key.
template <class T>
struct RowPairs {
  HeadRows<const T> own[2];
  HeadRows<const T> other[2];
  Accumulator<T> own_scale;  // of the first pair
  Accumulator<T> other_scale;
};

// Shared memory of a group.
template <class P>
struct Tiles {
  using A = typename P::Number;
  A* own[2];
  A* other[2];
  A* delta;  // of a sequence that has one group

  __device__ explicit Tiles(A* shared)
      : own{shared, shared + P::kOwnTile},
        other{shared + 2 * P::kOwnTile, shared + 2 * P::kOwnTile + P::kOtherTile},
        delta{shared + 2 * (P::kOwnTile + P::kOtherTile)} {}
};

// s and dp of the others from `first`. Leaves the slice of the result in the tiles.
template <class P, class T, class A>
__device__ inline void pair_dots(const Sequences& s, const RowPairs<T>& rows, const Task& t,
                                 Index first, bool own_loaded, int thread, const Tiles<P>& tiles,
                                 A (&score)[P::kOwn][P::kOthers], A (&dp)[P::kOwn][P::kOthers]) {
  const int count = others_from<P>(s, first);
#pragma unroll 1
  for (Index i = 1; i <= t.slices; ++i) {
    const Index slice = (t.slice + i) % t.slices;
    P::wait();
    if (!own_loaded || t.slices > 1) {
      load_rows<P, P::kOwnRows>(s, rows.own[0], t.first, slice, rows.own_scale, thread,
                                tiles.own[0]);
      load_rows<P, P::kOwnRows>(s, rows.own[1], t.first, slice, A(1), thread, tiles.own[1]);
    }
    load_rows<P, P::kOthers>(s, rows.other[0], first, slice, rows.other_scale, thread,
                             tiles.other[0]);
    load_rows<P, P::kOthers>(s, rows.other[1], first, slice, A(1), thread, tiles.other[1]);
    P::wait();
    const int channels = slice_channels<P>(s, slice);
    add_dots<P>(tiles.own[0], tiles.other[0], count, channels, thread, score);
    add_dots<P>(tiles.own[1], tiles.other[1], count, channels, thread, dp);
  }
}

template <class T>
__device__ inline HeadRows<const Accumulator<T>> lse_rows(const BackwardWork<T>& a, const Task& t) {
  const Sequences& s = a.sequences;
  return {a.lse + s.token(t.sequence, 0) * s.slots + s.first_slot + t.head, s.token_step * s.slots};
}

// Adds to a gradient that is there.
template <class P, class T, class A>
__device__ inline void store_gradient(const BackwardWork<T>& a, const Task& t, Index part, A scale,
                                      int thread, const A (&rows)[P::kOwn][P::kChannels], A* tile) {
  const Sequences& s = a.sequences;
  const HeadRows<T> to = head_rows(a.dqkv.data + part * s.width, 3 * s.width, s, t);
  store_own<P>(s, to, a.dqkv.into == Into::add ? to.data : nullptr, t, scale, thread, rows, tile);
}

// dq of a group's queries, and their delta: into shared memory where the sequence is short.
template <class P, bool is_short, class T>
__device__ inline void query_side(const BackwardWork<T>& a, const Task& t, int thread,
                                  const Tiles<P>& tiles) {
  using A = Accumulator<T>;
  const Sequences& s = a.sequences;
  const HeadRows<const T> q = head_rows(a.qkv, 3 * s.width, s, t);
  const HeadRows<const T> k = {q.data + s.width, q.step};
  const HeadRows<const T> v = {k.data + s.width, q.step};
  const auto scale = static_cast<A>(s.scale);
  const RowPairs<T> rows = {{q, head_rows(a.dout, s.width, s, t)}, {k, v}, scale, A(1)};
  const HeadRows<const A> lse_of = lse_rows(a, t);
  A lse[P::kOwn];
#pragma unroll
  for (int r = 0; r < P::kOwn; ++r) {
    const Index row = t.first + thread + r * P::kGroup;
    lse[r] = row < s.length ? lse_of.data[row * lse_of.step] : A(0);
  }
  // A pass for delta and one for dq, unless one tile has all the scores, which then are still
  // there.
  A delta[P::kOwn] = {};
  A dq[P::kOwn][P::kChannels] = {};
  const bool one_tile = s.length <= P::kOthers;
  bool loaded = false;
#pragma unroll 1
  for (int pass = one_tile ? 1 : 0; pass < 2; ++pass) {
#pragma unroll 1
    for (Index first = 0; first < s.length; first += P::kOthers) {
      const int count = others_from<P>(s, first);
      A p[P::kOwn][P::kOthers] = {}, dp[P::kOwn][P::kOthers] = {};
      pair_dots<P>(s, rows, t, first, loaded, thread, tiles, p, dp);
      loaded = true;
#pragma unroll
      for (int r = 0; r < P::kOwn; ++r) {
#pragma unroll
        for (int j = 0; j < P::kOthers; ++j) p[r][j] = j < count ? exp_(p[r][j] - lse[r]) : A(0);
        if (one_tile || pass == 0) {
#pragma unroll
          for (int j = 0; j < P::kOthers; ++j) delta[r] += p[r][j] * dp[r][j];
        }
#pragma unroll
        for (int j = 0; j < P::kOthers; ++j) dp[r][j] = p[r][j] * (dp[r][j] - delta[r]);
      }
      if (pass == 1) add_weighted<P>(dp, tiles.other[0], count, dq);
    }
  }
#pragma unroll
  for (int r = 0; r < P::kOwn; ++r) {
    const Index row = t.first + thread + r * P::kGroup;
    if (row >= s.length) continue;
    if constexpr (is_short) {
      tiles.delta[row] = delta[r];
    } else if (t.slice == 0) {
      a.delta[lse_of.data - a.lse + row * lse_of.step] = delta[r];
    }
  }
  store_gradient<P>(a, t, 0, scale, thread, dq, tiles.own[0]);
}

// dk and dv of a group's keys.
template <class P, bool is_short, class T>
__device__ inline void key_side(const BackwardWork<T>& a, const Task& t, int thread,
                                const Tiles<P>& tiles) {
  using A = Accumulator<T>;
  const Sequences& s = a.sequences;
  const HeadRows<const T> q = head_rows(a.qkv, 3 * s.width, s, t);
  const HeadRows<const T> k = {q.data + s.width, q.step};
  const HeadRows<const T> v = {k.data + s.width, q.step};
  const RowPairs<T> rows = {
      {k, v}, {q, head_rows(a.dout, s.width, s, t)}, A(1), static_cast<A>(s.scale)};
  const HeadRows<const A> lse_of = lse_rows(a, t);
  const HeadRows<const A> delta_of =
      is_short ? HeadRows<const A>{tiles.delta, 1}
               : HeadRows<const A>{a.delta + (lse_of.data - a.lse), lse_of.step};
  A dk[P::kOwn][P::kChannels] = {};
  A dv[P::kOwn][P::kChannels] = {};
#pragma unroll 1
  for (Index first = 0; first < s.length; first += P::kOthers) {
    const int count = others_from<P>(s, first);
    A p[P::kOwn][P::kOthers] = {}, ds[P::kOwn][P::kOthers] = {};
    pair_dots<P>(s, rows, t, first, first > 0, thread, tiles, p, ds);
#pragma unroll
    for (int j = 0; j < P::kOthers; ++j) {
      const bool exists = j < count;
      const A lse = exists ? lse_of.data[(first + j) * lse_of.step] : A(0);
      const A delta = exists ? delta_of.data[(first + j) * delta_of.step] : A(0);
#pragma unroll
      for (int r = 0; r < P::kOwn; ++r) {
        p[r][j] = exists ? exp_(p[r][j] - lse) : A(0);
        ds[r][j] = p[r][j] * (ds[r][j] - delta);
      }
    }
    add_weighted<P>(ds, tiles.other[0], count, dk);  // q already carries the scale
    add_weighted<P>(p, tiles.other[1], count, dv);
  }
  store_gradient<P>(a, t, 1, A(1), thread, dk, tiles.own[0]);
  store_gradient<P>(a, t, 2, A(1), thread, dv, tiles.own[1]);
}

template <class T, class P, class F>
__device__ inline void backward_task(const Works<BackwardWork<T>>& works, const F& f) {
  POSETAPE_SHARED(Accumulator<T>, shared, P::kGroups * P::kShared);
  const int thread = static_cast<int>(threadIdx.x) % P::kGroup;
  const int group = static_cast<int>(threadIdx.x) / P::kGroup;
  const BackwardWork<T>& a = works.mine();
  const Task t = task<P>(a.sequences, works.block() * P::kGroups + group);
  if (t.sequence >= a.sequences.count) return;
  f(a, t, thread, Tiles<P>(shared + group * P::kShared));
}

template <class T, class P>
static __global__ void __launch_bounds__(P::kThreads, P::kBlocks)
    attention_backward(Works<BackwardWork<T>> works) {
  backward_task<T, P>(
      works, [](const BackwardWork<T>& a, const Task& t, int thread, const Tiles<P>& tiles) {
        query_side<P, true>(a, t, thread, tiles);
        P::wait();
        key_side<P, true>(a, t, thread, tiles);
      });
}

template <class T, class P>
static __global__ void __launch_bounds__(P::kThreads, P::kBlocks)
    attention_queries(Works<BackwardWork<T>> works) {
  backward_task<T, P>(
      works, [](const BackwardWork<T>& a, const Task& t, int thread, const Tiles<P>& tiles) {
        query_side<P, false>(a, t, thread, tiles);
      });
}

template <class T, class P>
static __global__ void __launch_bounds__(P::kThreads, P::kBlocks)
    attention_keys(Works<BackwardWork<T>> works) {
  backward_task<T, P>(
      works, [](const BackwardWork<T>& a, const Task& t, int thread, const Tiles<P>& tiles) {
        key_side<P, false>(a, t, thread, tiles);
      });
}

// The works of axes, all of which the plan P suits.
template <class P, class Work>
static Works<Work> planned(std::span<const Work> list) {
  return together(list, [](const Work& work) {
    return cuda::blocks_for(tasks<P>(work.sequences), P::kGroups);
  });
}

template <class T, int channels>
static void forward(std::span<const ForwardWork<T>> list, bool is_short) {
  using A = Accumulator<T>;
  if (is_short) {
    using P = ShortForward<A, channels>;
    const auto works = planned<P>(list);
    POSETAPE_RUN((attention_forward<T, P>), static_cast<unsigned>(works.end), P::kThreads, 0,
                 works);
  } else {
    using P = LongForward<A, channels>;
    const auto works = planned<P>(list);
    POSETAPE_RUN((attention_forward<T, P>), static_cast<unsigned>(works.end), P::kThreads, 0,
                 works);
  }
}

template <class T, int channels>
static void backward(std::span<const BackwardWork<T>> list, bool is_short) {
  using A = Accumulator<T>;
  if (is_short) {
    using P = ShortBackward<A, channels>;
    const auto works = planned<P>(list);
    POSETAPE_RUN((attention_backward<T, P>), static_cast<unsigned>(works.end), P::kThreads, 0,
                 works);
  } else {
    using P = LongBackward<A, channels>;
    const auto works = planned<P>(list);
    POSETAPE_RUN((attention_queries<T, P>), static_cast<unsigned>(works.end), P::kThreads, 0,
                 works);
    POSETAPE_RUN((attention_keys<T, P>), static_cast<unsigned>(works.end), P::kThreads, 0, works);
  }
}

static Sequences sequences(const AttentionShape& shape, Index segment, bool packed) {
  const bool space = shape.axis == Axis::space || (shape.axis == Axis::cross && segment == 0);
  Sequences s{};
  s.count = shape.batch * (space ? shape.frames : shape.joints);
  s.length = space ? shape.joints : shape.frames;
  s.inner = space ? 1 : shape.joints;
  s.outer_step = space ? shape.joints : shape.frames * shape.joints;
  s.token_step = space ? 1 : shape.joints;
  s.heads = shape.heads;
  s.channels = shape.head_width();
  s.width = shape.width;
  s.first_slot = segment * shape.heads;
  s.slots = shape.segments() * shape.heads;
  s.packed = packed ? 1 : 0;
  s.scale = shape.scale;
  return s;
}

// Calls run(works, whether their sequences are short): once for all axes where these are alike,
// and side by side where not.
template <class Work, class F>
static void on_threads(std::span<const Work> list, const F& run) {
  const auto is_short = [](const Work& work) { return work.sequences.length <= kShort; };
  if (is_short(list.front()) == is_short(list.back())) return run(list, is_short(list.front()));
  cuda::Fork fork;
  fork.aside([&] { run(list.first(1), is_short(list.front())); });
  run(list.last(1), is_short(list.back()));
  fork.join();
}

// What the kernels are given: an axis each.
template <class T>
static std::array<ForwardWork<T>, 2> axes(const AxialAttentionForward<T>& a,
                                          const StructureEmbeddingForward<T>& local = {}) {
  const AttentionShape& shape = a.shape;
  const bool packed = cuda::packed<T>({a.qkv, a.add, a.out}, {shape.width, shape.head_width()});
  return {{{a.qkv, a.add, a.out, a.lse, sequences(shape, 0, packed), local},
           {a.qkv, a.add, a.out, a.lse, sequences(shape, 1, packed), local}}};
}
template <class T>
static std::array<BackwardWork<T>, 2> axes(const AxialAttentionBackward<T>& a,
                                           Accumulator<T>* delta,
                                           const StructureEmbeddingBackward<T>& local = {}) {
  const AttentionShape& shape = a.shape;
  const bool packed =
      cuda::packed<T>({a.qkv, a.dout, a.dqkv.data}, {shape.width, shape.head_width()});
  return {{{a.qkv, a.lse, a.dout, a.dqkv, delta, sequences(shape, 0, packed), local},
           {a.qkv, a.lse, a.dout, a.dqkv, delta, sequences(shape, 1, packed), local}}};
}

template <class T>
static void compute(const AxialAttentionForward<T>& a) {
  const AttentionShape& shape = a.shape;
  if (shape.tokens() == 0) return;
  const auto both = axes(a);
  const std::span<const ForwardWork<T>> list = std::span(both).first(shape.segments());
  if constexpr (std::is_same_v<T, bf16>) {
    if (mma_sequences::forward(list)) return;
  }
  on_threads(list, [&](std::span<const ForwardWork<T>> some, bool is_short) {
    shape.head_width() <= 16 ? forward<T, 16>(some, is_short)
                             : forward<T, kWideSlice<T>>(some, is_short);
  });
}
POSETAPE_CUDA_KERNEL(AxialAttentionForward);

template <class T>
static void compute(const AxialAttentionBackward<T>& a) {
  const AttentionShape& shape = a.shape;
  if (shape.tokens() == 0) return;
  const cuda::Scratch<Accumulator<T>> delta(shape.tokens() * shape.segments() * shape.heads);
  const auto both = axes(a, delta.data());
  const std::span<const BackwardWork<T>> list = std::span(both).first(shape.segments());
  if constexpr (std::is_same_v<T, bf16>) {
    if (mma_sequences::backward(list)) return;
  }
  on_threads(list, [&](std::span<const BackwardWork<T>> some, bool is_short) {
    shape.head_width() <= 16 ? backward<T, 16>(some, is_short)
                             : backward<T, kWideSlice<T>>(some, is_short);
  });
}
POSETAPE_CUDA_KERNEL(AxialAttentionBackward);

// On tensor cores in one launch, elsewhere one after the other.
template <class T>
static void compute(const StcAttentionForward<T>& a) {
  if constexpr (std::is_same_v<T, bf16>) {
    const auto both = axes(a.attention, a.local);
    if (a.attention.shape.tokens() > 0 &&
        mma_sequences::forward(std::span(both).first(a.attention.shape.segments()))) {
      return;
    }
  }
  in_turn(a, [](const auto& one) { cuda_entry(one); });
}
POSETAPE_CUDA_KERNEL(StcAttentionForward);

template <class T>
static void compute(const StcAttentionBackward<T>& a) {
  if constexpr (std::is_same_v<T, bf16>) {
    const AttentionShape& shape = a.attention.shape;
    const Index parts = a.local.dtable.wanted() ? a.local.parts : 0;
    if (shape.tokens() > 0 && a.attention.dqkv.wanted() && parts <= kParts) {
      const cuda::Scratch<float> delta(shape.tokens() * shape.segments() * shape.heads);
      const auto both = axes(a.attention, delta.data(), a.local);
      if (mma_sequences::backward(std::span(both).first(shape.segments()))) return;
    }
  }
  in_turn(a, [](const auto& one) { cuda_entry(one); });
}
POSETAPE_CUDA_KERNEL(StcAttentionBackward);

}  // namespace posetape
