#include "data/prepare.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/amc.hpp"
#include "data/motion_files.hpp"
#include "engine/error.hpp"
#include "kernels/base/parallel.hpp"

namespace posetape::data {
namespace {

bool equal(const Dataset& a, const Dataset& b) {
  if (a.sequences.size() != b.sequences.size() || a.metadata != b.metadata) return false;
  for (std::size_t i = 0; i < a.sequences.size(); ++i) {
    const Sequence& x = a.sequences[i];
    const Sequence& y = b.sequences[i];
    if (x.name != y.name || x.pose_2d.values != y.pose_2d.values ||
        x.pose_3d->values != y.pose_3d->values) {
      return false;
    }
  }
  return true;
}

const Sequence& named(const Dataset& dataset, std::string_view name) {
  for (const Sequence& sequence : dataset.sequences) {
    if (sequence.name == name) return sequence;
  }
  fail("no sequence {}", name);
}

const SyntheticOptions kSmall{.subjects = 3, .takes = 1, .seconds = 1};

TEST_CASE("prepare: synthetic motion becomes named sequences with a split") {
  const Dataset dataset = prepare_synthetic({}, kSmall);
  REQUIRE(dataset.sequences.size() == 3 * 8 * 4);
  CHECK(dataset.sequences[0].name == "P1/walk_1/0");
  CHECK(dataset.sequences[5].name == "P1/run_1/1");
  CHECK(dataset.test_subjects == std::vector<std::string>{"P2", "P3"});
  CHECK(dataset.sequences[0].frames() == 50);
  CHECK(dataset.sequences[0].pose_3d->frames() == 50);
  const auto meta = nlohmann::json::parse(dataset.metadata);
  CHECK(meta.at("source") == "synthetic");
  CHECK(meta.at("fps") == 50);
  CHECK(meta.at("units").at("pose_2d") == "pixels");
}

TEST_CASE("prepare: detections differ by camera, seed and detector, not by subset or threads") {
  const Dataset all = prepare_synthetic({}, kSmall);
  PrepareOptions options;
  options.detector = Detector::gt;
  const Dataset exact = prepare_synthetic(options, kSmall);
  const auto error = [&](std::string_view name) {
    std::vector<float> e = named(all, name).pose_2d.values;
    const auto& truth = named(exact, name).pose_2d.values;
    for (std::size_t i = 0; i < e.size(); ++i) e[i] -= truth[i];
    return e;
  };
  const auto zero = error("P1/walk_1/0");
  const auto one = error("P1/walk_1/1");
  double product = 0;
  double size = 0;
  for (std::size_t i = 0; i < zero.size(); ++i) {
    product += zero[i] * one[i];
    size += zero[i] * zero[i];
  }
  CHECK(size > 0);
  CHECK(std::abs(product) < 0.5 * size);

  PrepareOptions some;
  some.subjects = {"P2"};
  some.cameras = {2, 0};
  const Dataset subset = prepare_synthetic(some, kSmall);
  REQUIRE(subset.sequences.size() == 16);
  CHECK(subset.sequences[0].name == "P2/walk_1/2");
  CHECK(subset.sequences[1].name == "P2/walk_1/0");
  CHECK(subset.test_subjects == std::vector<std::string>{"P2"});
  CHECK(subset.sequences[0].pose_2d.values == named(all, "P2/walk_1/2").pose_2d.values);

  const int before = threads();
  set_threads(1);
  CHECK(equal(prepare_synthetic({}, kSmall), all));
  set_threads(3);
  CHECK(equal(prepare_synthetic({}, kSmall), all));
  set_threads(before);
}

TEST_CASE("prepare: unknown subjects and cameras are refused by name") {
  PrepareOptions options;
  options.subjects = {"P9"};
  CHECK_THROWS_WITH_AS(prepare_synthetic(options, kSmall),
                       "subject 'P9' is not in the data, which has P1, P2, P3", Error);
  options = {};
  options.test_subjects = {"S9"};
  CHECK_THROWS_WITH_AS(prepare_synthetic(options, kSmall),
                       "test subject 'S9' is not in the data, which has P1, P2, P3", Error);
  options = {};
  options.cameras = {0, 4};
  CHECK_THROWS_WITH_AS(prepare_synthetic(options, kSmall), "no camera 4: there are 0 to 3", Error);
  options.cameras = {1, 1};
  CHECK_THROWS_AS(prepare_synthetic(options, kSmall), Error);
  options.cameras = {};
  CHECK_THROWS_AS(prepare_synthetic(options, kSmall), Error);
}

TEST_CASE("prepare: a directory that is not there or holds no subjects is refused") {
  const auto prepare_cmu = [](const std::filesystem::path& path) {
    Notes notes;
    return prepare_motion(amc_format, path, {}, {}, notes);
  };
  CHECK_THROWS_WITH_AS(prepare_cmu("no/such/place"), doctest::Contains("no/such/place"), Error);
  const auto empty = std::filesystem::temp_directory_path() / "posetape_prepare_test";
  std::filesystem::remove_all(empty);
  std::filesystem::create_directories(empty / "01");
  CHECK_THROWS_WITH_AS(prepare_cmu(empty), doctest::Contains("found none"), Error);
  std::ofstream(empty / "01" / "01_01.amc") << ":DEGREES\n";
  CHECK_THROWS_WITH_AS(prepare_cmu(empty), doctest::Contains("01.asf"), Error);
  std::filesystem::remove_all(empty);
}

TEST_CASE("prepare: CMU trials become sequences of four cameras") {
  const char* root = std::getenv("POSETAPE_CMU");
  if (root == nullptr) {
    MESSAGE("skipped: POSETAPE_CMU does not name a directory with CMU motion capture");
    return;
  }
  PrepareOptions options;
  options.subjects = {"07", "09", "17"};
  Notes notes;
  const Dataset dataset = prepare_motion(amc_format, root, options, {}, notes);
  CHECK(notes.empty());
  CHECK(dataset.sequences.size() == 4 * (1 + 8 + 2));
  CHECK(dataset.sequences[0].name == "07/07_05/0");
  CHECK(dataset.test_subjects == std::vector<std::string>{"17"});
  CHECK(named(dataset, "07/07_05/3").frames() == 216);  // 517 frames at 120 per second
  options.fps = 120;
  options.detector = Detector::gt;
  const Dataset full = prepare_motion(amc_format, root, options, {}, notes);
  CHECK(named(full, "07/07_05/3").frames() == 517);

  // At the source's rate poses are only turned and shifted: distances are those of the file.
  const auto skeleton = read_asf(std::filesystem::path(root) / "07" / "07.asf");
  const Motion motion =
      read_cmu_motion(skeleton, std::filesystem::path(root) / "07" / "07_05.amc", {});
  const PoseArray& pose = *named(full, "07/07_05/1").pose_3d;
  for (const int f : {0, 130, 516}) {
    for (int j = 1; j < kJoints; ++j) {
      const float* p = pose.frame(f);
      const Vec3 seen(p[3 * j] - p[0], p[3 * j + 1] - p[1], p[3 * j + 2] - p[2]);
      CHECK(seen.norm() ==
            doctest::Approx((motion.frames[f][j] - motion.frames[f][0]).norm()).epsilon(1e-5));
    }
  }

  // Few joints leave the image (here mostly in the runs of 09).
  int outside = 0;
  int all = 0;
  for (const Sequence& sequence : full.sequences) {
    for (std::size_t i = 0; i < sequence.pose_2d.values.size(); ++i) {
      const float x = sequence.pose_2d.values[i];
      outside += x < 0 || x >= static_cast<float>(sequence.image_size[i % 2]);
      ++all;
    }
  }
  CHECK(outside < 0.005 * all);
}

}  // namespace
}  // namespace posetape::data
