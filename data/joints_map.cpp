#include "data/joints_map.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "data/printable.hpp"
#include "data/skeleton.hpp"
#include "data/text_lines.hpp"

namespace posetape::data {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\"";
  const std::size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

}  // namespace

JointsMap parse_joints_map(std::string_view text, const std::string& file) {
  JointsMap map;
  map.file = file;
  TextLines lines(text, map.file);
  while (lines.next()) {
    const std::string_view line = lines.line();
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
      lines.bad("'joint = name in the file', found '{}'", printable(line));
    }
    const std::string_view joint = trimmed(line.substr(0, equals));
    const auto found = std::ranges::find(kJointNames, joint);
    if (found == kJointNames.end()) {
      lines.bad("one of {}, found '{}'", fmt::join(kJointNames, ", "), printable(joint));
    }
    auto& names = map.names[static_cast<std::size_t>(found - kJointNames.begin())];
    if (!names.empty()) lines.bad("'{}' once", joint);
    std::string_view rest = line.substr(equals + 1);
    for (bool more = true; more;) {
      const std::size_t comma = rest.find(',');
      const std::string_view name = trimmed(rest.substr(0, comma));
      if (name.empty())
        lines.bad("names between commas after '{} =', found '{}'", joint, printable(line));
      names.emplace_back(name);
      more = comma != std::string_view::npos;
      if (more) rest.remove_prefix(comma + 1);
    }
  }
  return map;
}

JointsMap read_joints_map(const std::filesystem::path& file) {
  return parse_joints_map(read_text(file), file.string());
}

}  // namespace posetape::data
