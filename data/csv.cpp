// A table of poses, a line a frame, for spreadsheets and other programs; and of confidences and
// standard deviations, beside files that have no place for them.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "data/motion_format.hpp"
#include "data/pose_table.hpp"
#include "data/skeleton.hpp"

namespace posetape::data {
namespace {

// A text with commas or quotes in it, as RFC 4180 writes it.
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? std::string("\"\"") : std::string(1, c);
  return result + "\"";
}

// For each joint and ending.
std::string names(std::string_view endings, const char* format) {
  std::string text;
  for (const std::string_view joint : kJointNames) {
    for (const char c : endings) text += fmt::format(fmt::runtime(format), joint, c);
  }
  return text;
}

std::string beginning(const PoseClip& clip, int frame) {
  return fmt::format("{},{},{:.10g}", quoted(clip.name), frame, frame / clip.fps);
}

// Empty where nothing is known.
std::string confidences(const PoseClip& clip, int frame) {
  if (clip.confidence == nullptr) return std::string(kJoints, ',');
  std::string text;
  for (int j = 0; j < kJoints; ++j) {
    text += fmt::format(",{}", (*clip.confidence)[std::size_t(frame) * kJoints + std::size_t(j)]);
  }
  return text;
}

std::string deviations(const PoseClip& clip, int frame, const ExportOptions& options) {
  if (clip.std == nullptr) return std::string(3 * std::size_t(kJoints), ',');
  std::string text;
  for (int j = 0; j < kJoints; ++j) {
    for (const double s : exported_std(clip, frame, j, options)) {
      text += fmt::format(",{}", static_cast<float>(s));
    }
  }
  return text;
}

std::string coordinates(const PoseClip& clip, int frame, const ExportOptions& options) {
  std::string text;
  const bool as_stored =
      clip.poses->channels == 2 || (options.unit == Unit::m && options.up == Axes::camera);
  if (as_stored) {
    for (int i = 0; i < kJoints * clip.poses->channels; ++i) {
      text += fmt::format(",{}", clip.poses->frame(frame)[i]);
    }
    return text;
  }
  for (int j = 0; j < kJoints; ++j) {
    for (const double x : exported(clip, frame, j, options)) {
      text += fmt::format(",{}", static_cast<float>(x));
    }
  }
  return text;
}

void write(std::span<const PoseClip> clips, const ExportOptions& options, const Sink& sink) {
  const bool sure =
      std::ranges::any_of(clips, [](const PoseClip& clip) { return clip.confidence != nullptr; });
  const bool pixels = !clips.empty() && clips[0].poses->channels == 2;
  const bool knows_std =
      std::ranges::any_of(clips, [](const PoseClip& clip) { return clip.std != nullptr; });
  sink("sequence,frame,seconds" + names(pixels ? "xy" : "xyz", ",{}_{}") +
       (sure ? names("c", ",{}_confidence") : "") + (knows_std ? names("xyz", ",{}_{}_std") : "") +
       "\n");
  for (const PoseClip& clip : clips) {
    std::string lines;
    for (int f = 0; f < clip.poses->frames(); ++f) {
      lines += beginning(clip, f) + coordinates(clip, f, options);
      if (sure) lines += confidences(clip, f);
      if (knows_std) lines += deviations(clip, f, options);
      lines += '\n';
    }
    sink(lines);
  }
}

}  // namespace

std::string confidence_table(const PoseClip& clip) {
  std::string text = "sequence,frame,seconds" + names("c", ",{}") + "\n";
  for (int f = 0; f < clip.poses->frames(); ++f) {
    text += beginning(clip, f) + confidences(clip, f) + '\n';
  }
  return text;
}

std::string std_table(const PoseClip& clip, const ExportOptions& options) {
  std::string text = "sequence,frame,seconds" + names("xyz", ",{}_{}") + "\n";
  for (int f = 0; f < clip.poses->frames(); ++f) {
    text += beginning(clip, f) + deviations(clip, f, options) + '\n';
  }
  return text;
}

const FormatRule csv_format{
    .name = "csv",
    .title = "a table",
    .endings = {".csv"},
    .begins = [](std::string_view start) { return start.starts_with("sequence,frame,seconds,"); },
    .reader = std::nullopt,
    .writer = FormatWriter{.help = "a line a frame",
                           .all_in_one = true,
                           .pixels = true,
                           .certainty = true,
                           .unit = Unit::m,
                           .up = Axes::camera,
                           .fixed = false,
                           .write = write}};

}  // namespace posetape::data
