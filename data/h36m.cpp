#include "data/h36m.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "data/camera.hpp"
#include "data/motion.hpp"
#include "data/selection.hpp"
#include "data/videopose.hpp"
#include "engine/error.hpp"
#include "engine/tensor.hpp"

namespace posetape::data {
namespace {

constexpr double kFps = 50;
constexpr std::int64_t kSourceJoints = 32;
constexpr int kViews = 4;
constexpr std::size_t kTakes = 2;  // of an action by a subject

using ClipName = std::pair<std::string, std::string>;  // subject, action

std::string action_class(std::string_view action) {
  return std::string(action.substr(0, action.find(' ')));
}

std::string file_name(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

Motion motion_of(const PositionsClip& clip, const std::string& path) {
  const std::string where = fmt::format("{}: {}/{}", path, clip.subject, clip.action);
  const auto& shape = clip.positions.shape;
  if (shape[1] != kSourceJoints || shape[0] == 0) {
    fail("{}: expected (frames, {}, 3), found {}; give data_3d_h36m.npz as VideoPose3D makes it",
         where, kSourceJoints, shape_text(shape));
  }
  const std::vector<float> values = clip.positions.as<float>();
  if (first_not_finite(values)) {
    fail("{}: has NaN or infinite coordinates; repair or remove the clip", where);
  }
  Motion motion{clip.subject, clip.action, kFps, {}};
  motion.frames.resize(static_cast<std::size_t>(shape[0]));
  for (std::size_t f = 0; f < motion.frames.size(); ++f) {
    for (int j = 0; j < kJoints; ++j) {
      const float* p = values.data() + (f * kSourceJoints + kH36mJoints[j]) * 3;
      motion.frames[f][j] = Vec3(p[0], p[1], p[2]);
    }
  }
  // A person's joints are within a metre or so of the hip.
  const Pose3& first = motion.frames.front();
  for (const Vec3& p : first) {
    if ((p - first[0]).norm() > 10) {
      fail("{}: expected metres, found a joint {:.0f} from the hip; divide millimetres by 1000",
           where, (p - first[0]).norm());
    }
  }
  return motion;
}

// The first `frames` of the 2D poses of one camera.
PoseArray detections(const KeypointsClip& clip, int view, int frames, const std::string& path) {
  const std::string where = fmt::format("{}: {}/{}", path, clip.subject, clip.action);
  if (clip.views.size() != kViews) {
    fail("{}: expected 2D poses of {} cameras, found {}; give data_2d_h36m_*.npz", where, kViews,
         clip.views.size());
  }
  const NpyArray& array = clip.views[static_cast<std::size_t>(view)];
  if (array.shape[1] != kJoints) {
    fail("{}, camera {}: expected {} joints of Human3.6M, found {}", where, view, kJoints,
         array.shape[1]);
  }
  if (array.shape[0] < frames) {
    fail("{}, camera {}: {} frames for {} of 3D poses; give files of one version", where, view,
         array.shape[0], frames);
  }
  if (array.shape[2] != 2) {
    fail("{}, camera {}: expected shape (frames, joints, 2), found {}", where, view,
         shape_text(array.shape));
  }
  PoseArray poses{2, array.as<float>()};
  poses.values.resize(std::size_t(frames) * kJoints * 2);
  return poses;
}

double summed_distance(const PoseArray& a, const PoseArray& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.values.size(); i += 2) {
    sum += std::hypot(a.values[i] - b.values[i], a.values[i + 1] - b.values[i + 1]);
  }
  return sum;
}

// Which takes are not there, of those that every subject has. S11's one of Directions is damaged in
// the data set itself.
void note_missing(const std::vector<std::string>& subjects, const std::set<ClipName>& clips,
                  std::vector<std::string>& notes) {
  std::map<std::string, std::map<std::string, std::size_t>> takes;
  std::set<std::string> actions;
  for (const auto& [subject, action] : clips) {
    ++takes[subject][action_class(action)];
    actions.insert(action_class(action));
  }
  for (const std::string& subject : subjects) {
    for (const std::string& action : actions) {
      const std::size_t expected = subject == "S11" && action == "Directions" ? 1 : kTakes;
      const std::size_t found = takes[subject][action];
      if (found != expected) {
        notes.push_back(
            fmt::format("{}/{}: {} takes instead of {}", subject, action, found, expected));
      }
    }
  }
  if (actions.size() != 15)
    notes.push_back(fmt::format("{} actions instead of 15", actions.size()));
}

}  // namespace

Dataset prepare_h36m(const std::string& positions, const std::string& keypoints,
                     const H36mOptions& options, H36mReport& report) {
  check_cameras(options.cameras, kViews);
  std::vector<PositionsClip> clips = read_positions_3d(positions);
  std::map<ClipName, KeypointsClip> detected;
  if (!keypoints.empty()) {
    for (KeypointsClip& clip : read_keypoints_2d(keypoints).clips) {
      detected.emplace(ClipName{clip.subject, clip.action}, std::move(clip));
    }
  }

  std::vector<std::string> present;
  for (const std::string& subject : h36m_subjects()) {
    if (std::ranges::find(clips, subject, &PositionsClip::subject) != clips.end()) {
      present.push_back(subject);
    }
  }
  if (present.empty()) fail("{}: has no subject of Human3.6M, such as S1", positions);
  const auto subjects = select(present, options.subjects, "subject");
  Dataset dataset;
  dataset.test_subjects = select_test_subjects(subjects, options.test_subjects, {"S9", "S11"});

  std::set<ClipName> used;
  double distance = 0;
  std::int64_t joints = 0;
  for (PositionsClip& clip : clips) {
    const ClipName name{clip.subject, clip.action};
    if (!contains(present, clip.subject)) {
      report.notes.push_back(
          fmt::format("{}/{}: left out, its cameras are not public", name.first, name.second));
    }
    if (!contains(subjects, clip.subject)) continue;
    const auto found = detected.find(name);
    if (!keypoints.empty() && found == detected.end()) {
      report.notes.push_back(
          fmt::format("{}/{}: left out, it has no 2D poses", name.first, name.second));
      continue;
    }
    used.insert(name);
    const Motion motion = motion_of(clip, positions);
    clip.positions = {};
    const std::vector<Camera> rig = h36m_cameras(clip.subject);
    for (const int c : options.cameras) {
      Sequence sequence = film(motion, rig[static_cast<std::size_t>(c)], std::to_string(c));
      if (found != detected.end()) {
        PoseArray poses = detections(found->second, c, sequence.frames(), keypoints);
        distance += summed_distance(poses, sequence.pose_2d);
        sequence.pose_2d = std::move(poses);
      }
      joints += std::int64_t{kJoints} * sequence.frames();
      H36mTotal& total = dataset.is_test(sequence) ? report.test : report.train;
      ++total.sequences;
      total.frames += sequence.frames();
      dataset.sequences.push_back(std::move(sequence));
    }
    if (found != detected.end()) found->second.views.clear();
  }
  if (dataset.sequences.empty()) fail("{}: no clip has 2D poses in {}", positions, keypoints);

  report.pixels = distance / static_cast<double>(joints);
  // A detector is some 10 pixels off, and other cameras or joints are some 100.
  if (!(report.pixels < 60)) {
    fail(
        "{}: 2D poses are {:.0f} pixels from where the cameras see the 3D ones; the file is of "
        "another skeleton, other cameras or no pixels",
        keypoints, report.pixels);
  }
  std::size_t spare = 0;
  for (const auto& [name, clip] : detected)
    spare += !contains(subjects, name.first) ? 0 : !used.contains(name);
  if (spare > 0) report.notes.push_back(fmt::format("{} clips of 2D poses have no 3D ones", spare));
  note_missing(subjects, used, report.notes);
  const auto equal = [](const H36mTotal& a, const H36mTotal& b) {
    return a.sequences == b.sequences && a.frames == b.frames;
  };
  report.complete =
      equal(report.train, H36mReport::kTrain) && equal(report.test, H36mReport::kTest);

  dataset.metadata =
      nlohmann::ordered_json{
          {"source", "h36m"},
          {"positions", file_name(positions)},
          {"keypoints", keypoints.empty() ? "exact projections" : file_name(keypoints)},
          {"keypoints_mean_distance_px", report.pixels},
          {"fps", kFps},
          {"cameras", options.cameras},
          {"subjects", subjects},
          {"test_subjects", dataset.test_subjects},
          {"complete", report.complete},
          {"units", {{"pose_2d", "pixels"}, {"pose_3d", "metres, camera space, absolute"}}}}
          .dump();
  return dataset;
}

}  // namespace posetape::data
