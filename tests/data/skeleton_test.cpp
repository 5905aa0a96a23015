#include "data/skeleton.hpp"

#include <doctest/doctest.h>

#include <numeric>
#include <string>
#include <vector>

#include "engine/error.hpp"

namespace posetape::data {
namespace {

TEST_CASE("skeleton: parents come first and sides mirror each other") {
  CHECK(kParents[0] == -1);
  for (int j = 1; j < kJoints; ++j) {
    CAPTURE(j);
    CHECK(kParents[j] < j);
    CHECK(kMirror[kMirror[j]] == j);
    // The mirror of a bone is a bone, and the name says the side.
    CHECK(kMirror[kParents[j]] == kParents[kMirror[j]]);
    CHECK(kBones[j - 1].child == j);
    CHECK(kBones[j - 1].parent == kParents[j]);
  }
  for (std::size_t i = 0; i < kLeftJoints.size(); ++i) {
    const std::string left(kJointNames[kLeftJoints[i]]);
    const std::string right(kJointNames[kMirror[kLeftJoints[i]]]);
    CHECK(left[0] == 'L');
    CHECK(right[0] == 'R');
    CHECK(left.substr(1) == right.substr(1));
    CHECK(kMirror[kLeftJoints[i]] == kRightJoints[i]);
  }
  CHECK(kJointNames[joint::left_wrist] == "LWrist");
  CHECK(kJointNames[joint::right_knee] == "RKnee");
  CHECK(kJointNames[joint::thorax] == "Thorax");
}

TEST_CASE("skeleton: mirroring swaps sides, negates x and undoes itself") {
  for (const int channels : {2, 3}) {
    std::vector<float> poses(std::size_t(2) * kJoints * channels);
    std::iota(poses.begin(), poses.end(), 1.0f);
    const auto original = poses;
    mirror(poses, channels);
    const int frame = kJoints * channels;
    CHECK(poses[frame + 13 * channels] == -original[frame + 16 * channels]);
    CHECK(poses[frame + 13 * channels + 1] == original[frame + 16 * channels + 1]);
    CHECK(poses[7 * channels] == -original[7 * channels]);
    mirror(poses, channels);
    CHECK(poses == original);
  }
}

TEST_CASE("skeleton: mirroring pixels reflects about the middle of the image") {
  std::vector<float> pose(kJoints * 2, 400.0f);
  pose[2 * joint::left_foot] = 100;
  mirror_pixels(pose, 1000);
  CHECK(pose[2 * joint::right_foot] == 900.0f);
  CHECK(pose[2 * joint::left_foot] == 600.0f);
  CHECK(pose[2 * joint::right_foot + 1] == 400.0f);
}

TEST_CASE("skeleton: what is not whole poses is refused") {
  std::vector<float> values(33);
  CHECK_THROWS_AS(mirror(values, 2), Error);
  CHECK_THROWS_AS(mirror(values, 4), Error);
}

}  // namespace
}  // namespace posetape::data
