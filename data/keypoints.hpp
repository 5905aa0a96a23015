// 2D poses of other skeletons, as detectors give them, on the 17 joints of Human3.6M.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "engine/choices.hpp"

namespace posetape::data {

// The orders of joints that are known.
enum class KeypointLayout { h36m, coco, halpe, openpose, mpi_inf_3dhp };
constexpr auto choices(KeypointLayout) {
  using enum KeypointLayout;
  return make_choices<KeypointLayout>("layout",
                                      {{h36m, "h36m", "17"},
                                       {coco, "coco", "17"},
                                       {halpe, "halpe", "26"},
                                       {openpose, "openpose", "BODY_25"},
                                       {mpi_inf_3dhp, "mpi-inf-3dhp", "the 17 of P-STMO's files"}});
}

// Poses [F][joints][2] of a layout in ours, [F][17][2]. A joint that the layout lacks is the mean
// of its neighbours: the hip that of both hip joints, the thorax that of the shoulders, the spine
// that of hip and thorax, and the head that of the eyes. A keypoint is missing where it is NaN or
// (0, 0), as detectors write it; a joint that needs it is interpolated over time, from the frames
// before and after it, and `missing` counts it. `where` starts the message of an Error: another
// number of joints, a joint that no frame has.
PoseArray from_layout(KeypointLayout layout, std::span<const float> values, int joints,
                      const std::string& where, std::int64_t& missing);

struct KeypointsOptions {
  std::optional<KeypointLayout> layout;  // where the file does not say it; none: it must
  double fps = 50;
  std::array<std::int32_t, 2> image_size{0, 0};  // likewise; 0: it must
};

// Poses of one's own videos, from a file as VideoPose3D's prepare_data_2d_custom.py makes it
// (data_2d_custom_*.npz: {video: {"custom": [(F, joints, 2)]}}). Sequences are named
// <video>/<action>/<camera>. A line for each sequence with interpolated joints goes to `notes`.
Dataset prepare_keypoints(const std::string& path, const KeypointsOptions& options,
                          std::vector<std::string>& notes);

}  // namespace posetape::data
