// Memory filled with a pattern of two bytes: what was never written, and what must not be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace posetape::emulation {

// Words are written, and compared, where there are whole ones.
inline constexpr std::uint64_t kPatternWord = 0x0001000100010001;

inline char pattern_byte(unsigned short pattern, std::size_t i) {
  return static_cast<char>(pattern >> (i % 2 * 8));
}

inline void fill(char* data, std::size_t bytes, unsigned short pattern) {
  const std::uint64_t word = pattern * kPatternWord;
  std::size_t i = 0;
  for (; i + 8 <= bytes; i += 8) std::memcpy(data + i, &word, 8);
  for (; i < bytes; ++i) data[i] = pattern_byte(pattern, i);
}

// The first byte that is not the pattern, or `bytes`.
inline std::size_t first_change(const char* data, std::size_t bytes, unsigned short pattern) {
  const std::uint64_t word = pattern * kPatternWord;
  std::size_t i = 0;
  for (; i + 8 <= bytes; i += 8) {
    std::uint64_t found;
    std::memcpy(&found, data + i, 8);
    if (found != word) break;
  }
  for (; i < bytes; ++i) {
    if (data[i] != pattern_byte(pattern, i)) return i;
  }
  return bytes;
}

}  // namespace posetape::emulation
