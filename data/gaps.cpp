#include "data/gaps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "data/skeleton.hpp"
#include "engine/tensor.hpp"

namespace posetape::data {

int longest_gap(double fps) {
  // 0.5 * 29.97f and the like may lie a rounding error below a whole number of frames.
  const double frames = std::floor(kLongestGapSeconds * fps + 1e-6);
  return static_cast<int>(std::clamp(frames, 0.0, double{std::numeric_limits<int>::max()}));
}

bool zeros_to_gaps(PoseArray& poses) {
  bool found = false;
  const std::size_t piece = poses.channels == 2 ? 2 : std::size_t(kJoints) * 3;
  for (std::size_t i = 0; i + piece <= poses.values.size(); i += piece) {
    const std::span<float> values(poses.values.data() + i, piece);
    if (!std::ranges::all_of(values, [](float v) { return v == 0; })) continue;
    std::ranges::fill(values, std::numeric_limits<float>::quiet_NaN());
    found = true;
  }
  return found;
}

std::vector<Gap> find_gaps(const PoseArray& poses) {
  std::vector<Gap> gaps;
  for (int joint = 0; joint < kJoints; ++joint) {
    bool inside = false;
    for (int f = 0; f < poses.frames(); ++f) {
      const float* p = poses.frame(f) + joint * poses.channels;
      const bool there =
          std::all_of(p, p + poses.channels, [](float v) { return std::isfinite(v); });
      if (!there && !inside) gaps.push_back({joint, f, f});
      if (!there) gaps.back().end = f + 1;
      inside = !there;
    }
  }
  return gaps;
}

void bridge(PoseArray& poses, const Gap& gap) {
  const int before = gap.begin > 0 ? gap.begin - 1 : gap.end;
  const int after = gap.end < poses.frames() ? gap.end : gap.begin - 1;
  const float* from = poses.frame(before) + poses.channels * gap.joint;
  const float* to = poses.frame(after) + poses.channels * gap.joint;
  for (int f = gap.begin; f < gap.end; ++f) {
    const float t = before == after
                        ? 0.0f
                        : static_cast<float>(f - before) / static_cast<float>(after - before);
    float* p = poses.frame(f) + poses.channels * gap.joint;
    for (int c = 0; c < poses.channels; ++c) p[c] = from[c] + t * (to[c] - from[c]);
  }
}

std::vector<Gap> fill_gaps(PoseArray& poses, int longest, GapCount& count) {
  // Most files have none, and one pass over the numbers says so.
  if (!first_not_finite(poses.values)) return {};
  const std::vector<Gap> gaps = find_gaps(poses);
  std::vector<Gap> too_long;
  std::ranges::copy_if(gaps, std::back_inserter(too_long), [&](const Gap& gap) {
    const int length = gap.end - gap.begin;
    return length > longest || length == poses.frames();
  });
  if (!too_long.empty()) return too_long;
  std::vector<bool> filled(static_cast<std::size_t>(poses.frames()));
  for (const Gap& gap : gaps) {
    bridge(poses, gap);
    count.joints += gap.end - gap.begin;
    std::fill(filled.begin() + gap.begin, filled.begin() + gap.end, true);
  }
  count.frames += std::ranges::count(filled, true);
  return {};
}

std::string gaps_text(std::span<const Gap> gaps) {
  const Gap& first = gaps.front();
  std::vector<std::string> joints;
  for (const Gap& gap : gaps) {
    if (gap.begin != first.begin || gap.end != first.end) continue;
    joints.push_back(fmt::format("{} ({})", gap.joint, kJointNames.at(std::size_t(gap.joint))));
  }
  const std::size_t others = gaps.size() - joints.size();
  std::string text = joints.size() == 1         ? "joint " + joints[0] + " is"
                     : joints.size() == kJoints ? "all joints are"
                     : joints.size() > 3
                         ? fmt::format("joint {} and {} more are", joints[0], joints.size() - 1)
                         : fmt::format("joints {} are", fmt::join(joints, ", "));
  text += " NaN or infinite in ";
  text += first.end - first.begin == 1 ? fmt::format("frame {}", first.begin)
                                       : fmt::format("frames {} to {} ({} frames)", first.begin,
                                                     first.end - 1, first.end - first.begin);
  if (others > 0)
    text +=
        fmt::format(", and there {} more", others == 1 ? "is 1" : fmt::format("are {}", others));
  return text;
}

}  // namespace posetape::data
