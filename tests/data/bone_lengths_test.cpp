#include "data/bone_lengths.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "data/skeleton.hpp"
#include "tests/data/poses.hpp"

using namespace posetape;
using namespace posetape::data;

namespace {

using doctest::Approx;

double length(const PoseArray& poses, int frame, Bone bone) {
  double squares = 0;
  for (int c = 0; c < 3; ++c) {
    const double d = double{poses.frame(frame)[3 * bone.child + c]} -
                     double{poses.frame(frame)[3 * bone.parent + c]};
    squares += d * d;
  }
  return std::sqrt(squares);
}

}  // namespace

TEST_CASE("limbs keep their directions and get the median length of their frames and sides") {
  PoseArray poses = test::random_poses(31, 3, 0, 9);
  for (int f = 0; f < poses.frames(); ++f) std::fill_n(poses.frame(f), 3, 0.0F);
  const PoseArray result = with_constant_bones(poses);
  for (const Bone bone : kBones) {
    CAPTURE(bone.child);
    const auto median = [&](Bone b) {
      std::vector<double> lengths;
      for (int f = 0; f < poses.frames(); ++f) lengths.push_back(length(poses, f, b));
      std::ranges::sort(lengths);
      return lengths[15];
    };
    const Bone other{kMirror[std::size_t(bone.parent)], kMirror[std::size_t(bone.child)]};
    const std::set<int> limbs{2, 3, 5, 6, 12, 13, 15, 16};
    for (int f = 0; f < poses.frames(); ++f) {
      const double expected =
          limbs.contains(bone.child) ? (median(bone) + median(other)) / 2 : length(poses, f, bone);
      CHECK(length(result, f, bone) == Approx(expected).epsilon(1e-5));
      double dot = 0;
      for (int c = 0; c < 3; ++c) {
        const auto along = [&](const PoseArray& p) {
          return double{p.frame(f)[3 * bone.child + c]} - double{p.frame(f)[3 * bone.parent + c]};
        };
        dot += along(poses) * along(result);
      }
      CHECK(dot == Approx(length(poses, f, bone) * expected).epsilon(1e-5));
    }
  }
  for (int f = 0; f < poses.frames(); ++f) {
    for (int c = 0; c < 3; ++c) CHECK(result.frame(f)[c] == 0);
  }
  // What has them already stays; joints in one place stay together.
  const PoseArray again = with_constant_bones(result);
  for (std::size_t i = 0; i < again.values.size(); ++i) {
    CHECK(double{again.values[i]} == Approx(double{result.values[i]}).epsilon(1e-5));
  }
  const PoseArray nowhere{3, std::vector<float>(51, 0.0F)};
  CHECK(with_constant_bones(nowhere).values == nowhere.values);
}
