#include "data/estimate_axes.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "data/skeleton.hpp"
#include "engine/error.hpp"
#include "tests/data/poses.hpp"

namespace posetape::data {

using test::random_poses;

TEST_CASE("estimates: joint 0 goes to the origin, and every other joint with it") {
  const PoseArray given = random_poses(3, 3, 4, 1);
  PoseArray moved = given;
  double far = 0;
  const double said = to_root(moved);
  for (int f = 0; f < 3; ++f) {
    const float* root = given.frame(f);
    far = std::max(far, double{std::hypot(root[0], root[1], root[2])});
    for (int i = 0; i < 3 * kJoints; ++i) {
      CHECK(moved.frame(f)[i] == given.frame(f)[i] - root[i % 3]);
    }
  }
  CHECK(said == far);
}

TEST_CASE("estimates: where the body is, in space or in the image, says nothing of its axes") {
  PoseArray poses = random_poses(4, 3, 0, 2);
  PoseArray pixels{2, {}};
  for (std::size_t i = 0; i < poses.values.size(); i += 3) {
    pixels.values.push_back(500 + 100 * poses.values[i]);
    pixels.values.push_back(300 + 100 * poses.values[i + 1]);
  }
  for (const float away : {0.0f, 10.0f, -10.0f}) {
    for (float& v : poses.values) v += away;
    CHECK_NOTHROW(check_image(poses, pixels, "x"));
    PoseArray wrong = poses;
    for (std::size_t i = 0; i < wrong.values.size(); i += 3) wrong.values[i] *= -1;
    CHECK_THROWS_WITH_AS(check_image(wrong, pixels, "x"), doctest::Contains("left and right"),
                         Error);
    wrong = poses;
    for (std::size_t i = 0; i < wrong.values.size(); i += 3) wrong.values[i + 1] *= -1;
    CHECK_THROWS_WITH_AS(check_image(wrong, pixels, "x"), doctest::Contains("up and down"), Error);
    for (float& v : poses.values) v -= away;
  }
}

}  // namespace posetape::data
