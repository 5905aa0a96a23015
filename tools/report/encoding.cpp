#include "tools/report/encoding.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

namespace posetape::tools::report {
namespace {

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      word = word << 8 | (k < count ? static_cast<std::uint8_t>(bytes[i + k]) : 0u);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      text += k <= count ? kDigits[word >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

void append_varint(std::string& bytes, std::uint32_t value) {
  for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
  bytes += static_cast<char>(value);
}

}  // namespace

std::string encoded(std::span<const float> values, std::size_t width, double unit) {
  constexpr double kLimit = 1 << 29;  // so that differences stay within 31 bits
  std::vector<std::int32_t> last(width, 0);
  std::string bytes;
  bytes.reserve(values.size() * 5 / 4);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto now =
        static_cast<std::int32_t>(std::clamp(std::round(values[i] / unit), -kLimit, kLimit));
    const std::int32_t difference = now - last[i % width];
    last[i % width] = now;
    append_varint(bytes, static_cast<std::uint32_t>(difference) << 1 ^
                             static_cast<std::uint32_t>(difference >> 31));
  }
  return base64(bytes);
}

nlohmann::ordered_json byte_scaled(std::span<const double> values) {
  const auto [low, high] = std::ranges::minmax(values);
  std::string bytes;
  for (const double value : values) {
    const double share = high > low ? (value - low) / (high - low) : 0;
    bytes += static_cast<char>(static_cast<std::uint8_t>(std::lround(255 * share)));
  }
  return {{"low", rounded(low)}, {"high", rounded(high)}, {"bytes", base64(bytes)}};
}

double rounded(double value, int digits) {
  return std::isfinite(value) ? std::stod(fmt::format("{:.{}g}", value, digits)) : value;
}

nlohmann::ordered_json rounded_list(std::span<const double> values, int digits) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const double value : values) list.push_back(rounded(value, digits));
  return list;
}

std::string script_text(const nlohmann::ordered_json& json) {
  const std::string text =
      json.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace posetape::tools::report
