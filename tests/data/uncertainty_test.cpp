// Regions, their calibration on a case whose variances are known, and what is counted.
#include "data/uncertainty.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <Eigen/Geometry>
#include <cmath>
#include <nlohmann/json.hpp>

#include "data/skeleton.hpp"
#include "engine/error.hpp"
#include "engine/rng.hpp"
#include "tests/data/poses.hpp"

using namespace posetape;
using namespace posetape::data;

namespace {

// By how much sigma is wrong of a joint: the same left and right, and of x and y.
double wrong_by(int joint, int coordinate) {
  const int pair = std::min(joint, kMirror[std::size_t(joint)]);
  return (coordinate == 2 ? 1.5 : 0.8) * (1 + 0.05 * pair);
}

// |e| / sigma of normal errors.
Residuals person(const char* name, bool known, int frames, std::uint64_t seed) {
  Residuals result{name, known, {}};
  Random random(seed, Stream::test);
  for (int f = 0; f < frames; ++f) {
    for (int i = 0; i < 3 * kJoints; ++i) {
      const double smaller = known ? (i % 3 == 2 ? 0.5 : 0.8) : 1;
      const double size = i < 3 ? 0 : wrong_by(i / 3, i % 3) * smaller;
      result.values.push_back(static_cast<float>(std::abs(size * random.normal())));
    }
  }
  return result;
}

}  // namespace

TEST_CASE("a calibration finds the variances, and its regions hold what they should") {
  const std::vector<Residuals> people{person("a", true, 3000, 1), person("b", true, 800, 2),
                                      person("c", false, 2000, 3), person("d", false, 1500, 4)};
  const Calibration calibration = calibrate(people);
  // Of a share q of n normal numbers the quantile has the deviation sqrt(q (1 - q) / n) / density.
  CHECK(calibration.unknown_over_known[kPlane] == doctest::Approx(1 / 0.8).epsilon(0.02));
  CHECK(calibration.unknown_over_known[kDepth] == doctest::Approx(2).epsilon(0.02));
  for (int i = 3; i < 3 * kJoints; ++i) {
    CHECK(calibration.factors[std::size_t(i)] ==
          doctest::Approx(wrong_by(i / 3, i % 3)).epsilon(0.04));
    CHECK(calibration.factors[std::size_t(i)] ==
          calibration.factors[std::size_t(3 * kMirror[std::size_t(i / 3)] + i % 3)]);
  }
  for (int axis = 0; axis < 2; ++axis) {
    CHECK(calibration.regions.multiples[axis][0] == doctest::Approx(0.674).epsilon(0.02));
    CHECK(calibration.regions.multiples[axis][1] == 1.28155);
    CHECK(calibration.regions.multiples[axis][2] == doctest::Approx(1.96).epsilon(0.02));
  }

  // Somebody else, of whom the head said sigma = 1.
  const Residuals unseen = person("e", false, 2000, 5);
  for (int axis = 0; axis < 2; ++axis) {
    for (std::size_t r = 0; r < 3; ++r) {
      double inside = 0, count = 0;
      for (std::size_t i = 0; i < unseen.values.size(); ++i) {
        const int at = static_cast<int>(i % (3 * kJoints));
        if (at < 3 || axis_of(at) != axis) continue;
        const double reach =
            calibration.regions.multiples[axis][r] * calibration.factors[std::size_t(at)];
        inside += unseen.values[i] <= reach ? 1 : 0;
        ++count;
      }
      CHECK(inside / count == doctest::Approx(kRegionShares[r]).epsilon(0.015));
    }
  }
}

TEST_CASE("a reach is what 80 % stay below, by axis, of those who are known or not") {
  // Frames of 0.1, 0.2, ... in the image plane and ten times as much in depth.
  const auto steps = [](const char* name, bool known, int frames) {
    Residuals result{name, known, {}};
    for (int f = 1; f <= frames; ++f) {
      for (int i = 0; i < 3 * kJoints; ++i) {
        result.values.push_back((i % 3 == 2 ? 1.0F : 0.1F) * static_cast<float>(f));
      }
    }
    return result;
  };
  const std::vector<Residuals> people{steps("a", true, 10), steps("b", false, 100)};
  CHECK(reach_of(people, true)[kPlane] == doctest::Approx(0.8));
  CHECK(reach_of(people, true)[kDepth] == doctest::Approx(8));
  CHECK(reach_of(people, false)[kDepth] == doctest::Approx(80));
  CHECK(reach_of(std::span(people).first(1), false) == std::array{0.0, 0.0});
}

TEST_CASE("a calibration without people whom the networks know, or without any") {
  const std::vector<Residuals> one{person("c", false, 500, 3)};
  CHECK(calibrate(one).unknown_over_known == std::array{1.0, 1.0});
  const std::vector<Residuals> known{person("a", true, 500, 3)};
  CHECK(calibrate(known).unknown_over_known == std::array{1.0, 1.0});
  CHECK_THROWS_WITH_AS(calibrate({}), "there is nobody to calibrate on", Error);
}

TEST_CASE("coverage counts the truths inside, by joint and axis") {
  Dataset dataset;
  Sequence& s = dataset.sequences.emplace_back(test::random_sequence("a", 4, 1));
  s.refined_3d = PoseArray{3, std::vector<float>(4 * 51, 0.0F)};
  s.refined_std = PoseArray{3, std::vector<float>(4 * 51, 0.1F)};
  const std::vector<int> all{0};
  CHECK(knows_std(dataset, all));
  for (int f = 0; f < 4; ++f) {
    for (int i = 0; i < 51; ++i) {
      // Off by 0.1 m times: 0.5, 1, 1.5 and 2.5 in frames 0 to 3 of joint 2's depth, else exact.
      const float far = i == 8 ? std::array{0.5F, 1.0F, 1.5F, 2.5F}[std::size_t(f)] : 0;
      s.refined_3d->frame(f)[i] = s.pose_3d->frame(f)[i] - s.pose_3d->frame(f)[i % 3] - 0.1F * far;
    }
  }
  const Coverage c = coverage(dataset, all, Regions{});
  CHECK(c.share(2, kDepth, 0) == 25);
  CHECK(c.share(2, kDepth, 1) == 50);
  CHECK(c.share(2, kDepth, 2) == 75);
  CHECK(c.share(2, kPlane, 0) == 100);
  CHECK(c.share(3, kDepth, 0) == 100);
  CHECK(c.counted(2, kPlane) == 8);
  CHECK(c.counted(0, kDepth) == 4 * 16);
  CHECK(c.share(0, kDepth, 1) == doctest::Approx(100 * 62.0 / 64));
  CHECK(c.std_mm(kPlane) == doctest::Approx(100));
  CHECK(c.error_mm(kPlane) == doctest::Approx(0).epsilon(1e-3));
  CHECK(c.error_mm(kDepth) == doctest::Approx(std::sqrt((25 + 100 + 225 + 625) * 100.0 / 64)));
  s.refined_std.reset();
  CHECK(!knows_std(dataset, all));
}

TEST_CASE("regions are stored beside the poses, and what is none of them is refused") {
  Regions regions;
  regions.multiples[kDepth] = {0.5, 1.25, 2.5};
  CHECK(values_of(regions_of(values_of(regions), "f")) == values_of(regions));
  Dataset dataset;
  CHECK(values_of(stored_regions(dataset)) == values_of(Regions{}));
  dataset.metadata = nlohmann::ordered_json{{"refined_3d", {{kRegions, to_json(regions)}}}}.dump();
  CHECK(values_of(stored_regions(dataset)) == values_of(regions));
  for (const char* wrong :
       {R"({"image plane": [1, 2, 3]})", R"({"image plane": [1, 2, 3], "depth": [1, 3, 2]})",
        R"({"image plane": [0, 2, 3], "depth": [1, 2, 3]})", "7"}) {
    dataset.metadata = fmt::format(R"({{"refined_3d": {{"regions": {}}}}})", wrong);
    CHECK_THROWS_AS(stored_regions(dataset), Error);
  }
}

TEST_CASE("deviations turn with the axes, and are e to their logarithms") {
  PoseArray std = std_of_logarithms({3, std::vector<float>(51, 0.5F)});
  CHECK(std.values[0] == 0);
  CHECK(std.values[2] == 0);
  CHECK(std.values[3] == std::exp(0.5F));
  std.values[3] = 3;
  std.values[4] = 4;
  std.values[5] = 5;
  rotate_std(std,
             Eigen::AngleAxisd(std::acos(-1) / 2, Eigen::Vector3d::UnitX()).toRotationMatrix());
  CHECK(std.values[3] == doctest::Approx(3));
  CHECK(std.values[4] == doctest::Approx(5));
  CHECK(std.values[5] == doctest::Approx(4));
  rotate_std(std,
             Eigen::AngleAxisd(std::acos(-1) / 4, Eigen::Vector3d::UnitZ()).toRotationMatrix());
  CHECK(std.values[3] == doctest::Approx(std::sqrt(17)));  // (9 + 25) / 2
}
