#include "data/marker_motion.hpp"

#include <algorithm>
#include <cmath>

#include "data/skeleton.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

bool is_missing(const Vec3& p) {
  return !p.allFinite();
}

// By point: whether 0, 0, 0 is how the file says that it was not seen.
std::vector<bool> zero_is_missing(const MarkerTrack& track) {
  std::vector<bool> missing(track.labels.size());
  for (std::size_t p = 0; p < missing.size(); ++p) {
    for (std::size_t f = 0; f < track.frames && !missing[p]; ++f) {
      missing[p] = !is_missing(track.at(f, p)) && !track.at(f, p).isZero(0);
    }
  }
  return missing;
}

std::vector<Pose3> poses_of(const MarkerTrack& track, const JointPoints& joints) {
  const std::vector<bool> zero_missing = zero_is_missing(track);
  std::vector<Pose3> frames(track.frames);
  for (std::size_t f = 0; f < track.frames; ++f) {
    for (std::size_t j = 0; j < kJoints; ++j) {
      Vec3 sum = Vec3::Zero();
      for (const int point : joints[j]) {
        const auto p = static_cast<std::size_t>(point);
        const Vec3& at = track.at(f, p);
        sum += zero_missing[p] && at.isZero(0) ? kMissing : at;
      }
      frames[f][j] = sum / static_cast<double>(joints[j].size());
    }
  }
  return frames;
}

// Interpolates gaps of at most `most` frames between two frames that have the joint; how many
// joints in all frames that were.
std::size_t bridge_gaps(std::vector<Pose3>& frames, std::size_t most) {
  std::size_t bridged = 0;
  for (std::size_t j = 0; j < kJoints; ++j) {
    std::size_t last = frames.size();  // the last frame that has it; none yet
    for (std::size_t f = 0; f < frames.size(); ++f) {
      if (is_missing(frames[f][j])) continue;
      const std::size_t gap = last < frames.size() ? f - last - 1 : 0;
      for (std::size_t k = 1; gap <= most && k <= gap; ++k) {
        const double t = static_cast<double>(k) / static_cast<double>(gap + 1);
        frames[last + k][j] = (1 - t) * frames[last][j] + t * frames[f][j];
        ++bridged;
      }
      last = f;
    }
  }
  return bridged;
}

struct Stretch {
  std::size_t begin = 0, end = 0;
  std::size_t size() const { return end - begin; }
};

// The longest that has all joints.
Stretch longest_whole(const std::vector<Pose3>& frames) {
  Stretch best, now;
  for (std::size_t f = 0; f < frames.size(); ++f) {
    if (std::ranges::any_of(frames[f], is_missing)) {
      now = {f + 1, f + 1};
      continue;
    }
    now.end = f + 1;
    if (now.size() > best.size()) best = now;
  }
  return best;
}

// The joint that is missing in most frames.
std::size_t most_missing(const std::vector<Pose3>& frames) {
  std::array<std::size_t, kJoints> counts{};
  for (const Pose3& pose : frames) {
    for (std::size_t j = 0; j < kJoints; ++j) counts[j] += is_missing(pose[j]) ? 1 : 0;
  }
  return static_cast<std::size_t>(std::ranges::max_element(counts) - counts.begin());
}

void keep_whole(const MarkerTrack& track, std::vector<Pose3>& frames, Notes& notes) {
  const auto most = static_cast<std::size_t>(std::max(1.0, std::floor(0.25 * track.fps)));
  if (const std::size_t bridged = bridge_gaps(frames, most); bridged > 0) {
    notes.push_back(fmt::format("{} missing joints in gaps of at most {} frames are interpolated",
                                bridged, most));
  }
  const Stretch whole = longest_whole(frames);
  if (whole.size() == frames.size()) return;
  const std::string_view joint = kJointNames[most_missing(frames)];
  if (whole.size() == 0) {
    fail("{}: expected a frame with all 17 joints, found none; most often {} is missing",
         track.file, joint);
  }
  notes.push_back(fmt::format(
      "frames {} to {} of {} are taken, the longest stretch without gaps of more than {} "
      "frames; most often {} is missing",
      whole.begin + 1, whole.end, frames.size(), most, joint));
  frames = {frames.begin() + static_cast<std::ptrdiff_t>(whole.begin),
            frames.begin() + static_cast<std::ptrdiff_t>(whole.end)};
}

}  // namespace

Motion marker_motion(const MarkerTrack& track, const MotionOptions& options) {
  std::vector<NamedPoint> markers;
  for (const std::string& label : track.labels) markers.push_back({.name = label});
  const JointPoints joints = joints_of_markers(track.file, markers, options.joints, "--markers");
  Motion motion;
  motion.name = std::filesystem::path(track.file).stem().string();
  motion.fps = track.fps;
  motion.notes = track.notes;
  motion.frames = poses_of(track, joints);
  keep_whole(track, motion.frames, motion.notes);
  const WorldClues clues{.given_unit = options.metres_per_unit,
                         .stated_unit = track.metres_per_unit,
                         .given_up = options.up,
                         .stated_up = track.up};
  motion.world = find_world(track.file, motion.frames, clues, motion.notes);
  motion.notes.push_back(fmt::format("lengths are read as {}, {} as the vertical",
                                     unit_name(motion.world->metres_per_unit),
                                     name(motion.world->up)));
  to_world(motion.frames, *motion.world);
  if (options.hip == HipRoot::midpoint) hip_to_midpoint(motion.frames);
  return motion;
}

}  // namespace posetape::data
