// A simulated 2D joint detector: exact projections in, plausible detections out.
#pragma once

#include <array>

#include "data/dataset.hpp"
#include "engine/rng.hpp"

namespace posetape::data {

// How a detector errs. The defaults are set so that a person of Human3.6M (about 5 m away, image
// 1000 pixels wide) is detected like by CPN fine-tuned on that data set: 5 to 8 pixels of mean
// error, wrists, elbows and ankles about twice the hips, a tail of large errors. They are an
// estimate from published error levels, not a fit: no Human3.6M detections were used.
//
// Lengths are shares of the person's size in the image, which is the summed length of the 16
// projected bones: it shrinks with distance like the crop a detector works on, but not with
// sitting down. In the CMU trials filmed by prepare_cmu its median is 840 pixels (5 to 95 %: 626
// to 1178), and the mean error over all joints, swaps and outages included, is 6.6 pixels: hip
// 4.1, hip joints 4.7, knees 6.2, ankles 9.1, elbows 8.0, wrists 10.8.
struct DetectorModel {
  // Mean error of each joint (Human3.6M order) outside swaps and outages.
  std::array<double, kJoints> mean_error{
      0.0046,                          // hip
      0.0052, 0.0070, 0.0100,          // right hip, knee, ankle
      0.0052, 0.0070, 0.0100,          // left hip, knee, ankle
      0.0057, 0.0052, 0.0052, 0.0057,  // spine, thorax, neck, head
      0.0062, 0.0087, 0.0116,          // left shoulder, elbow, wrist
      0.0062, 0.0087, 0.0116,          // right shoulder, elbow, wrist
  };

  // x and y errors of a joint are a bivariate Student t with this many degrees of freedom.
  int degrees_of_freedom = 5;

  // The processes behind them are AR(1) with correlation exp(-dt / this): detectors err in the
  // same way as long as the pose looks the same. 0.92 from frame to frame at 50 fps.
  double correlation_seconds = 0.25;

  // Both arms, or both legs, change sides for a moment; each pair on its own.
  double swaps_per_second = 0.03;
  double swap_seconds = 0.15;  // mean duration

  // A joint is lost and found elsewhere, at one displaced place for the whole outage. The
  // distance is uniform between the two shares. Rates are for the four joints past a knee or an
  // elbow; the others have a third.
  double outages_per_second = 0.06;
  double outage_seconds = 0.12;  // mean duration
  double outage_near = 0.03, outage_far = 0.12;
};

// Detections for exact pixel positions [F][17][2]. All draws come from `random`, which callers make
// on Stream::detector with one step a sequence, so that sequences do not depend on each other.
PoseArray detect(const PoseArray& truth, double fps, const DetectorModel& model, Random random);

}  // namespace posetape::data
