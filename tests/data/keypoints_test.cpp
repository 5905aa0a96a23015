#include "data/keypoints.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "data/skeleton.hpp"
#include "tests/data/files.hpp"

using namespace posetape;
using namespace posetape::data;

namespace {

// One frame in which keypoint k is at (100 + k, 1000 + 2 k).
std::vector<float> numbered(int joints) {
  std::vector<float> values;
  for (int k = 0; k < joints; ++k) {
    values.push_back(static_cast<float>(100 + k));
    values.push_back(static_cast<float>(1000 + 2 * k));
  }
  return values;
}

// Which keypoint, or mean of keypoints, each joint is.
std::vector<float> sources(KeypointLayout layout, int joints) {
  std::int64_t missing = 0;
  const PoseArray poses = from_layout(layout, numbered(joints), joints, "here", missing);
  CHECK(missing == 0);
  std::vector<float> result;
  for (int j = 0; j < kJoints; ++j) {
    const float k = poses.values[std::size_t(2 * j)] - 100;
    CHECK(poses.values[std::size_t(2 * j + 1)] == doctest::Approx(1000 + 2 * k));
    result.push_back(k);
  }
  return result;
}

}  // namespace

TEST_CASE("keypoints of each layout become the joints of Human3.6M") {
  using V = std::vector<float>;
  CHECK(sources(KeypointLayout::h36m, 17) ==
        V{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
  CHECK(sources(KeypointLayout::coco, 17) ==
        V{11.5f, 12, 14, 16, 11, 13, 15, 8.5f, 5.5f, 0, 1.5f, 5, 7, 9, 6, 8, 10});
  CHECK(sources(KeypointLayout::halpe, 26) ==
        V{19, 12, 14, 16, 11, 13, 15, 18.5f, 18, 0, 17, 5, 7, 9, 6, 8, 10});
  CHECK(sources(KeypointLayout::openpose, 25) ==
        V{8, 9, 10, 11, 12, 13, 14, 4.5f, 1, 0, 15.5f, 5, 6, 7, 2, 3, 4});
  CHECK(sources(KeypointLayout::mpi_inf_3dhp, 17) ==
        V{14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4});
  std::int64_t missing = 0;
  CHECK_MESSAGE_PARTS(from_layout(KeypointLayout::coco, numbered(18), 18, "here", missing), "here",
                      "17 joints", "found 18", "--layout");
  CHECK_MESSAGE_PARTS(parse<KeypointLayout>("kinect"), "\"kinect\"", "halpe");
}

TEST_CASE("a missing keypoint is interpolated over time in all joints that need it") {
  std::vector<float> values;
  for (int f = 0; f < 6; ++f) {
    for (const float v : numbered(17)) values.push_back(v + static_cast<float>(10 * f));
  }
  const auto lose = [&](int frame, int keypoint, float with) {
    values[std::size_t(frame * 34 + keypoint * 2)] = with;
    values[std::size_t(frame * 34 + keypoint * 2 + 1)] = with;
  };
  lose(0, 9, 0);  // the left wrist at the start: as in the first frame that has it
  lose(2, 11, std::numeric_limits<float>::quiet_NaN());  // the left hip, so hip and spine, too
  lose(3, 11, 0);
  lose(5, 16, 0);  // the right ankle at the end
  std::int64_t missing = 0;
  const PoseArray poses = from_layout(KeypointLayout::coco, values, 17, "here", missing);
  CHECK(missing == 1 + 2 * 3 + 1);
  const auto x = [&](int f, int j) { return poses.frame(f)[2 * j]; };
  CHECK(x(0, joint::left_wrist) == x(1, joint::left_wrist));
  CHECK(x(5, joint::right_foot) == x(4, joint::right_foot));
  for (const int j : {joint::hip, joint::left_hip, joint::spine, joint::right_hip}) {
    for (int f = 1; f < 6; ++f) CHECK(x(f, j) == doctest::Approx(x(0, j) + 10.0 * f));
  }
  for (int f = 0; f < 6; ++f) lose(f, 7, 0);
  CHECK_MESSAGE_PARTS(from_layout(KeypointLayout::coco, values, 17, "here", missing), "here",
                      "no frame has joint 12");
}
