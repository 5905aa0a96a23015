// The reader of C3D's bytes.
#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstring>
#include <optional>

#include "data/c3d.hpp"
#include "data/printable.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr std::size_t kBlock = 512;

// The bytes of a file as its processor's numbers. Whoever reads checks the place first.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}

  C3dProcessor processor = C3dProcessor::intel;

  std::size_t size() const { return bytes_.size(); }
  std::string_view text(std::size_t at, std::size_t count) const {
    return bytes_.substr(at, count);
  }
  std::uint8_t byte(std::size_t at) const { return static_cast<std::uint8_t>(bytes_[at]); }
  std::uint16_t word(std::size_t at) const {
    const unsigned a = byte(at), b = byte(at + 1);
    return static_cast<std::uint16_t>(processor == C3dProcessor::mips ? a << 8 | b : b << 8 | a);
  }
  int integer(std::size_t at) const { return static_cast<std::int16_t>(word(at)); }
  float real(std::size_t at) const {
    const std::uint32_t a = byte(at), b = byte(at + 1), c = byte(at + 2), d = byte(at + 3);
    switch (processor) {
      case C3dProcessor::intel:
        return std::bit_cast<float>(d << 24 | c << 16 | b << 8 | a);
      case C3dProcessor::mips:
        return std::bit_cast<float>(a << 24 | b << 16 | c << 8 | d);
      case C3dProcessor::dec:
        break;
    }
    // DEC: the words are the other way round, and the exponent is larger by 2. One of 0 is zero.
    const std::uint32_t bits = b << 24 | a << 16 | d << 8 | c;
    return (bits & 0x7f800000u) == 0 ? 0.0f : std::bit_cast<float>(bits) / 4;
  }

 private:
  std::string_view bytes_;
};

std::string trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\0'; };
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return std::string(text);
}

std::string upper(std::string_view text) {
  std::string result = trimmed(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return std::toupper(c); });
  return result;
}

struct Group {
  int id;
  std::string name;
};

// One parameter's data, from its type on; `end` is where the next record begins at the latest.
C3dParameter parse_parameter(const Bytes& bytes, std::size_t at, std::size_t end,
                             const std::string& file) {
  C3dParameter parameter;
  const auto need = [&](std::size_t count) {
    if (count > end - std::min(at, end)) {
      fail("{}: a parameter of {} bytes at byte {} goes beyond the parameters; the file is damaged",
           file, count, at);
    }
  };
  need(2);
  const int type = static_cast<std::int8_t>(bytes.byte(at));
  const std::size_t dimensions = bytes.byte(at + 1);
  at += 2;
  if (type != -1 && type != 1 && type != 2 && type != 4) {
    fail("{}: expected -1, 1, 2 or 4 as a parameter's type, found {}", file, type);
  }
  need(dimensions);
  std::size_t count = 1;
  for (std::size_t d = 0; d < dimensions; ++d) {
    parameter.dimensions.push_back(bytes.byte(at + d));
    count = std::min<std::size_t>(count * bytes.byte(at + d), bytes.size() + 1);
  }
  at += dimensions;
  need(count * static_cast<std::size_t>(std::abs(type)));
  if (type == -1) {
    const std::size_t length = parameter.dimensions.empty() ? 1 : bytes.byte(at - dimensions);
    for (std::size_t i = 0; length > 0 && i < count / length; ++i) {
      parameter.texts.push_back(trimmed(bytes.text(at + i * length, length)));
    }
    return parameter;
  }
  for (std::size_t i = 0; i < count; ++i) {
    parameter.numbers.push_back(type == 4   ? double{bytes.real(at + 4 * i)}
                                : type == 2 ? double(bytes.integer(at + 2 * i))
                                            : double(bytes.byte(at + i)));
  }
  return parameter;
}

// The records of groups and parameters. A parameter may come before its group.
void parse_parameters(const Bytes& bytes, std::size_t start, C3d& c3d) {
  std::vector<Group> groups;
  std::vector<int> ids;  // of the parameters' groups
  for (std::size_t at = start + 4; at + 2 <= bytes.size();) {
    const auto length = static_cast<std::size_t>(
        std::abs(static_cast<int>(static_cast<std::int8_t>(bytes.byte(at)))));
    const int id = static_cast<std::int8_t>(bytes.byte(at + 1));
    if (length == 0 || id == 0) break;
    const std::size_t offset_at = at + 2 + length;
    if (offset_at + 2 > bytes.size()) break;
    const std::string name = upper(bytes.text(at + 2, length));
    const std::size_t offset = bytes.word(offset_at);
    const std::size_t next = offset_at + offset;
    if (id < 0) {
      groups.push_back({-id, name});
    } else {
      // The last record of some files has no offset to a next one.
      const std::size_t end = offset == 0 ? bytes.size() : std::min(next, bytes.size());
      c3d.parameters.push_back(parse_parameter(bytes, offset_at + 2, end, c3d.file));
      c3d.parameters.back().name = name;
      ids.push_back(id);
    }
    if (offset == 0) break;
    at = next;
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto group = std::ranges::find(groups, ids[i], &Group::id);
    if (group != groups.end()) c3d.parameters[i].group = group->name;
  }
}

std::optional<double> number(const C3d& c3d, std::string_view group, std::string_view name) {
  const C3dParameter* found = c3d.find(group, name);
  if (found == nullptr || found->numbers.empty()) return std::nullopt;
  return found->numbers[0];
}

// 16-bit parameters that count have no sign.
std::optional<std::size_t> whole(const C3d& c3d, std::string_view group, std::string_view name) {
  std::optional<double> value = number(c3d, group, name);
  if (value && *value < 0 && *value >= -32768) *value += 65536;
  if (!value || !(*value >= 0 && *value < 1e9)) return std::nullopt;
  return static_cast<std::size_t>(*value);
}

// A frame's number of two words, the low one first.
std::optional<std::int64_t> field(const C3d& c3d, std::string_view name) {
  const C3dParameter* found = c3d.find("TRIAL", name);
  if (found == nullptr || found->numbers.empty()) return std::nullopt;
  std::int64_t value = 0;
  for (std::size_t i = std::min<std::size_t>(found->numbers.size(), 2); i-- > 0;) {
    const double half = found->numbers[i];
    if (!(std::abs(half) < 1e9)) return std::nullopt;
    value = value * 65536 + static_cast<std::int64_t>(half < 0 ? half + 65536 : half);
  }
  return value;
}

void find_labels(C3d& c3d, std::size_t points) {
  for (int part = 1; c3d.labels.size() < points && part < 1000; ++part) {
    const std::string name = part == 1 ? "LABELS" : "LABELS" + std::to_string(part);
    const C3dParameter* labels = c3d.find("POINT", name);
    if (labels == nullptr) break;
    c3d.labels.insert(c3d.labels.end(), labels->texts.begin(), labels->texts.end());
  }
  c3d.labels.resize(points);
}

// How many frames the file says that it has. The header has 16 bits for it, and writers of longer
// files have found several places.
std::size_t claimed_frames(const C3d& c3d, std::size_t header, std::size_t room) {
  const auto start = field(c3d, "ACTUAL_START_FIELD");
  const auto end = field(c3d, "ACTUAL_END_FIELD");
  std::vector<std::size_t> claims;
  if (start && end && *end >= *start) claims.push_back(static_cast<std::size_t>(*end - *start + 1));
  if (const auto frames = whole(c3d, "POINT", "LONG_FRAMES")) claims.push_back(*frames);
  if (const auto frames = whole(c3d, "POINT", "FRAMES")) claims.push_back(*frames);
  claims.push_back(header);
  // All that is there, where somebody says so; else what the first says.
  if (std::ranges::find(claims, room) != claims.end()) return room;
  for (const std::size_t claim : claims) {
    if (claim > 0 && claim != 65535) return claim;  // 65535: as many as it can say
  }
  return room;
}

}  // namespace

const C3dParameter* C3d::find(std::string_view group, std::string_view name) const {
  for (const C3dParameter& parameter : parameters) {
    if (parameter.group == group && parameter.name == name) return &parameter;
  }
  return nullptr;
}

C3d parse_c3d(std::string_view text, const std::string& file) {
  C3d c3d;
  c3d.file = file;
  Bytes bytes(text);
  if (bytes.size() < 2 * kBlock || bytes.byte(1) != 0x50 || bytes.byte(0) < 2) {
    fail("{}: expected a C3D file of at least 1024 bytes, found {} that begin otherwise", file,
         bytes.size());
  }
  const std::size_t parameters = (std::size_t{bytes.byte(0)} - 1) * kBlock;
  if (parameters + 4 > bytes.size()) {
    fail("{}: the parameters should begin at byte {}, and the file has {}; copy it again", file,
         parameters, bytes.size());
  }
  const int processor = bytes.byte(parameters + 3);
  if (processor < 84 || processor > 86) {
    fail("{}: expected 84, 85 or 86 (Intel, DEC, MIPS) as the processor, found {}", file,
         processor);
  }
  bytes.processor = c3d.processor = static_cast<C3dProcessor>(processor);
  parse_parameters(bytes, parameters, c3d);

  const std::size_t points = whole(c3d, "POINT", "USED").value_or(bytes.word(2));
  const double scale = number(c3d, "POINT", "SCALE").value_or(bytes.real(12));
  const bool floats = scale < 0;
  const std::size_t word = floats ? 4 : 2;
  const std::size_t analog = bytes.word(4);
  std::size_t data = (std::size_t{bytes.word(16)} - 1) * kBlock;
  if (bytes.word(16) == 0) {
    data = (whole(c3d, "POINT", "DATA_START").value_or(0) - 1) * kBlock;
  }
  c3d.rate = number(c3d, "POINT", "RATE").value_or(bytes.real(20));
  if (points == 0) fail("{}: expected points, found none (POINT:USED is 0)", file);
  if (!std::isfinite(scale) || scale == 0) {
    fail("{}: expected a scale of points other than 0, found {}", file, scale);
  }
  if (!(c3d.rate > 1e-3 && c3d.rate < 1e6)) {
    fail("{}: expected frames a second above 0 in POINT:RATE, found {}", file, c3d.rate);
  }
  if (data >= bytes.size()) {
    fail("{}: the frames should begin at byte {}, and the file has {}; copy it again", file, data,
         bytes.size());
  }
  const std::size_t width = word * (4 * points + analog);
  const std::size_t room = (bytes.size() - data) / width;
  c3d.first_frame = bytes.word(6);
  const std::size_t header = std::size_t{bytes.word(8)} + 1 -
                             std::min<std::size_t>(bytes.word(6), std::size_t{bytes.word(8)} + 1);
  c3d.frames = claimed_frames(c3d, header, room);
  if (const auto start = field(c3d, "ACTUAL_START_FIELD")) c3d.first_frame = *start;
  if (c3d.frames > room) {
    fail("{}: expected {} frames of {} points, and there are bytes for {}; copy the file again",
         file, c3d.frames, points, room);
  }
  if (c3d.frames == 0) fail("{}: expected frames, found none", file);
  find_labels(c3d, points);

  c3d.points.reserve(c3d.frames * points);
  c3d.residuals.reserve(c3d.frames * points);
  for (std::size_t f = 0; f < c3d.frames; ++f) {
    for (std::size_t p = 0; p < points; ++p) {
      const std::size_t at = data + f * width + p * 4 * word;
      Vec3 point;
      for (int c = 0; c < 3; ++c) {
        const std::size_t place = at + static_cast<std::size_t>(c) * word;
        point[c] = floats ? double{bytes.real(place)} : bytes.integer(place) * scale;
      }
      const double last =
          floats ? double{bytes.real(at + 3 * word)} : double(bytes.integer(at + 3 * word));
      const bool seen = last >= 0 && last < 65536 && point.allFinite();
      c3d.points.push_back(seen ? point : kMissing);
      c3d.residuals.push_back(
          seen ? static_cast<float>((static_cast<int>(last) & 0xff) * std::abs(scale)) : -1.0f);
    }
  }
  return c3d;
}

}  // namespace posetape::data
