#include "data/planted_feet.hpp"

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <utility>

#include "data/calibration.hpp"
#include "data/figures.hpp"
#include "data/smoothing.hpp"

namespace posetape::data {
namespace {

constexpr double kStill = 0.35;         // m/s
constexpr double kSmoothSeconds = 0.3;  // of the 2D poses
constexpr double kLeastSeconds = 0.1;   // of a contact
constexpr double kFadeSeconds = 0.1;
constexpr double kReach = 0.999;  // of a leg's length, beyond which it is stretched

int frames_in(double seconds, double fps) {
  return std::max(2, static_cast<int>(std::lround(seconds * fps)));
}

// Frames [first, end).
struct Run {
  int first, end;
};
std::vector<Run> runs(const std::vector<bool>& down) {
  std::vector<Run> result;
  const int frames = static_cast<int>(down.size());
  for (int f = 0; f < frames; ++f) {
    if (!down[std::size_t(f)]) continue;
    if (f == 0 || !down[std::size_t(f) - 1]) result.push_back({f, f});
    result.back().end = f + 1;
  }
  return result;
}

// Takes out runs in which `counts` holds of fewer than `least` frames.
template <class F>
void drop_short(std::vector<bool>& down, int least, F counts) {
  for (const Run& run : runs(down)) {
    int count = 0;
    for (int f = run.first; f < run.end; ++f) count += counts(f) ? 1 : 0;
    if (count < least) std::fill(down.begin() + run.first, down.begin() + run.end, false);
  }
}

// The joints as they move in the image, in metres at the person's distance.
PoseArray apparent(const Sequence& sequence, const Trajectory& places) {
  const Camera lens = lens_of(sequence);
  PoseArray result = sequence.pose_2d;
  for (int f = 0; f < result.frames(); ++f) {
    for (int j = 0; j < kJoints; ++j) {
      float* p = result.frame(f) + 2 * j;
      const Vec2 at = places[std::size_t(f)].z() * ray(lens, Vec2(p[0], p[1]));
      for (int c = 0; c < 2; ++c) p[c] = static_cast<float>(at[c]);
    }
  }
  return result;
}

Leg leg_at(const PoseArray& poses, int frame, int foot) {
  const auto pose = pose_at<3>(poses, frame);
  return {pose.col(foot - 2), pose.col(foot - 1), pose.col(foot)};
}

double length(const Leg& leg) {
  return (leg.knee - leg.hip).norm() + (leg.ankle - leg.knee).norm();
}

// Where an ankle stands in each of its contacts.
std::vector<Vec3> stands(const std::vector<Run>& contacts, const PoseArray& poses,
                         const Trajectory& root, int foot) {
  std::vector<Vec3> places;
  for (const Run& run : contacts) {
    Vec3 sum = Vec3::Zero();
    for (int f = run.first; f < run.end; ++f) {
      sum += root[std::size_t(f)] + leg_at(poses, f, foot).ankle;
    }
    places.emplace_back(sum / (run.end - run.first));
  }
  return places;
}

// Takes out frames in which the leg does not reach where the foot would stand, until there are
// none.
void let_go(std::vector<bool>& down, const PoseArray& poses, const Trajectory& root, int foot,
            int least) {
  for (bool changed = true; changed;) {
    changed = false;
    const std::vector<Run> contacts = runs(down);
    const std::vector<Vec3> places = stands(contacts, poses, root, foot);
    for (std::size_t i = 0; i < contacts.size(); ++i) {
      for (int f = contacts[i].first; f < contacts[i].end; ++f) {
        const Leg leg = leg_at(poses, f, foot);
        const double distance = (places[i] - root[std::size_t(f)] - leg.hip).norm();
        if (distance <= kReach * length(leg)) continue;
        down[std::size_t(f)] = false;
        changed = true;
      }
    }
    drop_short(down, least, [](int) { return true; });
  }
}

// 1 at 0, 0 from 1 on, level at both.
double fading(double x) {
  x = std::clamp(x, 0.0, 1.0);
  return 1 - x * x * (3 - 2 * x);
}

// How far each frame's ankle has to move: in contacts to where it stands, and as far as their first
// and last frames, fading, around them.
std::vector<Vec3> corrections(const std::vector<Run>& contacts, const PoseArray& poses,
                              const Trajectory& root, int foot, double fade) {
  const std::vector<Vec3> places = stands(contacts, poses, root, foot);
  const auto to_stand = [&](std::size_t contact, int f) -> Vec3 {
    return places[contact] - root[std::size_t(f)] - leg_at(poses, f, foot).ankle;
  };
  std::vector<Vec3> result(root.size(), Vec3::Zero());
  std::size_t next = 0;  // the first contact that has not ended
  for (int f = 0; f < poses.frames(); ++f) {
    if (next < contacts.size() && f >= contacts[next].end) ++next;
    const bool after = next > 0, before = next < contacts.size();
    Vec3& move = result[std::size_t(f)];
    if (before && f >= contacts[next].first) {
      move = to_stand(next, f);
      continue;
    }
    const double last = after ? fading((f - contacts[next - 1].end + 1) / fade) : 0;
    const double first = before ? fading((contacts[next].first - f) / fade) : 0;
    const double most = std::max(1.0, last + first);
    if (after) move += last / most * to_stand(next - 1, contacts[next - 1].end - 1);
    if (before) move += first / most * to_stand(next, contacts[next].first);
  }
  return result;
}

}  // namespace

FeetDown feet_down(const Sequence& sequence, const Trajectory& places, double fps) {
  const int half = std::max(2, static_cast<int>(std::lround((kSmoothSeconds * fps - 1) / 2)));
  const PoseArray seen = savitzky_golay(apparent(sequence, places), 2 * half + 1, 2);
  const int last = seen.frames() - 1;
  FeetDown down;
  for (std::size_t i = 0; i < kFeet.size(); ++i) {
    const auto at = [&](int f) -> Vec2 { return pose_at<2>(seen, f).col(kFeet[i]); };
    for (int f = 0; f <= last; ++f) {
      const int from = std::max(0, f - 1), to = std::min(last, f + 1);
      down[i].push_back((at(to) - at(from)).norm() * fps < kStill * (to - from));
    }
    drop_short(down[i], frames_in(kLeastSeconds, fps),
               [&](int f) { return sequence.sure(f, kFeet[i]) > 0; });
  }
  return down;
}

Leg reach(const Leg& leg, const Vec3& ankle, const Vec3& front) {
  const double thigh = (leg.knee - leg.hip).norm(), shin = (leg.ankle - leg.knee).norm();
  const double wanted = (ankle - leg.hip).norm();
  if (!(wanted > 0) || !(thigh > 0) || !(shin > 0)) return leg;
  const Vec3 axis = (ankle - leg.hip) / wanted;
  const double distance = std::clamp(wanted, std::abs(thigh - shin), thigh + shin);
  const Vec3 before = leg.ankle - leg.hip;
  Vec3 bend = leg.knee - leg.hip;
  if (before.norm() > 0) bend = Eigen::Quaterniond::FromTwoVectors(before, axis) * bend;
  constexpr double kStraight = 1e-6;  // metres of the knee off the line
  bend -= bend.dot(axis) * axis;
  if (bend.norm() < kStraight) bend = front - front.dot(axis) * axis;
  if (bend.norm() > 0) bend.normalize();
  const double along = (thigh * thigh - shin * shin + distance * distance) / (2 * distance);
  const double off = std::sqrt(std::max(0.0, thigh * thigh - along * along));
  return {leg.hip, leg.hip + along * axis + off * bend, leg.hip + distance * axis};
}

PlantedFeet plant_feet(const Sequence& sequence, const PoseArray& poses, double fps) {
  const Trajectory places = fit_trajectory(sequence, poses);
  const std::vector<bool> nowhere(places.size(), false);
  const Trajectory rough = smooth_trajectory(places, poses, {nowhere, nowhere}, fps);
  PlantedFeet result{poses, {}, feet_down(sequence, rough, fps)};
  result.root = smooth_trajectory(places, poses, result.down, fps);
  const double fade = frames_in(kFadeSeconds, fps) + 1;
  for (std::size_t i = 0; i < kFeet.size(); ++i) {
    const int foot = kFeet[i];
    let_go(result.down[i], poses, result.root, foot, frames_in(kLeastSeconds, fps));
    const std::vector<Vec3> moves =
        corrections(runs(result.down[i]), poses, result.root, foot, fade);
    for (int f = 0; f < poses.frames(); ++f) {
      const Vec3& move = moves[std::size_t(f)];
      if (move.isZero(0)) continue;
      const auto pose = pose_at<3>(poses, f);
      const Leg leg = leg_at(poses, f, foot);
      const Vec3 hips = pose.col(joint::left_hip) - pose.col(joint::right_hip);
      const Leg moved = reach(leg, leg.ankle + move, (leg.ankle - leg.hip).cross(hips));
      Eigen::Map<Eigen::Vector3f>(result.poses.frame(f) + 3 * (foot - 1)) =
          moved.knee.cast<float>();
      Eigen::Map<Eigen::Vector3f>(result.poses.frame(f) + 3 * foot) = moved.ankle.cast<float>();
    }
  }
  return result;
}

double foot_slide(const PoseArray& poses, std::span<const float> root,
                  std::span<const float> down) {
  const PoseArray placed = with_root(poses, root);
  double sum = 0;
  int count = 0;
  for (std::size_t i = 0; i < kFeet.size(); ++i) {
    for (int f = 0; f + 1 < poses.frames(); ++f) {
      const auto at = std::size_t(2 * f) + i;
      if (down[at] == 0 || down[at + 2] == 0) continue;
      const Vec3 step = (pose_at<3>(placed, f + 1) - pose_at<3>(placed, f)).col(kFeet[i]);
      sum += 1000 * step.norm();
      ++count;
    }
  }
  return count == 0 ? 0 : sum / count;
}

PoseArray with_root(PoseArray poses, std::span<const float> root) {
  for (int f = 0; f < poses.frames(); ++f) {
    for (int i = 0; i < 3 * kJoints; ++i) {
      poses.frame(f)[i] += root[std::size_t(3 * f + i % 3)];
    }
  }
  return poses;
}

}  // namespace posetape::data
