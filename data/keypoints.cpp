#include "data/keypoints.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "data/gaps.hpp"
#include "data/missing_joints.hpp"
#include "data/printable.hpp"
#include "engine/error.hpp"

namespace posetape::data {

void note_filled(const std::string& sequence, int frames, const FillReport& report,
                 std::vector<std::string>& notes) {
  const std::int64_t joints = std::int64_t{kJoints} * frames;
  const auto note = [&](const char* done, std::int64_t count, const char* how) {
    if (count == 0) return;
    notes.push_back(fmt::format("{}: {} {} of {} joints{}", sequence, done, count, joints, how));
  };
  note("interpolated", report.interpolated, "");
  note("took", report.replaced, " from other keypoints");
  note("guessed", report.guessed, " from the body (confidence 0)");
  if (!report.never_seen.empty()) {
    notes.push_back(fmt::format("{}: never seen: {}", sequence, joint_names(report.never_seen)));
  }
}

namespace {

namespace fs = std::filesystem;

bool has_json(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".json" && !it->is_directory(error)) return true;
  }
  return false;
}

// The folders of JSON in a folder that has none itself, in the order of their names.
std::vector<std::string> folders_in(const std::string& path) {
  std::vector<std::string> folders;
  std::error_code error;
  if (!fs::is_directory(path, error) || has_json(path)) return folders;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    if (it->is_directory(error) && has_json(it->path())) folders.push_back(it->path().string());
  }
  std::ranges::sort(folders);
  return folders;
}

// "<folder>/<its folder>/0" for the clip of a folder in a folder, "<folder>/<its folder>_<video>/0"
// where it is one of several.
std::vector<KeypointClip> read_all(const std::string& path, std::optional<KeypointFormat> format) {
  const std::vector<std::string> folders = folders_in(path);
  if (folders.empty()) return read_clips(KeypointInput(path), Wanted::keypoints, format);
  const std::string subject = KeypointInput(path).subject();
  std::vector<KeypointClip> clips;
  for (const std::string& folder : folders) {
    const KeypointInput input(folder);
    for (KeypointClip& clip : read_clips(input, Wanted::keypoints, format)) {
      const std::string name = clip.name.substr(clip.name.find('/') + 1);
      clip.name = name.starts_with("clip/")
                      ? fmt::format("{}/{}{}", subject, input.subject(), name.substr(4))
                      : fmt::format("{}/{}_{}", subject, input.subject(), name);
      clips.push_back(std::move(clip));
    }
  }
  return clips;
}

}  // namespace

Dataset prepare_keypoints(const std::string& path, const TrackOptions& options,
                          std::vector<std::string>& notes) {
  Dataset dataset;
  nlohmann::ordered_json filled = nlohmann::ordered_json::object();
  nlohmann::ordered_json first = nlohmann::ordered_json::object();
  bool rate_known = options.fps.has_value();
  KeypointLayout layout{};
  FreeNames names;
  for (const KeypointClip& clip : read_all(path, options.format)) {
    rate_known = rate_known || clip.fps > 0;
    const std::string where = fmt::format("{}: {}", path, printable(clip.name));
    for (TrackPiece& piece : track_pieces(clip, options, where, notes)) {
      FillReport report;
      JointTrack joints =
          to_joints(piece.layout, piece.track, longest_gap(piece.fps), where, report);
      Sequence sequence;
      sequence.name = names.take(piece.name);
      sequence.pose_2d = std::move(joints.poses);
      sequence.confidence = std::move(joints.confidence);
      sequence.image_size = piece.image_size;
      sequence.fps = static_cast<float>(piece.fps);
      sequence.fps_known = options.fps.has_value() || clip.fps > 0;
      note_filled(sequence.name, sequence.frames(), report, notes);
      if (report.interpolated > 0) filled[sequence.name] = report.interpolated;
      if (piece.first_frame > 0) first[sequence.name] = piece.first_frame;
      layout = piece.layout;
      dataset.sequences.push_back(std::move(sequence));
    }
  }
  if (dataset.sequences.empty()) fail("{}: has no 2D poses", path);
  if (!rate_known) {
    notes.push_back(fmt::format("frames a second are not known, taken as {:g}; say them with --fps",
                                dataset.sequences.front().fps));
  }
  dataset.metadata =
      nlohmann::ordered_json{{"source", "keypoints"},
                             {"file", std::filesystem::path(path).filename().string()},
                             {"layout", name(layout)},
                             {"fps", dataset.sequences.front().fps},
                             {"interpolated_joints", filled},
                             {"first_frames", first},
                             {"units", {{"pose_2d", "pixels"}}}}
          .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return dataset;
}

}  // namespace posetape::data
