// The orders in which detectors and estimators give a body's keypoints, and how the 17 joints of
// Human3.6M come from each. A layout is one row of a table (keypoint_layouts.cpp).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "data/dataset.hpp"
#include "data/joint_definitions.hpp"
#include "engine/choices.hpp"

namespace posetape::data {

enum class KeypointLayout {
  h36m,
  coco,
  coco_18,
  coco_wholebody,
  halpe,
  openpose,
  body_25b,
  mpi_inf_3dhp,
  mediapipe,
  smpl
};
constexpr auto choices(KeypointLayout) {
  using enum KeypointLayout;
  return make_choices<KeypointLayout>("layout",
                                      {{h36m, "h36m", "17"},
                                       {coco, "coco", "17"},
                                       {coco_18, "coco-18", "OpenPose's COCO"},
                                       {coco_wholebody, "coco-wholebody", "133"},
                                       {halpe, "halpe", "26"},
                                       {openpose, "openpose", "BODY_25"},
                                       {body_25b, "body-25b", "OpenPose's BODY_25B"},
                                       {mpi_inf_3dhp, "mpi-inf-3dhp", "the 17 of P-STMO's files"},
                                       {mediapipe, "mediapipe", "33"},
                                       {smpl, "smpl", "24"}});
}

// The keypoints of one person in F frames, as a detector (2 coordinates) or an estimator (3) gives
// them: row-major [F][K][C]. A keypoint that was not seen is NaN.
struct KeypointTrack {
  int keypoints = 0;  // K
  int channels = 0;   // C
  std::vector<float> values;
  std::vector<float> confidence;  // [F][K], in [0, 1]; 0 where not seen

  int frames() const {
    return keypoints == 0 ? 0 : static_cast<int>(confidence.size() / std::size_t(keypoints));
  }
  const float* at(int frame, int keypoint) const {
    return values.data() + (std::size_t(frame) * keypoints + keypoint) * channels;
  }
};

// How many keypoints a layout has. Files may hold more behind them (hands, a face).
int keypoint_count(KeypointLayout layout);

// What hip, thorax, neck and head of a layout's 17 joints are.
JointDefinitions definitions_of(KeypointLayout layout);

// Whether a file with so many keypoints may be of a layout.
bool has_count(KeypointLayout layout, int keypoints);

// The layouts of which a file with so many keypoints may be; empty for a number that none has.
std::vector<KeypointLayout> layouts_with(int keypoints);

// The layout among several in which the keypoints look most like a body: limbs and trunk have its
// proportions. Nothing where that is not clear.
std::optional<KeypointLayout> likeliest_layout(const std::vector<KeypointLayout>& layouts,
                                               const KeypointTrack& track);

// A joint from the keypoints of one frame. There are several ways to place some joints, numbered
// from the best one on: a head is the top of the head, else the middle of the eyes, else that of
// the ears. Its confidence is that of the keypoint that is least sure.
struct PlacedJoint {
  float coordinates[3] = {0, 0, 0};
  float confidence = 0;
};
int ways_to_place(KeypointLayout layout, int joint);
std::optional<PlacedJoint> place_joint(KeypointLayout layout, const KeypointTrack& track, int frame,
                                       int joint, int way);

}  // namespace posetape::data
