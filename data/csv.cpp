// A table of poses, a line a frame, for spreadsheets and other programs; and of confidences, beside
// files that have no place for them.
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
  sink("sequence,frame,seconds" + names(pixels ? "xy" : "xyz", ",{}_{}") +
       (sure ? names("c", ",{}_confidence") : "") + "\n");
  for (const PoseClip& clip : clips) {
    std::string lines;
    for (int f = 0; f < clip.poses->frames(); ++f) {
      lines += beginning(clip, f) + coordinates(clip, f, options);
      if (sure) lines += confidences(clip, f);
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

const FormatRule csv_format{
    .name = "csv",
    .title = "a table",
    .endings = {".csv"},
    .begins = [](std::string_view start) { return start.starts_with("sequence,frame,seconds,"); },
    .reader = std::nullopt,
    .writer = FormatWriter{.help = "a line a frame",
                           .all_in_one = true,
                           .pixels = true,
                           .confidence = true,
                           .unit = Unit::m,
                           .up = Axes::camera,
                           .fixed = false,
                           .write = write}};

}  // namespace posetape::data
