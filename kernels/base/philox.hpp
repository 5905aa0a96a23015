// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random
// numbers: as easy as 1, 2, 3" (SC 2011). A pure function of (key, counter), so that a number
// depends on its index alone and never on threads, blocks or devices.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "kernels/base/scalar.hpp"

namespace posetape {

using PhiloxBlock = std::array<std::uint32_t, 4>;

// Four random words. The counter layout is cuRAND's: words 0-1 hold the block of four draws
// (offset / 4), words 2-3 the subsequence; the key is the seed, low word first.
POSETAPE_FUNCTION inline PhiloxBlock philox4x32(std::uint64_t seed, std::uint64_t subsequence,
                                                std::uint64_t block) {
  auto k0 = static_cast<std::uint32_t>(seed);
  auto k1 = static_cast<std::uint32_t>(seed >> 32);
  auto c0 = static_cast<std::uint32_t>(block);
  auto c1 = static_cast<std::uint32_t>(block >> 32);
  auto c2 = static_cast<std::uint32_t>(subsequence);
  auto c3 = static_cast<std::uint32_t>(subsequence >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0;
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c2;
    const auto n0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    const auto n2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<std::uint32_t>(p1);
    c3 = static_cast<std::uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {c0, c1, c2, c3};
}

// A word as a number in (0, 1): the middle of its interval, so neither end is ever returned.
POSETAPE_FUNCTION inline double unit_interval(std::uint32_t word) {
  return (static_cast<double>(word) + 0.5) * 0x1p-32;
}

// Two independent standard normal numbers from two words (Box and Muller).
POSETAPE_FUNCTION inline std::array<double, 2> box_muller(std::uint32_t a, std::uint32_t b) {
  const double radius = std::sqrt(-2.0 * std::log(unit_interval(a)));
  const double angle = 6.283185307179586476925 * unit_interval(b);
  return {radius * std::sin(angle), radius * std::cos(angle)};
}

}  // namespace posetape
