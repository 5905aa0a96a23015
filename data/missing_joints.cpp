#include "data/missing_joints.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "data/gaps.hpp"
#include "data/skeleton.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr int kFewestJoints = 5;
// Of 2D keypoints: less for a moment is mostly a mistake. On the two real clips that tests know
// (OpenPose, triangulated truth), leaving such moments out lowers the mean error of 2D joints by 8
// and 9 %, and that of the worst hundredth by half in one of them.
constexpr float kSureEnough = 0.3f;
constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

// A person who stands upright, arms down, in metres: to the person's left, down. Proportions of an
// adult; joints as detectors see them.
constexpr std::array<std::array<float, 2>, kJoints> kUpright{{{0, 0},
                                                              {-0.13f, 0},
                                                              {-0.13f, 0.44f},
                                                              {-0.13f, 0.86f},
                                                              {0.13f, 0},
                                                              {0.13f, 0.44f},
                                                              {0.13f, 0.86f},
                                                              {0, -0.25f},
                                                              {0, -0.5f},
                                                              {0, -0.62f},
                                                              {0, -0.72f},
                                                              {0.17f, -0.48f},
                                                              {0.18f, -0.2f},
                                                              {0.18f, 0.05f},
                                                              {-0.17f, -0.48f},
                                                              {-0.18f, -0.2f},
                                                              {-0.18f, 0.05f}}};

// Joints along a bone: the parent first.
std::vector<int> neighbours(int joint) {
  std::vector<int> result;
  if (kParents[static_cast<std::size_t>(joint)] >= 0) {
    result.push_back(kParents[static_cast<std::size_t>(joint)]);
  }
  for (int j = 0; j < kJoints; ++j) {
    if (kParents[static_cast<std::size_t>(j)] == joint) result.push_back(j);
  }
  return result;
}

using Vector = std::array<float, 3>;

class Filler {
 public:
  Filler(KeypointLayout layout, const KeypointTrack& track, int longest, FillReport& report)
      : layout_(layout), track_(track), longest_(longest), report_(report) {
    result_.poses = {track.channels,
                     std::vector<float>(std::size_t(track.frames()) * kJoints * track.channels)};
    result_.confidence.resize(std::size_t(track.frames()) * kJoints);
  }

  JointTrack fill(const std::string& where) {
    for (int j = 0; j < kJoints; ++j) place(j);
    check(where);
    if (track_.channels == 2) {
      for (int j = 0; j < kJoints; ++j) leave_doubtful_moments(j);
    }
    report_.interpolated += bridge_short_gaps();
    for (const Gap& gap : find_gaps(result_.poses)) replace(gap);
    report_.interpolated += bridge_short_gaps();
    guess(where);
    return std::move(result_);
  }

 private:
  int frames() const { return track_.frames(); }
  float* at(int f, int j) { return result_.poses.frame(f) + j * track_.channels; }
  float& sure(int f, int j) { return result_.confidence[std::size_t(f) * kJoints + j]; }
  bool there(int f, int j) { return std::isfinite(at(f, j)[0]); }

  void set(int f, int j, const std::optional<PlacedJoint>& placed) {
    for (int c = 0; c < track_.channels; ++c) {
      at(f, j)[c] = placed ? placed->coordinates[c] : kNone;
    }
    sure(f, j) = placed ? placed->confidence : 0;
  }

  void place(int j) {
    for (int f = 0; f < frames(); ++f) set(f, j, place_joint(layout_, track_, f, j, 0));
  }

  // Other ways to place a joint in a gap.
  void replace(const Gap& gap) {
    for (int f = gap.begin; f < gap.end; ++f) {
      for (int way = 1; way < ways_to_place(layout_, gap.joint) && !there(f, gap.joint); ++way) {
        const auto placed = place_joint(layout_, track_, f, gap.joint, way);
        if (!placed) continue;
        set(f, gap.joint, placed);
        ++report_.replaced;
      }
    }
  }

  void check(const std::string& where) {
    std::vector<int> seen;
    for (int j = 0; j < kJoints; ++j) {
      for (int f = 0; f < frames(); ++f) {
        if (!there(f, j)) continue;
        seen.push_back(j);
        break;
      }
    }
    if (int(seen.size()) < kFewestJoints) {
      fail(
          "{}: of {} joints only {} are ever seen ({}); leave the clip out, or lower "
          "--min-confidence",
          where, kJoints, seen.size(), seen.empty() ? "none" : joint_names(seen));
    }
  }

  // Joints of low confidence, where they are surer within half a second before and after.
  void leave_doubtful_moments(int j) {
    const auto doubtful = [&](int f) { return sure(f, j) < kSureEnough; };
    for (int begin = 0, end = 0; begin < frames(); begin = end + 1) {
      for (end = begin; end < frames() && doubtful(end);) ++end;
      if (begin == 0 || end == frames() || end - begin > longest_) continue;
      for (int f = begin; f < end; ++f) set(f, j, std::nullopt);
    }
  }

  std::int64_t bridge_short_gaps() {
    std::int64_t bridged = 0;
    for (const Gap& gap : find_gaps(result_.poses)) {
      const int length = gap.end - gap.begin;
      if (length > longest_ || length == frames()) continue;
      bridge(result_.poses, gap);
      bridged += length;
    }
    return bridged;
  }

  // ---- Guesses ----

  void guess(const std::string& where) {
    std::array<bool, kJoints> complete{};
    complete.fill(true);
    std::vector<std::vector<Gap>> gaps(kJoints);
    for (const Gap& gap : find_gaps(result_.poses)) {
      complete[static_cast<std::size_t>(gap.joint)] = false;
      gaps[static_cast<std::size_t>(gap.joint)].push_back(gap);
    }
    if (std::ranges::all_of(complete, [](bool c) { return c; })) return;
    seen_ = result_.confidence;
    measure(where);
    if (std::ranges::none_of(complete, [](bool c) { return c; })) {
      complete[static_cast<std::size_t>(complete_best(gaps, where))] = true;
    }
    // From the joints that are complete outwards.
    for (bool more = true; more;) {
      more = false;
      for (int j = 0; j < kJoints; ++j) {
        if (complete[static_cast<std::size_t>(j)]) continue;
        for (const int from : neighbours(j)) {
          if (!complete[static_cast<std::size_t>(from)]) continue;
          for (const Gap& gap : gaps[static_cast<std::size_t>(j)]) guess_gap(gap, from);
          complete[static_cast<std::size_t>(j)] = more = true;
          break;
        }
      }
    }
  }

  // Interpolates the joint that is missing least over all of its gaps, however long.
  int complete_best(const std::vector<std::vector<Gap>>& gaps, const std::string& where) {
    int best = -1;
    int fewest = frames();
    for (int j = 0; j < kJoints; ++j) {
      int missing = 0;
      for (const Gap& gap : gaps[static_cast<std::size_t>(j)]) missing += gap.end - gap.begin;
      if (missing < fewest) {
        fewest = missing;
        best = j;
      }
    }
    if (best < 0) fail("{}: no joint is seen in any frame", where);
    for (const Gap& gap : gaps[static_cast<std::size_t>(best)]) {
      bridge(result_.poses, gap);
      report_.guessed += gap.end - gap.begin;
    }
    return best;
  }

  void guess_gap(const Gap& gap, int from) {
    const int length = gap.end - gap.begin;
    report_.guessed += length;
    if (length == frames()) {
      report_.never_seen.push_back(gap.joint);
      for (int f = 0; f < frames(); ++f) stand(f, gap.joint, from);
      return;
    }
    const int before = gap.begin > 0 ? gap.begin - 1 : gap.end;
    const int after = gap.end < frames() ? gap.end : gap.begin - 1;
    for (int f = gap.begin; f < gap.end; ++f) {
      const float t = before == after ? 0 : float(f - before) / float(after - before);
      for (int c = 0; c < track_.channels; ++c) {
        const float a = at(before, gap.joint)[c] - at(before, from)[c];
        const float b = at(after, gap.joint)[c] - at(after, from)[c];
        at(f, gap.joint)[c] = at(f, from)[c] + a + t * (b - a);
      }
    }
  }

  // A joint where it is in a person who stands upright, of the size and direction of this one.
  void stand(int f, int j, int from) {
    const Vector down = down_in(f);
    const Vector side = side_in(f);
    const auto& a = kUpright[static_cast<std::size_t>(from)];
    const auto& b = kUpright[static_cast<std::size_t>(j)];
    for (int c = 0; c < track_.channels; ++c) {
      const auto i = static_cast<std::size_t>(c);
      at(f, j)[c] = at(f, from)[c] + (b[1] - a[1]) * down[i] + (b[0] - a[0]) * side[i];
    }
  }

  bool was_seen(int f, int j) const { return seen_[std::size_t(f) * kJoints + j] > 0; }

  Vector between(int f, int a, int b) {
    Vector v{};
    for (int c = 0; c < track_.channels; ++c) v[std::size_t(c)] = at(f, b)[c] - at(f, a)[c];
    return v;
  }

  static float length(const Vector& v) { return std::hypot(v[0], v[1], v[2]); }

  // How long a metre is in a frame, by the bones that are seen in it; 0 where they are too few.
  float metre_of(int f) {
    float bones = 0;
    float upright = 0;
    for (const auto& [a, b] : kBones) {
      if (!was_seen(f, a) || !was_seen(f, b)) continue;
      const auto& p = kUpright[static_cast<std::size_t>(a)];
      const auto& q = kUpright[static_cast<std::size_t>(b)];
      bones += length(between(f, a, b));
      upright += std::hypot(q[0] - p[0], q[1] - p[1]);
    }
    return upright > 0.5f ? bones / upright : 0;
  }

  // The median over the clip stands for frames that show too little.
  void measure(const std::string& where) {
    std::vector<float> known;
    for (int f = 0; f < frames(); ++f) {
      metres_.push_back(metre_of(f));
      if (metres_.back() > 0) known.push_back(metres_.back());
    }
    if (known.empty()) fail("{}: too few joints are seen together; leave the clip out", where);
    const auto middle = known.begin() + static_cast<std::ptrdiff_t>(known.size() / 2);
    std::ranges::nth_element(known, middle);
    std::ranges::replace(metres_, 0.0f, *middle);
  }

  // A metre down the body, by the trunk where it is seen, else by the image.
  Vector down_in(int f) {
    const float metre = metres_[std::size_t(f)];
    const Vector trunk = between(f, joint::thorax, joint::hip);
    const float size = length(trunk);
    const bool seen = was_seen(f, joint::thorax) && was_seen(f, joint::hip);
    if (!seen || !(size > 0)) return {0, metre, 0};
    return {trunk[0] / size * metre, trunk[1] / size * metre, trunk[2] / size * metre};
  }

  // A metre to the left of the body as it is seen: by the shoulders, else by the hips, else none.
  Vector side_in(int f) {
    for (const auto& [right, left] : {std::pair{joint::right_shoulder, joint::left_shoulder},
                                      std::pair{joint::right_hip, joint::left_hip}}) {
      if (!was_seen(f, right) || !was_seen(f, left)) continue;
      Vector side = between(f, right, left);
      const float width = kUpright[static_cast<std::size_t>(left)][0] -
                          kUpright[static_cast<std::size_t>(right)][0];
      for (float& v : side) v /= width;
      return side;
    }
    return {};
  }

  KeypointLayout layout_;
  const KeypointTrack& track_;
  int longest_;
  FillReport& report_;
  JointTrack result_;
  std::vector<float> seen_;  // confidences before guesses
  std::vector<float> metres_;
};

}  // namespace

int joints_seen(KeypointLayout layout, const KeypointTrack& track, int frame) {
  int count = 0;
  for (int j = 0; j < kJoints; ++j) {
    if (ways_to_place(layout, j) > 0 && place_joint(layout, track, frame, j, 0)) ++count;
  }
  return count;
}

JointTrack to_joints(KeypointLayout layout, const KeypointTrack& track, int longest,
                     const std::string& where, FillReport& report) {
  return Filler(layout, track, longest, report).fill(where);
}

std::string joint_names(const std::vector<int>& joints) {
  std::vector<std::string_view> names;
  for (const int j : joints) names.push_back(kJointNames.at(std::size_t(j)));
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace posetape::data
