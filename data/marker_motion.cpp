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

// Those that have all joints: of at least `least` frames, or the longest one.
std::vector<Stretch> whole_stretches(const std::vector<Pose3>& frames, std::size_t least) {
  std::vector<Stretch> all;
  bool inside = false;
  for (std::size_t f = 0; f < frames.size(); ++f) {
    const bool whole = std::ranges::none_of(frames[f], is_missing);
    if (whole && !inside) all.push_back({f, f});
    if (whole) all.back().end = f + 1;
    inside = whole;
  }
  if (all.empty()) return all;
  const Stretch longest = *std::ranges::max_element(all, {}, &Stretch::size);
  if (longest.size() < least) return {longest};
  std::erase_if(all, [&](const Stretch& s) { return s.size() < least; });
  return all;
}

// The joint that is missing in most frames.
std::size_t most_missing(const std::vector<Pose3>& frames) {
  std::array<std::size_t, kJoints> counts{};
  for (const Pose3& pose : frames) {
    for (std::size_t j = 0; j < kJoints; ++j) counts[j] += is_missing(pose[j]) ? 1 : 0;
  }
  return static_cast<std::size_t>(std::ranges::max_element(counts) - counts.begin());
}

// The stretches without long gaps.
std::vector<Stretch> fill_and_split(const MarkerTrack& track, std::vector<Pose3>& frames,
                                    Notes& notes) {
  const auto most = static_cast<std::size_t>(std::max(1.0, std::floor(0.25 * track.fps)));
  if (const std::size_t bridged = bridge_gaps(frames, most); bridged > 0) {
    notes.push_back(fmt::format("{} missing joints in gaps of at most {} frames are interpolated",
                                bridged, most));
  }
  const auto least = static_cast<std::size_t>(std::max(1.0, std::floor(0.5 * track.fps)));
  const std::vector<Stretch> whole = whole_stretches(frames, least);
  if (whole.size() == 1 && whole[0].size() == frames.size()) return whole;
  const std::string_view joint = kJointNames[most_missing(frames)];
  if (whole.empty()) {
    fail("{}: expected a frame with all 17 joints, found none; most often {} is missing",
         track.file, joint);
  }
  std::string taken;
  std::size_t count = 0;
  for (const Stretch& s : whole) {
    taken += fmt::format("{}{} to {}", taken.empty() ? "" : ", ", s.begin + 1, s.end);
    count += s.size();
  }
  notes.push_back(fmt::format(
      "{} of {} frames are taken, the stretches without gaps of more than {} frames: {}; most "
      "often {} is missing",
      count, frames.size(), most, taken, joint));
  return whole;
}

}  // namespace

std::vector<Motion> marker_motions(const MarkerTrack& track, const MotionOptions& options) {
  std::vector<NamedPoint> markers;
  for (const std::string& label : track.labels) markers.push_back({.name = label});
  const auto [joints, head] = joints_of_markers(track.file, markers, options.joints, "--markers");
  Motion motion;
  motion.head = head;
  motion.name = std::filesystem::path(track.file).stem().string();
  motion.fps = track.fps;
  motion.notes = track.notes;
  std::vector<Pose3> frames = poses_of(track, joints);
  const std::vector<Stretch> stretches = fill_and_split(track, frames, motion.notes);
  for (const Stretch& s : stretches) {
    motion.frames.insert(motion.frames.end(), &frames[s.begin], &frames[s.begin] + s.size());
  }
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
  if (stretches.size() == 1) return {motion};
  std::vector<Motion> parts;
  const Pose3* next = motion.frames.data();
  for (const Stretch& s : stretches) {
    Motion& part = parts.emplace_back(motion);
    part.frames.assign(next, next + s.size());
    next += s.size();
    if (parts.size() > 1) part.name += fmt::format("_{}", parts.size());
  }
  return parts;
}

}  // namespace posetape::data
