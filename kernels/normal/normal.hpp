// x[i] = independent standard normal numbers: number e = i + skipped, which is number e % 4 of the
// Philox block e / 4 of (seed, subsequence), by Box and Muller from two words each
// (kernels/base/philox.hpp).
#pragma once

#include <cstdint>

#include "kernels/base/philox.hpp"
#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct NormalFill {
  T* x;
  Index size;
  std::uint64_t seed;
  std::uint64_t subsequence;  // of step 0
  // Null, or a whole number to be added to the subsequence, and, where row is not 0, how many rows
  // of so many elements are skipped.
  const double* address;
  Index row;
};

// Philox blocks that the numbers lie in, one more where they may begin inside of one.
template <class T>
Index normal_blocks(const NormalFill<T>& a) {
  return (a.size + 3) / 4 + (a.row > 0 ? 1 : 0);
}

// Where block number `at` of those lies.
struct NormalPlace {
  std::uint64_t subsequence;
  Index block;
  Index first;  // the element of x that its first number is, or would be
};
template <class T>
POSETAPE_FUNCTION inline NormalPlace normal_place(const NormalFill<T>& a, Index at) {
  std::uint64_t subsequence = a.subsequence;
  Index skipped = 0;
  if (a.address != nullptr) {
    subsequence += static_cast<std::uint64_t>(a.address[0]);
    if (a.row > 0) skipped = a.row * static_cast<Index>(a.address[1]);
  }
  const Index block = skipped / 4 + at;
  return {subsequence, block, 4 * block - skipped};
}

// The numbers of a block's words.
template <class T>
POSETAPE_FUNCTION inline void put_normals(const NormalFill<T>& a, Index first,
                                          const PhiloxBlock& words) {
  const auto put = [&a](Index i, double number) {
    if (i >= 0 && i < a.size) a.x[i] = store<T>(static_cast<Accumulator<T>>(number));
  };
  for (int w = 0; w < 4; w += 2) {
    const auto pair = box_muller(words[w], words[w + 1]);
    put(first + w, pair[0]);
    put(first + w + 1, pair[1]);
  }
}

}  // namespace posetape
