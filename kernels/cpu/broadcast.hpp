// Loops over broadcast operands, and sums over the axes along which one is repeated.
#pragma once

#include <type_traits>

#include "kernels/broadcast.hpp"
#include "kernels/cpu/kernel.hpp"

namespace posetape {

// Offsets of one place of the result, in it and in its operands.
struct Place {
  Index out;
  Index a;
  Index b;
};

// Some of the axes, numbered through in row-major order.
struct Walk {
  int rank = 0;
  Index count = 1;
  Index extents[kMaxAxes];
  Place steps[kMaxAxes];
};

// Appends axis i of s.
static inline void append(Walk& walk, const Broadcast& s, int i) {
  Index out = 1;
  for (int k = i + 1; k < s.rank; ++k) out *= s.extents[k];
  walk.extents[walk.rank] = s.extents[i];
  walk.steps[walk.rank] = {out, s.a[i], s.b[i]};
  walk.count *= s.extents[i];
  ++walk.rank;
}

static inline Place place(const Walk& walk, Index number) {
  Place p{0, 0, 0};
  for (int i = walk.rank - 1; i >= 0; --i) {
    const Index k = i > 0 ? number % walk.extents[i] : number;
    number /= walk.extents[i];
    p = {p.out + k * walk.steps[i].out, p.a + k * walk.steps[i].a, p.b + k * walk.steps[i].b};
  }
  return p;
}

// The same broadcast with the operands' roles exchanged.
static inline Broadcast exchanged(const Broadcast& s) {
  Broadcast other = s;
  for (int i = 0; i < s.rank; ++i) {
    other.a[i] = s.b[i];
    other.b[i] = s.a[i];
  }
  return other;
}

static inline bool a_is_repeated(const Broadcast& s) {
  for (int i = 0; i < s.rank; ++i) {
    if (s.a[i] == 0) return true;
  }
  return false;
}

// Calls f(place, n, step_a, step_b) for runs of n elements along the last axis, in parallel. The
// operands' steps along a run are constants of their types, so that loops over a run vectorise.
template <class F>
static void each_run(const Broadcast& s, const F& f) {
  constexpr std::integral_constant<Index, 1> kEach{};
  constexpr std::integral_constant<Index, 0> kSame{};
  const int last = s.rank - 1;
  Walk rows;
  for (int i = 0; i < last; ++i) append(rows, s, i);
  parallel_rows(rows.count, s.extents[last], [&](Index row, Index begin, Index end) {
    const Place start = place(rows, row);
    const Place p{start.out + begin, start.a + begin * s.a[last], start.b + begin * s.b[last]};
    if (s.a[last] == 0) {
      f(p, end - begin, kSame, kEach);
    } else if (s.b[last] == 0) {
      f(p, end - begin, kEach, kSame);
    } else {
      f(p, end - begin, kEach, kEach);
    }
  });
}

// Sums over the axes along which `a` is repeated. add(sums, place, n) adds n elements of the result
// from `place` on: to sums[0 ... n), or all to sums[0] where a is repeated along the last axis.
// put(i, sum) gets the sum for a's element i. The order of additions depends on the shape alone.
template <class A, class F, class G>
static void reduce_repeated(const Broadcast& s, const F& add, const G& put) {
  const int last = s.rank - 1;
  const bool kept_last = s.a[last] != 0;
  Walk kept;
  Walk summed;
  for (int i = 0; i < last; ++i) append(s.a[i] != 0 ? kept : summed, s, i);
  // The last axis is cut into blocks, which count with the axes that are kept, or summed, as it is.
  const Index extent = s.extents[last];
  const Index block = kept_last ? 4096 : 256;
  const Index blocks = (extent + block - 1) / block;
  const Index outputs = kept.count * (kept_last ? blocks : 1);
  const Index terms = summed.count * (kept_last ? 1 : blocks);
  const auto one = [&](Index k) {
    const Place base = place(kept, kept_last ? k / blocks : k);
    const Index first = kept_last ? k % blocks * block : 0;
    reduce_rows<LongSum<A>>(
        terms, kept_last ? std::min(block, extent - first) : 1,
        [&](Index begin, Index end, LongSum<A>* sums) {
          for (Index r = begin; r < end; ++r) {
            const Place p = place(summed, kept_last ? r : r / blocks);
            const Index at = kept_last ? first : r % blocks * block;
            add(sums,
                Place{base.out + p.out + at, base.a + p.a + at * s.a[last],
                      base.b + p.b + at * s.b[last]},
                std::min(block, extent - at));
          }
        },
        [&](Index i, LongSum<A> sum) { put(base.a + first + i, static_cast<A>(sum)); });
  };
  // Few outputs of many terms are parallel inside each sum, all others across outputs. That changes
  // no result: reduce_rows adds in the same order in both.
  if (outputs < 16 && terms > kChunkRows) {
    for (Index k = 0; k < outputs; ++k) one(k);
    return;
  }
  const Index work = std::max<Index>(1, terms * std::min(block, extent));
  parallel_for(outputs, std::max<Index>(1, 16384 / work), [&](Index begin, Index end) {
    for (Index k = begin; k < end; ++k) one(k);
  });
}

// Calls f(from, to) for every element: `to` of the result is `from` of a, which is repeated over
// it.
template <class F>
static void expand(const Broadcast& s, const F& f) {
  each_run(s, [&](Place p, Index n, auto step_a, auto) {
    for (Index i = 0; i < n; ++i) f(p.a + i * step_a, p.out + i);
  });
}

// Adds a run of `at(i)`, i below n: to sums[i], or all to sums[0].
template <class A, class F>
static void add_run(LongSum<A>* sums, Index n, bool kept, const F& at) {
  if (kept) {
    for (Index i = 0; i < n; ++i) sums[i] += at(i);
    return;
  }
  *sums += sum_of<A>(n, at);
}

// The opposite of expand: put(i, sum of y over the places to which a's element i is repeated).
template <class T, class F>
static void collapse(const Broadcast& s, const T* y, const F& put) {
  using A = Accumulator<T>;
  const bool kept = s.a[s.rank - 1] != 0;
  reduce_repeated<A>(
      s,
      [&](LongSum<A>* sums, Place p, Index n) {
        add_run<A>(sums, n, kept, [&](Index i) { return load(y[p.out + i]); });
      },
      put);
}

}  // namespace posetape
