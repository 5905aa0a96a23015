// A thread owns a query (in the pass over keys) or a key (in the pass over queries), with its
// channels in registers, and walks over tiles of the other side in shared memory. All threads of a
// group read the same address at a time, which is one access for the warp, and use each number for
// two products: with vector reads, eight multiply-adds an access, so that arithmetic is the limit
// and not shared memory. Where a head is wider than the registers, neighbouring lanes share a row
// and add up their parts of a dot product.
//
// Few tokens (the joints) are a group of one warp for each frame and head, many (the frames) one of
// a block for each joint and head. Nothing of the size of the scores is stored.
#include "kernels/axial_attention/axial_attention.hpp"

#include <string>

#include "kernels/cuda/kernel.hpp"
#include "kernels/cuda/reduce.hpp"
#include "kernels/error.hpp"

namespace posetape {

static constexpr int kAttentionThreads = 128;  // of a block
static constexpr int kScores = 4;              // that are computed before the maximum moves
static constexpr std::size_t kSharedBytes = 48 * 1024;

// One half of the channels, and how its work is cut.
struct AttentionPlan {
  Index frames, joints, width, heads;  // width: D
  Index channels;                      // of a head
  Index lanes;                         // that share a row
  Index length;                        // tokens of a sequence
  Index sequences;
  Index space;       // 1 along the joints, 0 along the frames
  Index first_head;  // of this half in [0, segments * heads)
  Index all_heads;   // segments * heads
  Index group;       // threads of a group: 32 or kAttentionThreads
  Index tile;        // rows in shared memory
  double scale;
};

// Where one group works.
struct AttentionPlace {
  Index first_token, token_step;
  Index channel;  // of the head's first channel in [0, D)
  Index head;     // in [0, segments * heads)
  Index row;      // of this thread
  Index part;     // this thread's channels of the row begin here
  Index rank;     // in its group
  bool inside;    // of the grid of sequences and heads; the row may still be beyond its end

  __device__ Index token(Index i) const { return first_token + i * token_step; }
};

template <int channels>
__device__ inline AttentionPlace attention_place(const AttentionPlan& p) {
  const Index groups = kAttentionThreads / p.group;
  const Index number = Index{blockIdx.x} * groups + threadIdx.x / p.group;
  const Index sequence = number / p.heads;
  AttentionPlace at;
  at.inside = sequence < p.sequences;
  at.head = p.first_head + number % p.heads;
  at.channel = at.head * p.channels;
  at.rank = threadIdx.x % p.group;
  at.row = Index{blockIdx.y} * (p.group / p.lanes) + at.rank / p.lanes;
  at.part = at.rank % p.lanes * channels;
  if (p.space != 0) {
    at.first_token = sequence * p.joints;
    at.token_step = 1;
  } else {
    at.first_token = sequence / p.joints * p.frames * p.joints + sequence % p.joints;
    at.token_step = p.joints;
  }
  return at;
}

__device__ inline void sync_group(const AttentionPlan& p) {
  if (p.group == cuda::kWarp) {
    __syncwarp();
  } else {
    __syncthreads();
  }
}

// A group's tiles: two arrays of `tile` rows of padded channels, and two numbers a row.
template <class A>
struct AttentionTile {
  A* first;
  A* second;
  A* numbers;
  Index padded;
};
template <int channels, class A>
__device__ inline AttentionTile<A> attention_tile(const AttentionPlan& p, A* shared) {
  const Index padded = channels * p.lanes;
  A* own = shared + threadIdx.x / p.group * (2 * p.tile * (padded + 1));
  return {own, own + p.tile * padded, own + 2 * p.tile * padded, padded};
}

// rows[j] = `factor` times the head's channels of token first + j, zero beyond the head and the
// sequence.
template <class T, class A>
__device__ inline void load_tile(const AttentionPlan& p, const AttentionPlace& at, const T* x,
                                 Index stride, Index offset, Index first, A factor, Index padded,
                                 A* rows) {
  for (Index i = at.rank; i < p.tile * padded; i += p.group) {
    const Index j = first + i / padded;
    const Index c = i % padded;
    const bool inside = at.inside && j < p.length && c < p.channels;
    rows[i] = inside ? factor * load(x[at.token(j) * stride + offset + at.channel + c]) : A(0);
  }
}

// This thread's channels of its own row.
template <int channels, class T, class A>
__device__ inline void load_row(const AttentionPlan& p, const AttentionPlace& at, const T* x,
                                Index stride, Index offset, A factor, A (&row)[channels]) {
  const bool inside = at.inside && at.row < p.length;
  for (int c = 0; c < channels; ++c) {
    const bool exists = inside && at.part + c < p.channels;
    row[c] = exists
                 ? factor * load(x[at.token(at.row) * stride + offset + at.channel + at.part + c])
                 : A(0);
  }
}

template <int channels, class A>
__device__ inline A dot(const AttentionPlan& p, const A (&a)[channels], const A* b) {
  A sum = 0;
#pragma unroll
  for (int c = 0; c < channels; ++c) sum += a[c] * b[c];
  for (Index step = 1; step < p.lanes; step *= 2) {
    sum += __shfl_xor_sync(cuda::kFullWarp, sum, static_cast<int>(step));
  }
  return sum;
}

template <int channels, class A>
__device__ inline void add_scaled(A factor, const A* x, A (&sum)[channels]) {
#pragma unroll
  for (int c = 0; c < channels; ++c) sum[c] += factor * x[c];
}

template <int channels, class T>
static __global__ void __launch_bounds__(kAttentionThreads, 1)
    attention_forward(const T* qkv, const T* add, T* out, Accumulator<T>* lse, AttentionPlan p) {
  using A = Accumulator<T>;
  POSETAPE_DYNAMIC_SHARED(A, shared);
  const AttentionPlace at = attention_place<channels>(p);
  const AttentionTile<A> tile = attention_tile<channels>(p, shared);
  const Index stride = 3 * p.width;
  A q[channels];
  A sum[channels];
  load_row(p, at, qkv, stride, 0, static_cast<A>(p.scale), q);
  for (int c = 0; c < channels; ++c) sum[c] = A(0);
  A most = -HUGE_VAL;
  A total = 0;
  for (Index first = 0; first < p.length; first += p.tile) {
    load_tile(p, at, qkv, stride, p.width, first, A(1), tile.padded, tile.first);
    load_tile(p, at, qkv, stride, 2 * p.width, first, A(1), tile.padded, tile.second);
    sync_group(p);
    const Index count = p.length - first < p.tile ? p.length - first : p.tile;
    for (Index j = 0; j < count; j += kScores) {
      A score[kScores];
      A top = most;
#pragma unroll
      for (int k = 0; k < kScores; ++k) {
        score[k] = -HUGE_VAL;
        if (j + k >= count) continue;
        score[k] = dot(p, q, tile.first + (j + k) * tile.padded + at.part);
        top = score[k] > top ? score[k] : top;
      }
      const A moved = exp_(most - top);
      total *= moved;
      for (int c = 0; c < channels; ++c) sum[c] *= moved;
      most = top;
#pragma unroll
      for (int k = 0; k < kScores; ++k) {
        if (j + k >= count) continue;
        const A e = exp_(score[k] - top);
        total += e;
        add_scaled(e, tile.second + (j + k) * tile.padded + at.part, sum);
      }
    }
    sync_group(p);
  }
  if (!at.inside || at.row >= p.length) return;
  const Index token = at.token(at.row);
  const A inverse = A(1) / total;
  for (int c = 0; c < channels; ++c) {
    if (at.part + c >= p.channels) break;
    const Index i = token * p.width + at.channel + at.part + c;
    out[i] = store<T>(sum[c] * inverse + (add != nullptr ? load(add[i]) : A(0)));
  }
  if (at.part == 0) lse[token * p.all_heads + at.head] = most + log_(total);
}

// dq, and delta_i = sum_j p_ij dp_ij for the pass over queries.
template <int channels, class T>
static __global__ void __launch_bounds__(kAttentionThreads, 1)
    attention_backward_q(const T* qkv, const Accumulator<T>* lse, const T* dout,
                         GradientOut<T> dqkv, Accumulator<T>* deltas, AttentionPlan p) {
  using A = Accumulator<T>;
  POSETAPE_DYNAMIC_SHARED(A, shared);
  const AttentionPlace at = attention_place<channels>(p);
  const AttentionTile<A> tile = attention_tile<channels>(p, shared);
  const Index stride = 3 * p.width;
  const bool own = at.inside && at.row < p.length;
  A q[channels];
  A d[channels];
  A dq[channels];
  load_row(p, at, qkv, stride, 0, static_cast<A>(p.scale), q);
  load_row(p, at, dout, p.width, 0, A(1), d);
  for (int c = 0; c < channels; ++c) dq[c] = A(0);
  const A log_sum = own ? lse[at.token(at.row) * p.all_heads + at.head] : A(0);
  A delta = 0;
  // Delta first: it is subtracted from each dp before products, where their difference keeps its
  // digits.
  for (int pass = 0; pass < 2; ++pass) {
    for (Index first = 0; first < p.length; first += p.tile) {
      load_tile(p, at, qkv, stride, p.width, first, A(1), tile.padded, tile.first);
      load_tile(p, at, qkv, stride, 2 * p.width, first, A(1), tile.padded, tile.second);
      sync_group(p);
      const Index count = p.length - first < p.tile ? p.length - first : p.tile;
#pragma unroll 2
      for (Index j = 0; j < count; ++j) {
        const A* k = tile.first + j * tile.padded + at.part;
        const A probability = exp_(dot(p, q, k) - log_sum);
        const A dp = dot(p, d, tile.second + j * tile.padded + at.part);
        if (pass == 0) {
          delta += probability * dp;
        } else {
          add_scaled(probability * (dp - delta), k, dq);
        }
      }
      sync_group(p);
    }
  }
  if (!own) return;
  const Index token = at.token(at.row);
  for (int c = 0; c < channels; ++c) {
    if (at.part + c >= p.channels) break;
    dqkv.put(token * stride + at.channel + at.part + c, static_cast<A>(p.scale) * dq[c]);
  }
  if (at.part == 0) deltas[token * p.all_heads + at.head] = delta;
}

// dk and dv.
template <int channels, class T>
static __global__ void __launch_bounds__(kAttentionThreads, 1)
    attention_backward_kv(const T* qkv, const Accumulator<T>* lse, const T* dout,
                          GradientOut<T> dqkv, const Accumulator<T>* deltas, AttentionPlan p) {
  using A = Accumulator<T>;
  POSETAPE_DYNAMIC_SHARED(A, shared);
  const AttentionPlace at = attention_place<channels>(p);
  const AttentionTile<A> tile = attention_tile<channels>(p, shared);
  const Index stride = 3 * p.width;
  A k[channels];
  A v[channels];
  A dk[channels];
  A dv[channels];
  load_row(p, at, qkv, stride, p.width, A(1), k);
  load_row(p, at, qkv, stride, 2 * p.width, A(1), v);
  for (int c = 0; c < channels; ++c) dk[c] = dv[c] = A(0);
  for (Index first = 0; first < p.length; first += p.tile) {
    load_tile(p, at, qkv, stride, 0, first, static_cast<A>(p.scale), tile.padded, tile.first);
    load_tile(p, at, dout, p.width, 0, first, A(1), tile.padded, tile.second);
    for (Index i = at.rank; i < p.tile; i += p.group) {
      const bool inside = at.inside && first + i < p.length;
      const Index slot = inside ? at.token(first + i) * p.all_heads + at.head : 0;
      tile.numbers[2 * i] = inside ? lse[slot] : A(0);
      tile.numbers[2 * i + 1] = inside ? deltas[slot] : A(0);
    }
    sync_group(p);
    const Index count = p.length - first < p.tile ? p.length - first : p.tile;
#pragma unroll 2
    for (Index i = 0; i < count; ++i) {
      const A* q = tile.first + i * tile.padded + at.part;
      const A* d = tile.second + i * tile.padded + at.part;
      const A probability = exp_(dot(p, k, q) - tile.numbers[2 * i]);
      const A dp = dot(p, v, d);
      add_scaled(probability, d, dv);
      add_scaled(probability * (dp - tile.numbers[2 * i + 1]), q, dk);
    }
    sync_group(p);
  }
  if (!at.inside || at.row >= p.length) return;
  for (int c = 0; c < channels; ++c) {
    if (at.part + c >= p.channels) break;
    const Index i = at.token(at.row) * stride + p.width + at.channel + at.part + c;
    dqkv.put(i, dk[c]);
    dqkv.put(i + p.width, dv[c]);
  }
}

// Calls f(plan, channels of a thread, grid, bytes of shared memory) for each half.
template <class T, class F>
static void each_axis(const AttentionShape& s, const F& f) {
  using A = Accumulator<T>;
  for (Index segment = 0; segment < s.segments(); ++segment) {
    const bool space = s.axis == Axis::space || (s.axis == Axis::cross && segment == 0);
    AttentionPlan p{};
    p.frames = s.frames;
    p.joints = s.joints;
    p.width = s.width;
    p.heads = s.heads;
    p.channels = s.head_width();
    p.length = space ? s.joints : s.frames;
    p.sequences = s.batch * (space ? s.frames : s.joints);
    p.space = space ? 1 : 0;
    p.first_head = segment * s.heads;
    p.all_heads = s.segments() * s.heads;
    p.scale = s.scale;
    const Index each = p.channels <= 8 ? 8 : 16;  // four rows of more do not fit into registers
    p.lanes = 1;
    while (p.lanes * each < p.channels) p.lanes *= 2;
    if (p.lanes > cuda::kWarp) {
      throw Error("axial_attention on cuda: heads of " + std::to_string(p.channels) +
                  " channels; at most " + std::to_string(cuda::kWarp * each) + " are possible");
    }
    p.group = p.length * p.lanes <= cuda::kWarp ? cuda::kWarp : kAttentionThreads;
    const Index groups = kAttentionThreads / p.group;
    const Index row_bytes = 2 * (each * p.lanes + 1) * static_cast<Index>(sizeof(A)) * groups;
    p.tile = static_cast<Index>(kSharedBytes) / row_bytes;
    const Index enough = p.length < 32 ? p.length : 32;
    if (p.tile > enough) p.tile = enough > 0 ? enough : 1;
    const dim3 grid(cuda::blocks_for(p.sequences * p.heads, groups),
                    cuda::blocks_for(p.length, p.group / p.lanes));
    f(p, each, grid, static_cast<std::size_t>(p.tile * row_bytes));
  }
}

// The instance of `kernel` for a number of channels that each_axis() chose.
#define POSETAPE_ATTENTION(kernel, T, channels, grid, shared, ...)               \
  if (channels == 8) {                                                           \
    POSETAPE_RUN((kernel<8, T>), grid, kAttentionThreads, shared, __VA_ARGS__);  \
  } else {                                                                       \
    POSETAPE_RUN((kernel<16, T>), grid, kAttentionThreads, shared, __VA_ARGS__); \
  }                                                                              \
  static_assert(true)

template <class T>
static void run(const AxialAttentionForward<T>& a) {
  // The halves need nothing of each other: the first goes to a side stream.
  cuda::Fork fork;
  each_axis<T>(a.shape, [&](const AttentionPlan& p, Index channels, dim3 grid, std::size_t shared) {
    const auto launch = [&] {
      POSETAPE_ATTENTION(attention_forward, T, channels, grid, shared, a.qkv, a.add, a.out, a.lse,
                         p);
    };
    p.first_head + p.heads < p.all_heads ? fork.aside(launch) : launch();
  });
  fork.join();
}
POSETAPE_CUDA_KERNEL(AxialAttentionForward);

template <class T>
static void run(const AxialAttentionBackward<T>& a) {
  const cuda::Scratch<Accumulator<T>> deltas(a.shape.tokens() * a.shape.segments() * a.shape.heads);
  cuda::Fork fork;
  each_axis<T>(a.shape, [&](const AttentionPlan& p, Index channels, dim3 grid, std::size_t shared) {
    const auto launch = [&] {
      POSETAPE_ATTENTION(attention_backward_q, T, channels, grid, shared, a.qkv, a.lse, a.dout,
                         a.dqkv, deltas.data(), p);
      POSETAPE_ATTENTION(attention_backward_kv, T, channels, grid, shared, a.qkv, a.lse, a.dout,
                         a.dqkv, deltas.data(), p);
    };
    p.first_head + p.heads < p.all_heads ? fork.aside(launch) : launch();
  });
  fork.join();
}
POSETAPE_CUDA_KERNEL(AxialAttentionBackward);

}  // namespace posetape
