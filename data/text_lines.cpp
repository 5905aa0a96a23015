#include "data/text_lines.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>

namespace posetape::data {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

}  // namespace

std::string read_text(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  const auto size = stream ? static_cast<std::streamoff>(stream.tellg()) : std::streamoff{-1};
  if (size < 0) fail("{}: cannot open the file for reading", file.string());
  std::string text(static_cast<std::size_t>(size), '\0');
  stream.seekg(0);
  stream.read(text.data(), size);
  if (!stream) fail("{}: cannot read the file", file.string());
  return text;
}

bool TextLines::next() {
  while (position_ < text_.size()) {
    const std::size_t end = std::min(text_.find('\n', position_), text_.size());
    std::string_view line = text_.substr(position_, end - position_);
    position_ = end + 1;
    ++number_;
    while (!line.empty() && is_space(line.front())) line.remove_prefix(1);
    while (!line.empty() && is_space(line.back())) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    rest_ = line_ = line;
    return true;
  }
  rest_ = line_ = {};
  return false;
}

std::string_view TextLines::word() {
  std::size_t end = 0;
  while (end < rest_.size() && !is_space(rest_[end])) ++end;
  const std::string_view word = rest_.substr(0, end);
  while (end < rest_.size() && is_space(rest_[end])) ++end;
  rest_.remove_prefix(end);
  return word;
}

double TextLines::number(std::string_view of) {
  return number(of, word());
}

double TextLines::number(std::string_view of, std::string_view text) const {
  if (text.empty()) bad("a number for {}", of);
  // Some writers put a plus sign before a number, which from_chars does not take.
  const char* first = text.data() + (text.size() > 1 && text.front() == '+' ? 1 : 0);
  const char* last = text.data() + text.size();
  double value = 0;
  const auto [end, error] = std::from_chars(first, last, value);
  if (error != std::errc{} || end != last || !std::isfinite(value)) {
    bad("a finite number for {}, found '{}'", of, text);
  }
  return value;
}

}  // namespace posetape::data
