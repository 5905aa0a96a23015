// Loops over independent work on the one pool of threads, and the fixed-order reduction.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/base/scalar.hpp"

namespace posetape {

// Threads used from now on by every kernel (at least 1). The default is what this process may use.
void set_threads(int count);
int threads();

// Calls f(context, piece) for every piece in [0, pieces), each once, on the pool and the calling
// thread; returns when all are done. Pieces are taken in turn by whoever is free, so a thread that
// the system holds back holds up no more than its own piece. Inside another such call, and where
// one is running already, the calling thread does everything.
void run_pieces(Index pieces, void (*f)(const void* context, Index piece), const void* context);

// Calls f(begin, end) on pieces of [0, n) of at least `grain` items, in parallel. Items must be
// independent of each other: where the pieces begin and end depends on the thread count.
template <class F>
static void parallel_for(Index n, Index grain, const F& f) {
  if (n <= 0) return;
  // A few pieces for every thread even out what each costs.
  const Index most = threads() == 1 ? 1 : 4 * Index{threads()};
  const Index pieces = std::min(most, (n + grain - 1) / std::max<Index>(grain, 1));
  if (pieces <= 1) return f(Index{0}, n);
  struct Context {
    Index n, pieces;
    const F* f;
  };
  const Context context{n, pieces, &f};
  run_pieces(
      pieces,
      [](const void* opaque, Index p) {
        const auto& c = *static_cast<const Context*>(opaque);
        (*c.f)(c.n * p / c.pieces, c.n * (p + 1) / c.pieces);
      },
      &context);
}

// The same for elementwise work, where an item costs a few instructions. Pieces begin at multiples
// of a block, so that an element is in the vector part of a loop, or in its tail, for any thread
// count.
template <class F>
static void parallel_elements(Index n, const F& f) {
  constexpr Index kBlock = 4096;
  parallel_for((n + kBlock - 1) / kBlock, 4,
               [&](Index begin, Index end) { f(begin * kBlock, std::min(n, end * kBlock)); });
}

// The same for rows of `width` such elements: calls f(row, begin, end) on stretches of a row, whose
// ends depend on the shape alone.
template <class F>
static void parallel_rows(Index rows, Index width, const F& f) {
  constexpr Index kBlock = 4096;
  const Index blocks = (width + kBlock - 1) / kBlock;
  const Index stretch = std::max<Index>(1, std::min(width, kBlock));
  parallel_for(rows * blocks, std::max<Index>(1, 4 * kBlock / stretch),
               [&](Index begin, Index end) {
                 for (Index i = begin; i < end; ++i) {
                   const Index first = i % blocks * kBlock;
                   f(i / blocks, first, std::min(width, first + kBlock));
                 }
               });
}

// Memory of the calling thread for one call, aligned for vector loads; given back in the reverse
// order. It stays with the thread, since fresh pages from the system cost more than what is
// computed in them. Under the address sanitizer every piece is a heap block of its own.
void* take_scratch(std::size_t bytes);
void give_back_scratch(void* data);

// Uninitialised memory for one call.
template <class T>
class Scratch {
 public:
  explicit Scratch(Index count)
      : data_(static_cast<T*>(take_scratch(sizeof(T) * static_cast<std::size_t>(count)))) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { give_back_scratch(data_); }

  T* data() { return data_; }
  T& operator[](Index i) { return data_[i]; }

 private:
  T* data_;
};
#ifdef POSETAPE_OPENMP_SIMD  // without -fopenmp-simd the pragma is a warning
// The sum of at(i), i below n: short stretches in A, their sums in f64, so that a long sum in f32
// keeps its digits with any width of vectors, or none.
template <class A, class F>
[[gnu::always_inline]] static inline LongSum<A> sum_of(Index n, const F& at) {
  constexpr Index kStretch = 128;
  LongSum<A> total = 0;
  for (Index begin = 0; begin < n; begin += kStretch) {
    const Index end = std::min(n, begin + kStretch);
    A sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index i = begin; i < end; ++i) sum += at(i);
    total += static_cast<LongSum<A>>(sum);
  }
  return total;
}
#endif
// Sums over `rows` into out[0 ... width): each chunk of `chunk_rows` rows adds up in its own
// accumulator, by accumulate(begin, end, sums), and the chunks' sums are added in order. The order
// of every addition depends on the shape alone, so results are equal for any thread count.
// finish(i, sum) gets the results.
inline constexpr Index kChunkRows = 128;

template <class A, class F, class G>
static void reduce_rows(Index rows, Index width, const F& accumulate, const G& finish,
                        Index chunk_rows = kChunkRows) {
  const Index chunks = std::max<Index>(1, (rows + chunk_rows - 1) / chunk_rows);
  Scratch<A> partial(chunks * width);
  parallel_for(chunks, 1, [&](Index begin, Index end) {
    for (Index c = begin; c < end; ++c) {
      A* sums = partial.data() + c * width;
      for (Index i = 0; i < width; ++i) sums[i] = A(0);
      accumulate(c * chunk_rows, std::min(rows, (c + 1) * chunk_rows), sums);
    }
  });
  for (Index c = 1; c < chunks; ++c) {
    for (Index i = 0; i < width; ++i) partial[i] += partial[c * width + i];
  }
  for (Index i = 0; i < width; ++i) finish(i, partial[i]);
}

}  // namespace posetape
