#include "data/synthetic.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "data/skeleton.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

double bone_length(const Pose3& pose, int child) {
  return (pose[child] - pose[kParents[child]]).norm();
}

// "walk" of "walk_1".
std::string action_of(const Motion& motion) {
  return motion.name.substr(0, motion.name.find('_'));
}

TEST_CASE("synthetic: all motions are there, in order and of the asked length") {
  const auto motions = synthetic_motions({.subjects = 2, .takes = 2, .seconds = 3, .fps = 40});
  REQUIRE(motions.size() == 2 * 8 * 2);
  CHECK(motions[0].subject == "P1");
  CHECK(motions[0].name == "walk_1");
  CHECK(motions[1].name == "walk_2");
  CHECK(motions[16].subject == "P2");
  CHECK(motions[31].name == "jump_2");
  for (const Motion& motion : motions) {
    CHECK(motion.frames.size() == 120);
    CHECK(motion.fps == 40);
  }
}

TEST_CASE("synthetic: bones keep their lengths and are equal left and right") {
  const auto motions = synthetic_motions({});
  REQUIRE(motions.size() == 128);
  for (const Motion& motion : motions) {
    CAPTURE(motion.subject + "/" + motion.name);
    double worst = 0;
    double asymmetry = 0;
    // A subject's first motion has its bones; all its others have the same.
    const auto own = std::ranges::find(motions, motion.subject, &Motion::subject);
    for (const Pose3& pose : motion.frames) {
      for (int j = 1; j < kJoints; ++j) {
        const double length = bone_length(pose, j);
        worst = std::max(worst, std::abs(length - bone_length(own->frames[0], j)));
        asymmetry = std::max(asymmetry, std::abs(length - bone_length(pose, kMirror[j])));
      }
    }
    CHECK(worst < 1e-6);
    CHECK(asymmetry < 1e-6);
  }
  CHECK(std::abs(bone_length(motions[0].frames[0], 2) - bone_length(motions[16].frames[0], 2)) >
        1e-3);
}

TEST_CASE("synthetic: motion is finite, smooth, on the floor and within the capture volume") {
  for (const Motion& motion : synthetic_motions({})) {
    CAPTURE(motion.subject + "/" + motion.name);
    double speed = 0;
    double acceleration = 0;
    double lowest = 1;
    double floating = 0;
    double reach = 0;
    bool finite = true;
    const auto& frames = motion.frames;
    for (std::size_t f = 0; f < frames.size(); ++f) {
      for (int j = 0; j < kJoints; ++j) {
        finite = finite && frames[f][j].allFinite();
        lowest = std::min(lowest, frames[f][j].z());
        if (f > 0) {
          speed = std::max(speed, (frames[f][j] - frames[f - 1][j]).norm() * motion.fps);
        }
        if (f > 1) {
          const Vec3 second = frames[f][j] - 2 * frames[f - 1][j] + frames[f - 2][j];
          acceleration = std::max(acceleration, second.norm() * motion.fps * motion.fps);
        }
      }
      floating = std::max(
          floating, std::min(frames[f][joint::left_foot].z(), frames[f][joint::right_foot].z()));
      reach = std::max(reach, frames[f][joint::hip].head<2>().norm());
    }
    CHECK(finite);
    CHECK(speed < 12);
    CHECK(speed > 0.1);
    CHECK(acceleration < 250);  // a limb in a jump; a jump in a coordinate would be thousands
    // Ankles are 7 to 9 cm above the floor when standing, and nothing is below them.
    CHECK(lowest > 0.06);
    CHECK(lowest < 0.10);
    const bool flies = action_of(motion) == "jump" || action_of(motion) == "run";
    CHECK(floating < (flies ? 0.6 : 0.16));
    CHECK(reach < 2);
  }
}

// The hip's height, least and most, and the most of both wrists above the head.
struct Extent {
  double hip_low = 10, hip_high = 0, wrist_up = -10, travelled = 0, turned = 0, head_low = 10;
};

Extent extent_of(const Motion& motion) {
  Extent e;
  Vec3 last = motion.frames[0][joint::hip];
  double angle = 0;
  for (const Pose3& pose : motion.frames) {
    e.hip_low = std::min(e.hip_low, pose[joint::hip].z());
    e.hip_high = std::max(e.hip_high, pose[joint::hip].z());
    e.head_low = std::min(e.head_low, pose[joint::head].z());
    for (const int w : {joint::left_wrist, joint::right_wrist}) {
      e.wrist_up = std::max(e.wrist_up, pose[w].z() - pose[joint::thorax].z());
    }
    e.travelled += (pose[joint::hip] - last).head<2>().norm();
    last = pose[joint::hip];
    const Vec3 across = pose[joint::right_hip] - pose[joint::left_hip];
    const double now = std::atan2(across.y(), across.x());
    if (&pose != &motion.frames[0]) e.turned += std::abs(std::remainder(now - angle, 6.2831853));
    angle = now;
  }
  return e;
}

TEST_CASE("synthetic: every action does what it is called") {
  for (const Motion& motion : synthetic_motions({.subjects = 4})) {
    CAPTURE(motion.subject + "/" + motion.name);
    const Extent e = extent_of(motion);
    const std::string action = action_of(motion);
    if (action == "walk") CHECK((e.travelled > 4 && e.travelled < 11));
    if (action == "run") CHECK((e.travelled > 10 && e.travelled < 25));
    if (action == "turn") CHECK((e.turned > 1.5 && e.travelled < 1.5));
    if (action == "sit") CHECK((e.hip_low < 0.62 && e.hip_low > 0.4));
    if (action == "reach") CHECK(e.hip_high - e.hip_low < 0.1);
    if (action == "wave") CHECK(e.wrist_up > 0.1);
    if (action == "bend") CHECK((e.head_low < 1.25 && e.hip_low > 0.5));
    if (action == "jump") CHECK(e.hip_high - e.hip_low > 0.25);
  }
}

TEST_CASE("synthetic: the seed decides, and more subjects or takes change nothing") {
  const auto few = synthetic_motions({.subjects = 1, .takes = 1, .seed = 5});
  const auto many = synthetic_motions({.subjects = 2, .takes = 2, .seed = 5});
  const auto other = synthetic_motions({.subjects = 1, .takes = 1, .seed = 6});
  for (std::size_t a = 0; a < few.size(); ++a) {
    CHECK(few[a].frames == many[2 * a].frames);
    CHECK(few[a].frames != many[2 * a + 1].frames);
    CHECK(few[a].frames != other[a].frames);
  }
}

TEST_CASE("synthetic: options that make no frames are refused") {
  CHECK_THROWS_AS(synthetic_motions({.subjects = 0}), Error);
  CHECK_THROWS_AS(synthetic_motions({.takes = 0}), Error);
  CHECK_THROWS_AS(synthetic_motions({.seconds = 0}), Error);
  CHECK_THROWS_AS(synthetic_motions({.fps = -1}), Error);
}

}  // namespace
}  // namespace posetape::data
