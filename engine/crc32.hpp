// CRC-32 as zlib, PNG and zip have it: polynomial 0x04C11DB7 with its bits reversed, all ones
// before and after. Any flipped bit, and any burst of up to 32 bits, changes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace posetape {

// Of the bytes, or of all bytes so far where `before` is the result of those that came before them:
// crc32(b, crc32(a)) is that of a and b end to end.
std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t before = 0);

inline std::uint32_t crc32(std::string_view text, std::uint32_t before = 0) {
  return crc32(std::as_bytes(std::span(text)), before);
}

}  // namespace posetape
