// Vectors of the compiler's own kind, for loops that it does not vectorise well by itself.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "kernels/base/numbers.hpp"
#include "kernels/base/scalar.hpp"

namespace posetape {

// Bytes of a register of the instruction set that this file is compiled for.
#if defined(__AVX512F__)
static constexpr Index kVectorBytes = 64;
#elif defined(__AVX__)
static constexpr Index kVectorBytes = 32;
#else
static constexpr Index kVectorBytes = 16;
#endif

template <class A, Index bytes>
struct VectorOf {
  typedef A type __attribute__((vector_size(bytes)));
};

// The same arithmetic for numbers that the compiler has no vectors of.
template <class N, Index count>
struct Pack {
  N lanes[static_cast<std::size_t>(count)];

  friend Pack operator*(N a, Pack b) {
    for (N& x : b.lanes) x = a * x;
    return b;
  }
  friend Pack operator+(Pack a, const Pack& b) {
    for (Index i = 0; i < count; ++i) a.lanes[i] += b.lanes[i];
    return a;
  }
  Pack& operator+=(const Pack& b) { return *this = *this + b; }
  friend Pack operator-(Pack a, const Pack& b) {
    for (Index i = 0; i < count; ++i) a.lanes[i] -= b.lanes[i];
    return a;
  }
  friend Pack operator-(Pack a, N b) {
    for (N& x : a.lanes) x -= b;
    return a;
  }
  friend Pack operator*(Pack a, const Pack& b) {
    for (Index i = 0; i < count; ++i) a.lanes[i] *= b.lanes[i];
    return a;
  }
};
template <class A, Index bytes>
requires carries_derivative<A>
struct VectorOf<A, bytes> {
  using type = Pack<A, bytes / static_cast<Index>(sizeof(A))>;
};

// `bytes` may be more than a register holds.
template <class A, Index bytes = kVectorBytes>
using Vector = typename VectorOf<A, bytes>::type;
template <class A, Index bytes = kVectorBytes>
static constexpr Index kLanes = bytes / static_cast<Index>(sizeof(A));

// Unaligned.
template <class V, class A>
[[gnu::always_inline]] static inline V read(const A* p) {
  V v;
  __builtin_memcpy(static_cast<void*>(&v), p, sizeof v);
  return v;
}
template <class V, class A>
[[gnu::always_inline]] static inline void write(A* p, V v) {
  __builtin_memcpy(static_cast<void*>(p), &v, sizeof v);
}

// Stored numbers in their accumulator type, as a vector V of it or as one number: V is the
// accumulator itself.
template <class V, class T>
[[gnu::always_inline]] static inline V load_as(const T* p) {
  if constexpr (std::is_same_v<V, Accumulator<T>>) {
    return load(*p);
  } else if constexpr (std::is_same_v<T, bf16>) {
    constexpr Index kCount = Index{sizeof(V)} / Index{sizeof(float)};
    using Words = Vector<std::uint32_t, 4 * kCount>;
    using Halves = Vector<std::uint16_t, 2 * kCount>;
#ifdef __AVX512F__  // g++ 12 converts the vector's halves apart
    constexpr __mmask16 kAll = 0xffff;
    if constexpr (kCount == 16) {
      return (V)((Words)_mm512_maskz_cvtepu16_epi32(kAll, (__m256i)read<Halves>(p)) << 16);
    }
#endif
    return (V)(__builtin_convertvector(read<Halves>(p), Words) << 16);
  } else {
    return read<V>(p);
  }
}

// And back, rounded as bf16's constructor does.
template <class T, class V>
[[gnu::always_inline]] static inline void store_as(T* p, const V& v) {
  if constexpr (std::is_same_v<V, Accumulator<T>>) {
    *p = store<T>(v);
  } else if constexpr (std::is_same_v<T, bf16>) {
    constexpr Index kCount = Index{sizeof(V)} / Index{sizeof(float)};
    using Words = Vector<std::uint32_t, 4 * kCount>;
    using Halves = Vector<std::uint16_t, 2 * kCount>;
#ifdef __AVX512BF16__  // the same, but for subnormal numbers, which become zero
    if constexpr (kCount == 16) return write(p, (Halves)_mm512_cvtneps_pbh((__m512)v));
#endif
    const auto word = (Words)v;
    const Words rounded = (word + 0x7FFFu + ((word >> 16) & 1u)) >> 16;
    const Words quiet = word >> 16 | 0x40u;
    const Words bits = (word & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded;
    write(p, __builtin_convertvector(bits, Halves));
  } else {
    write(p, v);
  }
}

// The same, or added to what is there.
template <class T, class V>
[[gnu::always_inline]] static inline void put_as(T* p, const V& v, Into into) {
  if (into == Into::add) return store_as(p, load_as<V>(p) + v);
  store_as(p, v);
}

// What load_as() finds after store_as().
template <class T, class V>
[[gnu::always_inline]] static inline V rounded_to(const V& v) {
  if constexpr (std::is_same_v<V, Accumulator<T>>) {
    return load(store<T>(v));
  } else if constexpr (std::is_same_v<T, bf16>) {
    bf16 stored[sizeof(V) / sizeof(float)];
    store_as(stored, v);
    return load_as<V>(stored);
  } else {
    return v;
  }
}

// Two bf16 that are neighbours along the inner dimension of a product, the first one below.
using Bf16Pair = std::uint32_t;

// c += a b, lane by lane.
template <class V, class A>
[[gnu::always_inline]] static inline void multiply_add(V& c, A a, const V& b) {
  c += a * b;
}
#ifdef __AVX512BF16__
[[gnu::always_inline]] static inline void multiply_add(Vector<float>& c, Bf16Pair a,
                                                       const Vector<Bf16Pair>& b) {
  const auto spread = _mm512_set1_epi32(static_cast<int>(a));
  c = (Vector<float>)_mm512_dpbf16_ps((__m512)c, (__m512bh)spread, (__m512bh)b);
}
#endif

// Calls f(i, V()) for all i below n, a vector V of A at a time and the last ones one by one, where
// V is A.
template <class A, class F>
[[gnu::always_inline]] static inline void each_vector(Index n, const F& f) {
  const Index whole = n / kLanes<A> * kLanes<A>;
  for (Index i = 0; i < whole; i += kLanes<A>) f(i, Vector<A>());
  for (Index i = whole; i < n; ++i) f(i, A());
}

// f of each lane of a vector of A, or of one number.
template <class A, class V, class F>
[[gnu::always_inline]] static inline V lane_by_lane(const V& v, const F& f) {
  if constexpr (std::is_same_v<V, A>) {
    return f(v);
  } else {
    A lanes[sizeof(V) / sizeof(A)];
    write(lanes, v);
    for (A& x : lanes) x = f(x);
    return read<V>(lanes);
  }
}

// Asks for `count` elements, which need not exist. What only asks has to be inlined: g++ 12 leaves
// calls of it out (findings/gcc12_prefetch_function.sh).
template <class T>
[[gnu::always_inline]] static inline void prefetch(const T* x, Index count) {
  for (Index c = 0; c < count; c += Index{64 / sizeof(T)}) __builtin_prefetch(x + c);
}

// The same, in order to write them.
template <class T>
[[gnu::always_inline]] static inline void prefetch_to_write(const T* x, Index count) {
  for (Index c = 0; c < count; c += Index{64 / sizeof(T)}) __builtin_prefetch(x + c, 1);
}

// Rows that are used next, asked for line by line beside the work on others, into the second cache:
// short rows, or those that lie apart, are not seen coming by the processor. With `write`, in order
// to write them.
template <class T, bool write = false>
class RowsAhead {
 public:
  RowsAhead(const T* rows, Index stride, Index count, Index width)
      : row_(rows), stride_(stride), width_(width), rows_left_(width > 0 ? count : 0) {}
  [[gnu::always_inline]] void ask(Index lines) {
    for (; lines > 0 && rows_left_ > 0; --lines) {
      __builtin_prefetch(row_ + at_, write, 2);
      at_ += Index{64 / sizeof(T)};
      if (at_ < width_) continue;
      at_ = 0;
      row_ += stride_;
      --rows_left_;
    }
  }

 private:
  const T* row_;
  Index stride_, width_, rows_left_, at_ = 0;
};

// Lane by lane; a where one of the two is not a number.
template <class V>
[[gnu::always_inline]] static inline V larger(V a, V b) {
  return b > a ? b : a;
}
template <class N, Index count>
static Pack<N, count> larger(Pack<N, count> a, const Pack<N, count>& b) {
  for (Index i = 0; i < count; ++i) a.lanes[i] = b.lanes[i] > a.lanes[i] ? b.lanes[i] : a.lanes[i];
  return a;
}

// Four rows of x, `x_step` elements apart, become four columns of out: 32-bit elements of out, of
// which x may have parts.
template <class T, class Out>
[[gnu::always_inline]] static inline void transpose_4x4(const T* x, Index x_step, Out* out,
                                                        Index out_step) {
  using V = Vector<float, 16>;
  const V r0 = read<V>(x);
  const V r1 = read<V>(x + x_step);
  const V r2 = read<V>(x + 2 * x_step);
  const V r3 = read<V>(x + 3 * x_step);
  const V low01 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5);
  const V low23 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
  const V high01 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
  const V high23 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
  write(out, __builtin_shufflevector(low01, low23, 0, 1, 4, 5));
  write(out + out_step, __builtin_shufflevector(low01, low23, 2, 3, 6, 7));
  write(out + 2 * out_step, __builtin_shufflevector(high01, high23, 0, 1, 4, 5));
  write(out + 3 * out_step, __builtin_shufflevector(high01, high23, 2, 3, 6, 7));
}

// The same for as many rows as a vector has lanes: transpose_block.
#ifdef __AVX512F__
static constexpr Index kSquare = 16;

// Off-diagonal squares of two rows change places. The order is written as constants: g++ 12 puts
// one that is computed together lane by lane, at every call.
template <Index square, std::size_t... l>
[[gnu::always_inline]] static inline void swap_squares(Vector<std::int32_t>& first,
                                                       Vector<std::int32_t>& second,
                                                       std::index_sequence<l...>) {
  const auto upper =
      __builtin_shufflevector(first, second, ((l & square) != 0 ? kSquare + l - square : l)...);
  second =
      __builtin_shufflevector(first, second, ((l & square) != 0 ? kSquare + l : l + square)...);
  first = upper;
}
template <Index square>
[[gnu::always_inline]] static inline void swap_squares(Vector<std::int32_t>* rows) {
#pragma GCC unroll 16
  for (Index r = 0; r < kSquare; ++r) {
    if ((r & square) == 0) {
      swap_squares<square>(rows[r], rows[r + square], std::make_index_sequence<kSquare>());
    }
  }
}
template <class T, class Out>
[[gnu::always_inline]] static inline void transpose_block(const T* x, Index x_step, Out* out,
                                                          Index out_step) {
  using V = Vector<std::int32_t>;
  V rows[kSquare];
#pragma GCC unroll 16
  for (Index r = 0; r < kSquare; ++r) rows[r] = read<V>(x + r * x_step);
  swap_squares<1>(rows);
  swap_squares<2>(rows);
  swap_squares<4>(rows);
  swap_squares<8>(rows);
#pragma GCC unroll 16
  for (Index r = 0; r < kSquare; ++r) write(out + r * out_step, rows[r]);
}
#else
static constexpr Index kSquare = 4;
template <class T, class Out>
[[gnu::always_inline]] static inline void transpose_block(const T* x, Index x_step, Out* out,
                                                          Index out_step) {
  transpose_4x4(x, x_step, out, out_step);
}
#endif

// out[column][row] = x[row][column]
template <class A>
static void transpose(const A* x, Index rows, Index columns, A* out) {
  if constexpr (std::is_same_v<A, float>) {
    if (rows % kSquare == 0 && columns % kSquare == 0) {
      for (Index r = 0; r < rows; r += kSquare) {
        for (Index c = 0; c < columns; c += kSquare) {
          transpose_block(x + r * columns + c, columns, out + c * rows + r, rows);
        }
      }
      return;
    }
    if (rows % 4 == 0 && columns % 4 == 0) {
      for (Index r = 0; r < rows; r += 4) {
        for (Index c = 0; c < columns; c += 4) {
          transpose_4x4(x + r * columns + c, columns, out + c * rows + r, rows);
        }
      }
      return;
    }
  }
  for (Index c = 0; c < columns; ++c) {
    for (Index r = 0; r < rows; ++r) out[c * rows + r] = x[r * columns + c];
  }
}

}  // namespace posetape
