#include "data/keypoints.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "data/gaps.hpp"
#include "data/videopose.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

// Where each of our joints is in a layout: the mean of up to four keypoints, -1 for none.
using Source = std::array<int, 4>;

constexpr Source one(int a) {
  return {a, -1, -1, -1};
}
constexpr Source mean(int a, int b) {
  return {a, b, -1, -1};
}
// The spine is midway between hip and thorax, each of which may be midway between two.
constexpr Source mean(int a, int b, int c, int d) {
  return {a, b, c, d};
}

struct Layout {
  int joints;
  std::array<Source, kJoints> sources;
};

// By KeypointLayout.
constexpr std::array<Layout, kChoices<KeypointLayout>.list.size()> kLayouts{
    {{17,  // h36m
      {one(0), one(1), one(2), one(3), one(4), one(5), one(6), one(7), one(8), one(9), one(10),
       one(11), one(12), one(13), one(14), one(15), one(16)}},
     {17,  // coco
      {mean(11, 12), one(12), one(14), one(16), one(11), one(13), one(15), mean(5, 6, 11, 12),
       mean(5, 6), one(0), mean(1, 2), one(5), one(7), one(9), one(6), one(8), one(10)}},
     {26,  // halpe
      {one(19), one(12), one(14), one(16), one(11), one(13), one(15), mean(18, 19), one(18), one(0),
       one(17), one(5), one(7), one(9), one(6), one(8), one(10)}},
     {25,  // openpose
      {one(8), one(9), one(10), one(11), one(12), one(13), one(14), mean(1, 8), one(1), one(0),
       mean(15, 16), one(5), one(6), one(7), one(2), one(3), one(4)}},
     {17,  // mpi_inf_3dhp
      {one(14), one(8), one(9), one(10), one(11), one(12), one(13), one(15), one(1), one(16),
       one(0), one(5), one(6), one(7), one(2), one(3), one(4)}}}};

}  // namespace

PoseArray from_layout(KeypointLayout which, std::span<const float> values, int joints,
                      const std::string& where, std::int64_t& missing) {
  const Layout& layout = kLayouts[static_cast<std::size_t>(which)];
  if (joints != layout.joints || values.empty() || values.size() % (std::size_t(joints) * 2) != 0) {
    fail("{}: the layout '{}' has {} joints, found {}; give the detector's with --layout", where,
         name(which), layout.joints, joints);
  }
  const std::size_t frames = values.size() / (std::size_t(joints) * 2);
  PoseArray poses{2, std::vector<float>(frames * kJoints * 2)};
  for (int j = 0; j < kJoints; ++j) {
    const Source& source = layout.sources[static_cast<std::size_t>(j)];
    const auto used = std::ranges::count_if(source, [](int s) { return s >= 0; });
    int gap = 0;  // the frames before f that lack the joint
    for (int f = 0; f < poses.frames(); ++f) {
      const float* keypoints = values.data() + std::size_t(f) * joints * 2;
      std::array<float, 2> sum{};
      bool there = true;
      for (std::ptrdiff_t i = 0; i < used; ++i) {
        const float* p = keypoints + 2 * source[static_cast<std::size_t>(i)];
        there = there && std::isfinite(p[0]) && std::isfinite(p[1]) && (p[0] != 0 || p[1] != 0);
        for (std::size_t c = 0; c < 2; ++c) sum[c] += p[c];
      }
      if (!there) {
        ++gap;
        continue;
      }
      for (std::size_t c = 0; c < 2; ++c) {
        poses.frame(f)[2 * j + static_cast<int>(c)] = sum[c] / static_cast<float>(used);
      }
      if (gap > 0) bridge(poses, {j, f - gap, f});
      missing += std::exchange(gap, 0);
    }
    if (gap == poses.frames()) fail("{}: no frame has joint {}; leave the clip out", where, j);
    if (gap > 0) bridge(poses, {j, poses.frames() - gap, poses.frames()});
    missing += gap;
  }
  return poses;
}

Dataset prepare_keypoints(const std::string& path, const KeypointsOptions& options,
                          std::vector<std::string>& notes) {
  const Keypoints keypoints = read_keypoints_2d(path);
  if (!options.layout && keypoints.layout.empty()) {
    fail("{}: does not say its layout; give it with --layout", path);
  }
  const KeypointLayout layout =
      options.layout ? *options.layout : parse<KeypointLayout>(keypoints.layout);
  Dataset dataset;
  nlohmann::ordered_json interpolated = nlohmann::ordered_json::object();
  for (const KeypointsClip& clip : keypoints.clips) {
    const auto size = keypoints.image_sizes.find(clip.subject);
    for (std::size_t v = 0; v < clip.views.size(); ++v) {
      Sequence sequence;
      sequence.name = fmt::format("{}/{}/{}", clip.subject, clip.action, v);
      const std::string where = fmt::format("{}: {}", path, sequence.name);
      sequence.image_size = size == keypoints.image_sizes.end() ? options.image_size : size->second;
      if (sequence.image_size[0] == 0) {
        fail("{}: the file does not say how large the images are; give it with --image-size",
             where);
      }
      sequence.fps = static_cast<float>(options.fps);
      std::int64_t missing = 0;
      const NpyArray& view = clip.views[v];
      sequence.pose_2d =
          from_layout(layout, view.as<float>(), static_cast<int>(view.shape[1]), where, missing);
      if (missing > 0) {
        interpolated[sequence.name] = missing;
        notes.push_back(fmt::format("{}: interpolated {} of {} joints", sequence.name, missing,
                                    std::int64_t{kJoints} * sequence.frames()));
      }
      dataset.sequences.push_back(std::move(sequence));
    }
  }
  if (dataset.sequences.empty()) fail("{}: has no 2D poses", path);
  dataset.metadata =
      nlohmann::ordered_json{{"source", "keypoints"},
                             {"file", std::filesystem::path(path).filename().string()},
                             {"layout", name(layout)},
                             {"fps", options.fps},
                             {"interpolated_joints", interpolated},
                             {"units", {{"pose_2d", "pixels"}}}}
          .dump();
  return dataset;
}

}  // namespace posetape::data
