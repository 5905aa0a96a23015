#include "engine/crc32.hpp"

#include <array>
#include <bit>
#include <cstring>

namespace posetape {
namespace {

static_assert(std::endian::native == std::endian::little, "words are read as they lie in memory");

constexpr std::uint32_t kPolynomial = 0xEDB88320;  // reversed
constexpr std::size_t kWord = 8;

// kTable[k][b]: what byte b becomes when k more bytes have gone through the register after it. With
// one table a byte is a step; with eight, a word is (Kounavis and Berry, "Novel Table Lookup-Based
// Algorithms for High-Performance CRC Generation", IEEE Trans. Computers 57, 2008).
constexpr auto kTable = [] {
  std::array<std::array<std::uint32_t, 256>, kWord> table{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t c = b;
    for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1) != 0 ? kPolynomial : 0);
    table[0][b] = c;
  }
  for (std::size_t k = 1; k < kWord; ++k) {
    for (std::size_t b = 0; b < 256; ++b) {
      const std::uint32_t c = table[k - 1][b];
      table[k][b] = (c >> 8) ^ table[0][c & 0xff];
    }
  }
  return table;
}();

}  // namespace

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t before) {
  std::uint32_t c = ~before;
  for (; bytes.size() >= kWord; bytes = bytes.subspan(kWord)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), kWord);
    word ^= c;
    c = 0;
    for (std::size_t i = 0; i < kWord; ++i) c ^= kTable[kWord - 1 - i][word >> (8 * i) & 0xff];
  }
  for (const std::byte b : bytes) {
    c = (c >> 8) ^ kTable[0][(c ^ static_cast<std::uint32_t>(b)) & 0xff];
  }
  return ~c;
}

}  // namespace posetape
