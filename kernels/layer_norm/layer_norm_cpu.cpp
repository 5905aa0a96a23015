#include "kernels/layer_norm/layer_norm.hpp"

#include <type_traits>

#include "kernels/cpu/kernel.hpp"
#include "kernels/cpu/vector.hpp"

namespace posetape {

static constexpr Index kRowsAtLeast = 16;  // rows worth a thread
// Rows of which each step is done before the next: a row alone waits for its own sums.
static constexpr Index kTogether = 4;

// f(begin, end) for stretches of a row, whose sums in A are added up in f64, as sum_of does.
template <class F>
[[gnu::always_inline]] static inline void in_stretches(Index width, const F& f) {
  constexpr Index kStretch = 128;
  for (Index begin = 0; begin < width; begin += kStretch) {
    f(begin, std::min(width, begin + kStretch));
  }
}

namespace {

template <class V>
struct Two {
  V first, second;
};

}  // namespace

template <class A, class V>
[[gnu::always_inline]] static inline A sum_of_lanes(const V& v) {
  A lanes[kLanes<A>];
  write(lanes, v);
  for (Index half = kLanes<A> / 2; half > 0; half /= 2) {
    for (Index l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

template <class A>
struct TwoSums {
  LongSum<A> first = 0, second = 0;
};

// The sums of both numbers of f(i, V()), of a vector of them or of one: as sum_of does. In bf16 a
// vector's lanes are added up pair by pair, where one after the other would take as long as the
// rest.
template <class T, class F>
[[gnu::always_inline]] static inline TwoSums<Accumulator<T>> two_sums(Index width, const F& f) {
  using A = Accumulator<T>;
  TwoSums<A> sums;
  in_stretches(width, [&](Index from, Index to) {
    A first = 0;
    A second = 0;
    if constexpr (std::is_same_v<T, bf16>) {
      Vector<A> firsts = {}, seconds = {};
      each_vector<A>(to - from, [&](Index x, auto v) {
        const auto [one, other] = f(from + x, v);
        if constexpr (std::is_same_v<decltype(v), A>) {
          first += one;
          second += other;
        } else {
          firsts += one;
          seconds += other;
        }
      });
      first += sum_of_lanes<A>(firsts);
      second += sum_of_lanes<A>(seconds);
    } else {
#pragma omp simd reduction(+ : first, second)
      for (Index i = from; i < to; ++i) {
        const auto [one, other] = f(i, A());
        first += one;
        second += other;
      }
    }
    sums.first += static_cast<LongSum<A>>(first);
    sums.second += static_cast<LongSum<A>>(second);
  });
  return sums;
}

// The same of rows: reduce_rows with the sums of a chunk in A, and those of all chunks in f64.
template <class A, class F, class G>
static void reduce_chunks(Index rows, Index width, const F& accumulate, const G& finish) {
  using Long = LongSum<A>;
  reduce_rows<Long>(
      rows, width,
      [&](Index begin, Index end, Long* sums) {
        Scratch<A> chunk(width);
        for (Index i = 0; i < width; ++i) chunk[i] = A(0);
        accumulate(begin, end, chunk.data());
        for (Index i = 0; i < width; ++i) sums[i] = static_cast<Long>(chunk[i]);
      },
      [&](Index i, Long sum) { finish(i, static_cast<A>(sum)); });
}

namespace {

// A mean of f64 in two numbers of A, which are taken off one after the other.
template <class A>
struct Split {
  explicit Split(LongSum<A> mean)
      : high(static_cast<A>(mean)), low(static_cast<A>(mean - static_cast<LongSum<A>>(high))) {}
  A high, low;
};

}  // namespace

// A row in the type that it is computed in: itself, or a copy, so that loops that read it several
// times convert it once.
template <class T>
static const Accumulator<T>* in_accumulators(const T* row, Index width,
                                             [[maybe_unused]] Accumulator<T>* copy) {
  if constexpr (std::is_same_v<T, Accumulator<T>>) {
    return row;
  } else {
    each_vector<Accumulator<T>>(
        width, [&](Index i, auto v) { write(copy + i, load_as<decltype(v)>(row + i)); });
    return copy;
  }
}

// s = x + residual + shift over one row.
template <class T>
static void add_up(const LayerNormForward<T>& a, Index row) {
  const T* x = a.x + row * a.width;
  const T* residual = a.residual != nullptr ? a.residual + row * a.width : nullptr;
  const T* shift = a.shift != nullptr ? a.shift + row / a.rows_per_shift * a.width : nullptr;
  T* s = a.s + row * a.width;
  each_vector<Accumulator<T>>(a.width, [&](Index i, auto v) {
    using V = decltype(v);
    V sum = load_as<V>(x + i);
    if (residual != nullptr) sum = sum + load_as<V>(residual + i);
    if (shift != nullptr) sum = sum + load_as<V>(shift + i);
    store_as(s + i, sum);
  });
}

template <class T>
static void compute(const LayerNormForward<T>& a) {
  using A = Accumulator<T>;
  using Long = LongSum<A>;
  const auto width = static_cast<Long>(a.width);
  parallel_for(a.rows, kRowsAtLeast, [&](Index begin, Index end) {
    Scratch<A> copies((kTogether + 2) * a.width);
    const A* gamma = in_accumulators(a.gamma, a.width, copies.data() + kTogether * a.width);
    const A* beta = in_accumulators(a.beta, a.width, copies.data() + (kTogether + 1) * a.width);
    for (Index first = begin; first < end; first += kTogether) {
      const Index count = std::min(kTogether, end - first);
      const A* rows[kTogether];
      A near[kTogether];
      for (Index r = 0; r < count; ++r) {
        const Index ahead = (first + kTogether + r) * a.width;
        prefetch(a.x + ahead, a.width);
        if (a.residual != nullptr) prefetch(a.residual + ahead, a.width);
        if (a.s != nullptr) add_up(a, first + r);
        const A* s = in_accumulators((a.s != nullptr ? a.s : a.x) + (first + r) * a.width, a.width,
                                     copies.data() + r * a.width);
        rows[r] = s;
        const auto sum = two_sums<T>(a.width, [&](Index i, auto v) {
          return Two<decltype(v)>{read<decltype(v)>(s + i), decltype(v){}};
        });
        near[r] = static_cast<A>(sum.first / width);
      }
      // Two passes over a row that is in the cache: the one-pass formula cancels. The second one
      // also sums what the first has left of the mean.
      for (Index r = 0; r < count; ++r) {
        const A* s = rows[r];
        const auto sums = two_sums<T>(a.width, [&](Index i, auto v) {
          const auto d = read<decltype(v)>(s + i) - near[r];
          return Two<decltype(v)>{d, d * d};
        });
        const Long rest = sums.first / width;
        Long variance = sums.second / width - rest * rest;
        if (variance < Long(0)) variance = Long(0);  // of a constant row, by rounding
        a.mean[first + r] = static_cast<Long>(near[r]) + rest;
        a.rstd[first + r] = static_cast<A>(Long(1) / sqrt_(variance + static_cast<Long>(a.eps)));
      }
      for (Index r = 0; r < count; ++r) {
        const A* s = rows[r];
        const Split<A> mean(a.mean[first + r]);
        const A rstd = a.rstd[first + r];
        T* y = a.y + (first + r) * a.width;
        each_vector<A>(a.width, [&](Index i, auto v) {
          using V = decltype(v);
          const V n = rstd * (read<V>(s + i) - mean.high - mean.low);
          store_as(y + i, n * read<V>(gamma + i) + read<V>(beta + i));
        });
      }
    }
  });
}
POSETAPE_CPU_KERNEL(LayerNormForward);

template <class T>
static void shift_backward(const LayerNormBackward<T>& a) {
  using A = Accumulator<T>;
  const Index rows = a.rows / a.groups;
  for (Index group = 0; group < a.groups; ++group) {
    const T* ds = a.ds.data + group * rows * a.width;
    reduce_chunks<A>(
        rows, a.width,
        [&](Index begin, Index end, A* sums) {
          for (Index r = begin; r < end; ++r) {
            for (Index i = 0; i < a.width; ++i) sums[i] += load(ds[r * a.width + i]);
          }
        },
        [&](Index i, A sum) { a.dshift.put(group * a.width + i, sum); });
  }
}

template <class T>
static void compute(const LayerNormBackward<T>& a) {
  using A = Accumulator<T>;
  using Long = LongSum<A>;
  const Index width = a.width;
  // One pass for everything: the parameter gradients are partial sums of the rows in hand.
  reduce_chunks<A>(
      a.rows, 2 * width,
      [&](Index begin, Index end, A* sums) {
        A* dgamma = sums;
        A* dbeta = sums + width;
        Scratch<A> copies(3 * width);
        const A* gamma = in_accumulators(a.gamma, width, copies.data());
        for (Index r = begin; r < end; ++r) {
          const Index ahead = (r + kTogether) * width;
          prefetch(a.s + ahead, width);
          prefetch(a.dy + ahead, width);
          if (a.ds_out != nullptr) prefetch(a.ds_out + ahead, width);
          const A* s = in_accumulators(a.s + r * width, width, copies.data() + width);
          const A* dy = in_accumulators(a.dy + r * width, width, copies.data() + 2 * width);
          const Split<A> mean(a.mean[r]);
          const A rstd = a.rstd[r];
          Long all_g = 0;
          Long all_gn = 0;
          in_stretches(width, [&](Index from, Index to) {
            A sum_g = 0;
            A sum_gn = 0;
#pragma omp simd reduction(+ : sum_g, sum_gn)
            for (Index i = from; i < to; ++i) {
              const A n = (s[i] - mean.high - mean.low) * rstd;
              const A d = dy[i];
              const A g = d * gamma[i];
              dgamma[i] += d * n;
              dbeta[i] += d;
              sum_g += g;
              sum_gn += g * n;
            }
            all_g += static_cast<Long>(sum_g);
            all_gn += static_cast<Long>(sum_gn);
          });
          if (!a.ds.wanted()) continue;
          const A mean_g = static_cast<A>(all_g / static_cast<Long>(width));
          const A mean_gn = static_cast<A>(all_gn / static_cast<Long>(width));
          const T* ds_out = a.ds_out ? a.ds_out + r * width : nullptr;
          T* ds = a.ds.data + r * width;
          const bool adds = a.ds.into == Into::add;
          each_vector<A>(width, [&](Index i, auto v) {
            using V = decltype(v);
            const V n = rstd * (read<V>(s + i) - mean.high - mean.low);
            V value = rstd * (read<V>(dy + i) * read<V>(gamma + i) - mean_g - mean_gn * n);
            if (ds_out != nullptr) value = value + load_as<V>(ds_out + i);
            if (adds) value = value + load_as<V>(ds + i);
            store_as(ds + i, value);
          });
        }
      },
      [&](Index i, A sum) {
        if (i < width && a.dgamma.wanted()) a.dgamma.put(i, sum);
        if (i >= width && a.dbeta.wanted()) a.dbeta.put(i - width, sum);
      });
  if (a.dshift.wanted()) shift_backward(a);
}
POSETAPE_CPU_KERNEL(LayerNormBackward);

}  // namespace posetape
