#include "data/npy.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <limits>
#include <system_error>

#include "data/printable.hpp"
#include "engine/atomic_file.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr bool kLittleHost = std::endian::native == std::endian::little;

struct TypeEntry {
  std::string_view code;  // in the header, after the byte order
  std::string_view name;
  std::size_t size;
};
constexpr std::array<TypeEntry, 6> kTypes{{{"f4", "float32", 4},
                                           {"f8", "float64", 8},
                                           {"i4", "int32", 4},
                                           {"i8", "int64", 8},
                                           {"u1", "uint8", 1},
                                           {"b1", "bool", 1}}};

const TypeEntry& entry(NpyType type) {
  return kTypes[static_cast<std::size_t>(type)];
}

// Reads the header's Python dictionary, e.g. "{'descr': '<f4', 'fortran_order': False,
// 'shape': (3, 4), }". Only what numpy writes is understood; all else is a bad header.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  NpyHeader read() {
    NpyHeader header;
    int found = 0;
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr") {
        // A list is a structured type, of which nothing more is needed: it is refused.
        if (peek() == '[') return {};
        header.descr = string();
      } else if (key == "fortran_order") {
        header.fortran_order = boolean();
      } else if (key == "shape") {
        header.shape = tuple();
      } else {
        bad();
      }
      ++found;
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (found != 3 || header.descr.empty()) bad();
    return header;
  }

 private:
  [[noreturn]] void bad() { fail("{}: the npy header is damaged; write the file again", where_); }

  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) bad();
  }

  std::string string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') bad();
    const std::size_t end = text_.find(quote, ++at_);
    if (end == std::string_view::npos) bad();
    const std::string value(text_.substr(at_, end - at_));
    at_ = end + 1;
    return value;
  }

  bool boolean() {
    peek();
    for (const std::string_view word : {"True", "False"}) {
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return word == "True";
      }
    }
    bad();
  }

  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> values;
    expect('(');
    while (!accept(')')) {
      values.push_back(number());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return values;
  }

  std::int64_t number() {
    if (peek() < '0' || peek() > '9') bad();
    std::int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (value > std::numeric_limits<std::int64_t>::max() / 10 - 1) {
        fail("{}: the shape is impossible (a dimension beyond 2^63); write the file again", where_);
      }
      value = value * 10 + (text_[at_] - '0');
    }
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // a long of Python 2
    return value;
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t at_ = 0;
};

struct TypeAndOrder {
  NpyType type;
  bool swap;
};

TypeAndOrder parse_descr(const std::string& descr, const std::string& where) {
  if (descr.find('O') != std::string::npos) {
    fail(
        "{}: holds Python objects (a pickle), which only 'posetape prepare h36m' reads; save plain "
        "number arrays, one a name, with numpy.savez",
        where);
  }
  const bool has_order =
      !descr.empty() && std::string_view("<>|=").find(descr[0]) != std::string_view::npos;
  const std::string_view code = std::string_view(descr).substr(has_order ? 1 : 0);
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i].code != code) continue;
    const bool little = !has_order || descr[0] != '>';
    const bool native = !has_order || descr[0] == '=' || descr[0] == '|';
    return {static_cast<NpyType>(i), kTypes[i].size > 1 && !native && little != kLittleHost};
  }
  fail(
      "{}: elements of type '{}' are not supported; convert it to one of float32, float64, "
      "int32, int64, uint8, bool, e.g. with .astype('float32')",
      where, descr.empty() ? "structured" : printable(descr));
}

// Number of elements; refuses a shape whose bytes would not fit the address space.
std::size_t element_count(const std::vector<std::int64_t>& shape, std::size_t size,
                          const std::string& where) {
  if (std::ranges::find(shape, 0) != shape.end()) return 0;
  constexpr auto kLimit = static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max());
  std::size_t count = 1;
  for (const std::int64_t extent : shape) {
    if (static_cast<std::size_t>(extent) > kLimit / size / count) {
      fail("{}: the shape {} is impossible (more than 2^63 bytes); write the file again", where,
           shape_text(shape));
    }
    count *= static_cast<std::size_t>(extent);
  }
  return count;
}

void swap_bytes(std::span<std::byte> bytes, std::size_t size) {
  for (std::size_t i = 0; i < bytes.size(); i += size) {
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                 bytes.begin() + static_cast<std::ptrdiff_t>(i + size));
  }
}

// Column-major elements in row-major order.
std::vector<std::byte> from_fortran(std::span<const std::byte> source,
                                    std::span<const std::int64_t> shape, std::size_t size) {
  std::vector<std::byte> target(source.size());
  std::vector<std::int64_t> index(shape.size(), 0);
  for (std::size_t at = 0; at < target.size(); at += size) {
    std::int64_t from = 0;
    for (std::size_t d = shape.size(); d-- > 0;) from = from * shape[d] + index[d];
    std::memcpy(target.data() + at, source.data() + static_cast<std::size_t>(from) * size, size);
    for (std::size_t d = shape.size(); d-- > 0;) {
      if (++index[d] < shape[d]) break;
      index[d] = 0;
    }
  }
  return target;
}

}  // namespace

std::size_t item_size(NpyType type) {
  return entry(type).size;
}
std::string_view type_name(NpyType type) {
  return entry(type).name;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("({}{})", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
}

NpyHeader parse_npy_header(std::span<const std::byte> file, const std::string& where) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (!text.starts_with(kMagic)) {
    fail("{}: not an array in npy format; write it with numpy.save or numpy.savez", where);
  }
  const auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(file[i]); };
  const std::size_t version = file.size() > 6 ? byte(6) : 0;
  // Version 1 has a header length of two bytes, versions 2 and 3 (UTF-8 names) one of four.
  const std::size_t start = version == 1 ? 10 : 12;
  if (file.size() < start) fail("{}: is cut off in the header; copy or write it again", where);
  if (version < 1 || version > 3) {
    fail("{}: has npy version {}, only 1 to 3 are known; write it with numpy.save", where, version);
  }
  std::size_t length = byte(8) | byte(9) << 8;
  if (version > 1) length |= byte(10) << 16 | byte(11) << 24;
  if (length > file.size() - start) {
    fail("{}: is cut off in the header; copy or write it again", where);
  }

  NpyHeader header = HeaderReader(text.substr(start, length), where).read();
  header.size = start + length;
  return header;
}

NpyArray make_array(const NpyHeader& header, std::span<const std::byte> elements,
                    const std::string& where) {
  const TypeAndOrder element = parse_descr(header.descr, where);
  const std::size_t size = item_size(element.type);
  const std::size_t expected = element_count(header.shape, size, where) * size;
  if (elements.size() != expected) {
    fail("{}: {}: shape {} of {} takes {} bytes, found {}; copy or write it again", where,
         elements.size() < expected ? "is cut off" : "has bytes left over",
         shape_text(header.shape), type_name(element.type), expected, elements.size());
  }

  NpyArray array{element.type, header.shape, {}};
  if (header.fortran_order && header.shape.size() > 1) {
    array.bytes = from_fortran(elements, header.shape, size);
  } else {
    array.bytes.assign(elements.begin(), elements.end());
  }
  if (element.swap) swap_bytes(array.bytes, size);
  return array;
}

NpyArray parse_npy(std::span<const std::byte> file, const std::string& where) {
  const NpyHeader header = parse_npy_header(file, where);
  return make_array(header, file.subspan(header.size), where);
}

std::string npy_header(NpyType type, std::span<const std::int64_t> shape) {
  const char order = item_size(type) == 1 ? '|' : kLittleHost ? '<' : '>';
  std::string dictionary = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': {}, }}",
                                       order, entry(type).code, shape_text(shape));
  // The elements start at a multiple of 64 bytes, after a line feed.
  dictionary.append(63 - (10 + dictionary.size()) % 64, ' ');
  dictionary += '\n';
  const std::size_t length = dictionary.size();
  std::string header(kMagic);
  header += {'\x01', '\x00', static_cast<char>(length & 0xff), static_cast<char>(length >> 8)};
  return header + dictionary;
}

NpyArray read_npy(const std::string& path) {
  std::error_code code;
  const std::uintmax_t size = std::filesystem::file_size(path, code);
  if (code) fail("{}: cannot be read ({}); check the name", path, code.message());
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size))) {
    fail("{}: cannot be read ({}); check that you may read it", path,
         std::generic_category().message(errno));
  }
  return parse_npy(bytes, path);
}

void write_npy(const std::string& path, const NpyView& array) {
  AtomicFile file(path);
  file.write(npy_header(array.type, array.shape));
  file.write(array.bytes);
  file.commit();
}

}  // namespace posetape::data
