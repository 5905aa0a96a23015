// Random numbers by name: every use draws from its own stream of one seed, and a draw is addressed
// by (seed, stream, step, element). Nothing here has hidden state that another use could disturb.
#pragma once

#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "kernels/base/philox.hpp"

namespace posetape {

// The named streams. The numbers are part of the file format: a resumed run must draw the same.
enum class Stream : std::uint16_t {
  init = 1,
  shuffle = 2,
  timestep = 3,
  noise = 4,
  dropout = 5,
  augment = 6,
  motion = 7,
  detector = 8,
  bootstrap = 9,
  test = 10,
  diagnostics = 11,
  camera = 12,
};

// The Philox subsequence of one stream at one step (16 bits of stream, 48 bits of step).
constexpr std::uint64_t subsequence(Stream stream, std::uint64_t step) {
  return (std::uint64_t{static_cast<std::uint16_t>(stream)} << 48) |
         (step & ((std::uint64_t{1} << 48) - 1));
}

// Reads one (seed, stream, step) from its first element on. Two readers with equal arguments
// return equal numbers. Cheap to make: use one a sequence, an epoch, a batch.
class Random {
 public:
  Random(std::uint64_t seed, Stream stream, std::uint64_t step = 0)
      : seed_(seed), subsequence_(subsequence(stream, step)) {}

  std::uint32_t word() {
    if (element_ % 4 == 0) block_ = philox4x32(seed_, subsequence_, element_ / 4);
    return block_[element_++ % 4];
  }

  // Uniform in (0, 1), and in (low, high).
  double uniform() { return unit_interval(word()); }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }

  // Standard normal: every second call uses up two words.
  double normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    const std::uint32_t a = word();
    const auto pair = box_muller(a, word());
    spare_ = pair[1];
    has_spare_ = true;
    return pair[0];
  }

  // Uniform in {0, ..., n-1}; the bias of the multiply-shift is below n / 2^32.
  std::uint32_t below(std::uint32_t n) {
    return static_cast<std::uint32_t>((std::uint64_t{word()} * n) >> 32);
  }

  // A random order of 0 ... n-1 (Fisher and Yates).
  std::vector<int> permutation(int n) {
    std::vector<int> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    for (int i = n - 1; i > 0; --i) {
      std::swap(order[static_cast<std::size_t>(i)],
                order[below(static_cast<std::uint32_t>(i) + 1)]);
    }
    return order;
  }

 private:
  std::uint64_t seed_;
  std::uint64_t subsequence_;
  std::uint64_t element_ = 0;
  PhiloxBlock block_{};
  double spare_ = 0;
  bool has_spare_ = false;
};

}  // namespace posetape
