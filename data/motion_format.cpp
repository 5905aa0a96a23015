#include "data/motion_format.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "engine/error.hpp"

namespace posetape::data {
namespace {

std::vector<const FormatRule*> those(bool (*wanted)(const FormatRule&)) {
  std::vector<const FormatRule*> some;
  for (const FormatRule* rule : formats()) {
    if (wanted(*rule)) some.push_back(rule);
  }
  return some;
}

}  // namespace

double metres(Unit unit) {
  constexpr std::array kMetres{1.0, 0.01, 0.001};
  return kMetres[static_cast<std::size_t>(unit)];
}

const char* words(Axes axes) {
  constexpr std::array kWords{"x right, y down, z forward", "x right, y up, z backward",
                              "x right, y forward, z up"};
  return kWords[static_cast<std::size_t>(axes)];
}

Vec3 exported(const PoseClip& clip, int frame, int joint, const ExportOptions& options) {
  const float* p = clip.poses->frame(frame) + 3 * joint;
  const double x = p[0], y = p[1], z = p[2];
  const double scale = 1 / metres(options.unit);
  switch (options.up) {
    case Axes::camera:
      return scale * Vec3(x, y, z);
    case Axes::y:
      return scale * Vec3(x, -y, -z);
    case Axes::z:
      return scale * Vec3(x, z, -y);
  }
  fail("no axes of that number");
}

Vec3 exported_std(const PoseClip& clip, int frame, int joint, const ExportOptions& options) {
  const float* s = clip.std->frame(frame) + 3 * joint;
  const double x = s[0], y = s[1], z = s[2];
  const Vec3 turned = options.up == Axes::z ? Vec3(x, z, y) : Vec3(x, y, z);
  return turned / metres(options.unit);
}

std::span<const FormatRule* const> formats() {
  static constexpr std::array kFormats{
#define POSETAPE_FORMAT(format) &format##_format,
#include "data/formats.def"
#undef POSETAPE_FORMAT
  };
  return kFormats;
}

std::vector<const FormatRule*> formats_read() {
  return those([](const FormatRule& rule) { return rule.reader.has_value(); });
}

std::vector<const FormatRule*> formats_written() {
  return those([](const FormatRule& rule) { return rule.writer.has_value(); });
}

const FormatRule* format_of(std::string_view start) {
  if (start.starts_with("\xef\xbb\xbf")) start.remove_prefix(3);
  const auto found =
      std::ranges::find_if(formats(), [&](const FormatRule* rule) { return rule->begins(start); });
  return found == formats().end() ? nullptr : *found;
}

bool has_ending(const std::filesystem::path& file, std::span<const std::string_view> endings) {
  std::string ending = file.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::ranges::find(endings, ending) != endings.end();
}

std::vector<Choice<const FormatRule*>> choices_of(std::span<const FormatRule* const> rules) {
  std::vector<Choice<const FormatRule*>> choices;
  for (const FormatRule* rule : rules) {
    choices.push_back({rule, rule->name, rule->writer ? rule->writer->help : ""});
  }
  return choices;
}

}  // namespace posetape::data
