#include "data/printable.hpp"

namespace posetape::data {
namespace {

// One character of UTF-8 at the start of a text: its bytes, 0 where it is none or a control.
std::size_t character_size(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first < ' ' || first == 0x7f ? 0 : 1;
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return size;
}

}  // namespace

std::string printable(std::string_view text) {
  constexpr std::size_t kMost = 60;
  std::string result(text.substr(0, kMost));
  for (char& c : result) {
    if (c < ' ' || c > '~') c = '?';
  }
  return text.size() > kMost ? result + "..." : result;
}

std::string part_of_name(std::string_view name) {
  while (name.ends_with('/') || name.ends_with('\\')) name.remove_suffix(1);
  const std::size_t slash = name.find_last_of("/\\");
  if (slash != std::string_view::npos) name.remove_prefix(slash + 1);
  std::string result;
  while (!name.empty()) {
    const std::size_t size = character_size(name);
    if (size == 0) {
      result += '_';
      name.remove_prefix(1);
    } else {
      result += name.substr(0, size);
      name.remove_prefix(size);
    }
  }
  return result.empty() || result == "." || result == ".." ? "clip" : result;
}

}  // namespace posetape::data
