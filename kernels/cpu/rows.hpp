// Rows of which each is one thread's.
#pragma once

#include "kernels/cpu/kernel.hpp"

namespace posetape {

static inline Index rows_worth_a_thread(Index width) {
  return std::max<Index>(1, 4096 / std::max<Index>(1, width));
}

// The largest of a row, and the sum of exp(x - largest).
template <class A>
struct RowExponentials {
  A most;
  A sum;
};
template <class T>
static inline auto row_exponentials(const T* x, Index width) {
  using A = Accumulator<T>;
  A most = -HUGE_VAL;
#pragma omp simd reduction(max : most)
  for (Index i = 0; i < width; ++i) most = std::max<A>(most, load(x[i]));
  const auto sum = sum_of<A>(width, [&](Index i) { return exp_(load(x[i]) - most); });
  return RowExponentials<A>{most, static_cast<A>(sum)};
}

}  // namespace posetape
