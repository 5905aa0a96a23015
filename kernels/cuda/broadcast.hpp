// Loops over broadcast tensors, and sums over the axes along which one is repeated.
#pragma once

#include "kernels/broadcast.hpp"
#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/reduce.hpp"

namespace posetape::cuda {

// Offsets of one place of the result, in it and in its operands.
struct Place {
  Index out = 0;
  Index a = 0;
  Index b = 0;
};

// Some of the axes, numbered through in row-major order.
struct Walk {
  Index rank = 0;  // no int: arguments have no padding
  Index count = 1;
  Index extents[kMaxAxes] = {};
  Place steps[kMaxAxes] = {};
};

// Appends axis i of s.
inline void append(Walk& walk, const Broadcast& s, int i) {
  Index out = 1;
  for (int k = i + 1; k < s.rank; ++k) out *= s.extents[k];
  walk.extents[walk.rank] = s.extents[i];
  walk.steps[walk.rank] = {out, s.a[i], s.b[i]};
  walk.count *= s.extents[i];
  ++walk.rank;
}

// The axes along which a is repeated, and the others.
inline Walk axes(const Broadcast& s, bool repeated) {
  Walk walk;
  for (int i = 0; i < s.rank; ++i) {
    if ((s.a[i] == 0) == repeated) append(walk, s, i);
  }
  return walk;
}
inline Walk all_axes(const Broadcast& s) {
  Walk walk;
  for (int i = 0; i < s.rank; ++i) append(walk, s, i);
  return walk;
}

__device__ inline Place place(const Walk& walk, Index number) {
  Place p{0, 0, 0};
  for (Index i = walk.rank - 1; i >= 0; --i) {
    const Index k = i > 0 ? number % walk.extents[i] : number;
    number /= walk.extents[i];
    p.out += k * walk.steps[i].out;
    p.a += k * walk.steps[i].a;
    p.b += k * walk.steps[i].b;
  }
  return p;
}

// The same broadcast with the operands' roles exchanged.
inline Broadcast exchanged(const Broadcast& s) {
  Broadcast other = s;
  for (int i = 0; i < s.rank; ++i) {
    other.a[i] = s.b[i];
    other.b[i] = s.a[i];
  }
  return other;
}

// f(place) for every place of the result.
template <class F>
static void each_place(const Broadcast& s, const F& f) {
  const Walk walk = all_axes(s);
  for_each(walk.count, [walk, f] __device__(Index i) { f(place(walk, i)); });
}

// put(i, sum of term(place) over the places to which a's element i is repeated).
template <class A, class Term, class Put>
static void reduce_repeated(const Broadcast& s, const Term& term, const Put& put) {
  const Walk kept = axes(s, false);
  const Walk summed = axes(s, true);
  if (summed.rank == 0) {
    return each_place(s, [term, put] __device__(Place p) { put(p.a, term(p)); });
  }
  const auto at = [kept, summed, term] __device__(Index output, Index k) {
    const Place p = place(kept, output);
    const Place q = place(summed, k);
    return term(Place{p.out + q.out, p.a + q.a, p.b + q.b});
  };
  const auto finish = [kept, put] __device__(Index output, A sum) {
    put(place(kept, output).a, sum);
  };
  if (s.a[s.rank - 1] != 0) {
    sum_columns<A>(
        summed.count, kept.count, [at] __device__(Index k, Index output) { return at(output, k); },
        finish);
  } else {
    sum_rows<A>(kept.count, summed.count, at, finish);
  }
}

}  // namespace posetape::cuda
