// Poses as JSON: one object, whose "frames" has a record a frame, each on a line of its own.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "data/motion_format.hpp"
#include "data/skeleton.hpp"

namespace posetape::data {
namespace {

std::string text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// [[x, y, z], ...]
std::string points(const PoseClip& clip, int frame, const ExportOptions& options) {
  std::string list;
  for (int j = 0; j < kJoints; ++j) {
    list += j == 0 ? "[" : ",[";
    if (clip.poses->channels == 2) {
      const float* p = clip.poses->frame(frame) + 2 * j;
      list += fmt::format("{},{}]", p[0], p[1]);
    } else {
      const Vec3 p = exported(clip, frame, j, options);
      list += fmt::format("{},{},{}]", static_cast<float>(p.x()), static_cast<float>(p.y()),
                          static_cast<float>(p.z()));
    }
  }
  return list;
}

std::string record(const PoseClip& clip, int frame, const ExportOptions& options) {
  std::string line =
      fmt::format(R"({{"sequence":{},"frame":{},"seconds":{:.10g},"joints":[{}])", text(clip.name),
                  frame, frame / clip.fps, points(clip, frame, options));
  if (clip.confidence != nullptr) {
    const float* c = clip.confidence->data() + std::size_t(frame) * kJoints;
    line += fmt::format(R"(,"confidence":[{}])", fmt::join(c, c + kJoints, ","));
  }
  if (clip.std != nullptr) {
    for (int j = 0; j < kJoints; ++j) {
      const Eigen::Vector3f s = exported_std(clip, frame, j, options).cast<float>();
      line += fmt::format("{}[{},{},{}]", j == 0 ? R"(,"std":[)" : ",", s.x(), s.y(), s.z());
    }
    line += "]";
  }
  return line + "}";
}

void write(std::span<const PoseClip> clips, const ExportOptions& options, const Sink& sink) {
  const bool pixels = !clips.empty() && clips[0].poses->channels == 2;
  nlohmann::json names = nlohmann::json::array();
  for (const std::string_view joint : kJointNames) names.push_back(joint);
  sink(
      fmt::format("{{\"format\":\"posetape poses 1\",\"field\":{},\"unit\":{},\"axes\":{},\n"
                  "\"joints\":{},\n\"frames\":[",
                  text(options.field), text(pixels ? "pixel" : name(options.unit)),
                  text(pixels ? "x right, y down" : words(options.up)), names.dump()));
  const char* between = "\n";
  for (const PoseClip& clip : clips) {
    std::string lines;
    for (int f = 0; f < clip.poses->frames(); ++f) {
      lines += between + record(clip, f, options);
      between = ",\n";
    }
    sink(lines);
  }
  sink("\n]}\n");
}

}  // namespace

const FormatRule json_format{
    .name = "json",
    .title = "poses in JSON",
    .endings = {".json"},
    .begins =
        [](std::string_view start) { return start.starts_with("{\"format\":\"posetape poses"); },
    .reader = std::nullopt,
    .writer = FormatWriter{.help = "a record a frame",
                           .all_in_one = true,
                           .pixels = true,
                           .certainty = true,
                           .unit = Unit::m,
                           .up = Axes::camera,
                           .fixed = false,
                           .write = write}};

}  // namespace posetape::data
