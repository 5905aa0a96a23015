// Cameras drawn at random, to train on what clips of all kinds are filmed with.
#pragma once

#include "data/camera.hpp"
#include "data/motion.hpp"
#include "engine/rng.hpp"

namespace posetape::data {

// What cameras are drawn from, uniformly unless it says otherwise. Angles in degrees, lengths in
// metres. The camera aims near the middle of the person's path, so that its pitch follows from
// heights and distance; a draw outside of the range of pitches is drawn again.
struct CameraRanges {
  double lowest = 0.3, highest = 3;          // above the floor
  double pitch_down = -30, pitch_up = 20;    // of the optical axis against the horizon
  double roll = 25;                          // to either side; half of the cameras have 5 at most
  double narrowest = 30, widest = 100;       // field of view over the longer side of the image
  double smallest = 0.25, largest = 0.9;     // height of a standing person / height of the image
  double portrait = 0.4;                     // share of images that are higher than wide
  double aim = 0.15;                         // the person's middle off the image's, of its sides
  double principal = 0.04;                   // principal point off the middle, of the longer side
  double barrel = -0.08, pincushion = 0.04;  // bend of the lens at the corner, of its radius
  double nearest = 0.8;                      // of any joint to the image plane
  double in_picture = 0.97;                  // share of joints that the image has to hold
};

// A camera that films the motion, its floor at z = 0: the first of up to 200 draws that keeps to
// the ranges, else the one that has most joints in the picture. Images are 1920 x 1080, 1280 x 720,
// 1440 x 1080 or 1000 x 1000, or turned. Throws Error where no draw has every joint in front of it.
Camera random_camera(const Motion& motion, Random random, const CameraRanges& ranges = {});

}  // namespace posetape::data
