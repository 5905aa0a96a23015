#include "data/view.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "data/calibration.hpp"
#include "data/camera.hpp"
#include "data/prepare.hpp"
#include "data/windows.hpp"
#include "engine/error.hpp"
#include "tests/data/files.hpp"

namespace posetape::data {
namespace {

// A clip of smooth motion at a rate, 2 s long, in an image of this size.
Sequence clip(double fps, std::array<std::int32_t, 2> size = {1000, 800}) {
  Sequence sequence;
  sequence.name = "P/wave/0";
  sequence.image_size = size;
  sequence.fps = static_cast<float>(fps);
  sequence.pose_2d.channels = 2;
  sequence.noisy_3d.emplace(PoseArray{3, {}});
  const int frames = static_cast<int>(std::lround(2 * fps)) + 1;
  for (int f = 0; f < frames; ++f) {
    for (int j = 0; j < kJoints; ++j) {
      const double phase = 3 * f / fps + 0.3 * j;
      for (int c = 0; c < 2; ++c)
        sequence.pose_2d.values.push_back(static_cast<float>(300 + 100 * std::sin(phase + c)));
      for (int c = 0; c < 3; ++c)
        sequence.noisy_3d->values.push_back(j == 0 ? 0 : static_cast<float>(std::sin(phase + c)));
    }
  }
  return sequence;
}

Dataset of(Sequence sequence) {
  Dataset dataset;
  dataset.sequences.push_back(std::move(sequence));
  return dataset;
}

double furthest(const PoseArray& a, const PoseArray& b) {
  REQUIRE(a.values.size() == b.values.size());
  double most = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i)
    most = std::max(most, std::abs(double{a.values[i]} - b.values[i]));
  return most;
}

TEST_CASE("view: a dataset that fits is not touched") {
  const Dataset dataset = of(clip(50));
  for (const Normalisation n : {Normalisation::width, Normalisation::longer_side}) {
    const View view(dataset, {n, 50, JointDefinitions::skeleton}, true);
    CHECK(&view.dataset() == &dataset);
    CHECK(view.resampled() == 0);
    CHECK(view.back(0, *dataset.sequences[0].noisy_3d).values ==
          dataset.sequences[0].noisy_3d->values);
  }
  const Dataset square = of(clip(50, {1000, 1002}));
  CHECK(&View(square, {.normalisation = Normalisation::longer_side}, true).dataset() == &square);
  // Nor where nothing is known of the network, or 2 % are missing to its rate, or it may not be.
  CHECK(&View(dataset, {}, true).dataset() == &dataset);
  CHECK(&View(dataset, {.fps = 50.9}, true).dataset() == &dataset);
  CHECK(&View(dataset, {.fps = 25}, false).dataset() == &dataset);
  // Nor where the clip doesn't say its rate.
  Dataset unknown = of(clip(50));
  unknown.sequences[0].fps_known = false;
  CHECK(&View(unknown, {.fps = 25}, true).dataset() == &unknown);
}

TEST_CASE("view: by the longer side an upright image is as wide as it is high") {
  const Dataset dataset = of(clip(50, {1080, 1920}));
  const View view(dataset, {.normalisation = Normalisation::longer_side}, false);
  const Window window{0, 0, 1, 0};
  std::vector<float> screen(2 * kJoints);
  gather_2d(view.dataset(), window, false, screen);
  const float* pixel = dataset.sequences[0].pose_2d.frame(0);
  for (int j = 0; j < kJoints; ++j) {
    CHECK(screen[std::size_t(2 * j)] == doctest::Approx((2 * pixel[2 * j] - 1080) / 1920));
    CHECK(screen[std::size_t(2 * j) + 1] == doctest::Approx((2 * pixel[2 * j + 1] - 1920) / 1920));
  }
}

TEST_CASE("view: a clip is resampled to the network's rate and results back to the clip's") {
  for (const double fps : {25.0, 29.97, 60.0, 120.0}) {
    CAPTURE(fps);
    const Dataset dataset = of(clip(fps));
    const View view(dataset, {.fps = 50}, true);
    CHECK(view.resampled() == 1);
    const Sequence& seen = view.dataset().sequences[0];
    CHECK(seen.fps == 50);
    CHECK(std::abs(seen.frames() - 101) <= 1);
    // It is the same motion, and comes back as it was.
    const Dataset same = of(clip(50));
    const int frames = std::min(seen.frames(), 101) - 1;
    double off = 0;
    for (int f = 4; f < frames - 4; ++f) {
      for (int i = 0; i < 3 * kJoints; ++i)
        off = std::max(off, std::abs(double{seen.noisy_3d->frame(f)[i]} -
                                     same.sequences[0].noisy_3d->frame(f)[i]));
    }
    CHECK(off < 2e-3);
    const PoseArray back = view.back(0, *seen.noisy_3d);
    CHECK(back.frames() == dataset.sequences[0].frames());
    CHECK(furthest(back, *dataset.sequences[0].noisy_3d) < 0.02);  // at the ends, which are held
  }
}

TEST_CASE("view: a clip of one frame has one at any rate") {
  Sequence one = clip(30);
  one.pose_2d.values.resize(2 * kJoints);
  one.noisy_3d->values.resize(3 * kJoints);
  one.confidence = std::vector<float>(kJoints, 0.5f);
  const Dataset dataset = of(std::move(one));
  const View view(dataset, {.fps = 50}, true);
  CHECK(view.dataset().sequences[0].frames() == 1);
  CHECK(view.dataset().sequences[0].confidence == dataset.sequences[0].confidence);
  CHECK(view.back(0, *view.dataset().sequences[0].noisy_3d).values ==
        dataset.sequences[0].noisy_3d->values);
}

TEST_CASE("view: through rays the same person looks the same to every camera of a place") {
  PrepareOptions options;
  options.random_cameras = 1;
  options.cameras.clear();
  options.detector = Detector::gt;
  const Dataset dataset = prepare_synthetic(options, {.subjects = 1, .takes = 1, .seconds = 1});
  const Convention rays{Normalisation::rays, 50, JointDefinitions::skeleton};
  const View view(dataset, rays, true);
  for (std::size_t i = 0; i < dataset.sequences.size(); ++i) {
    const Sequence& seen = view.dataset().sequences[i];
    // What the level camera sees is its projection of the poses in its space.
    for (int f = 0; f < seen.frames(); f += 7) {
      for (int j = 0; j < kJoints; ++j) {
        const float* p = seen.pose_3d->frame(f) + 3 * j;
        CHECK(seen.pose_2d.frame(f)[2 * j] ==
              doctest::Approx(500 + 1145 * p[0] / p[2]).epsilon(1e-4));
        CHECK(seen.pose_2d.frame(f)[2 * j + 1] ==
              doctest::Approx(500 + 1145 * p[1] / p[2]).epsilon(1e-4));
      }
    }
    CHECK(furthest(view.back(static_cast<int>(i), *seen.pose_3d), *dataset.sequences[i].pose_3d) <
          1e-5);
  }
  // Another lens and another direction at the same place: the same picture.
  Camera camera;
  camera.size = {1000, 1000};
  camera.focal = {700, 700};
  camera.centre = {500, 500};
  camera.widest = 3;
  camera.position = {0, -4, 1.5};
  Motion motion{"P", "wave", 50, {Pose3{}}};
  for (int j = 0; j < kJoints; ++j) motion.frames[0][std::size_t(j)] = Vec3(0.05 * j, 0.3, 0.1 * j);
  std::vector<PoseArray> pictures;
  for (const auto& [forward, roll] :
       {std::pair<Vec3, double>{{0, 1, 0}, 0}, {{0.2, 1, -0.1}, 0.3}}) {
    camera.orientation = looking(forward.normalized(), roll);
    Sequence sequence = film(motion, camera, "0");
    set_calibration(sequence, camera, up_of(camera));
    const Dataset one = of(std::move(sequence));
    pictures.push_back(View(one, rays, true).dataset().sequences[0].pose_2d);
  }
  CHECK(furthest(pictures[0], pictures[1]) < 1e-2);
}

TEST_CASE("view: rays need a lens") {
  const Dataset dataset = of(clip(50));
  CHECK_MESSAGE_PARTS(View(dataset, {.normalisation = Normalisation::rays}, false), "P/wave/0",
                      "--camera FILE");
}

TEST_CASE("convention: as JSON and back, and what absent keys mean") {
  const Convention all{Normalisation::rays, 29.97, JointDefinitions::keypoints_top};
  const Convention back = parse_convention(to_json(all), "file");
  CHECK(back.normalisation == all.normalisation);
  CHECK(back.fps == all.fps);
  CHECK(back.joints == all.joints);
  const Convention none = parse_convention("{}", "file");
  CHECK(none.normalisation == Normalisation::width);
  CHECK(none.fps == 0);
  CHECK(none.joints == JointDefinitions::unknown);
  CHECK_MESSAGE_PARTS(parse_convention("{\"normalisation\": \"height\"}", "file"), "file",
                      "height");
  CHECK_MESSAGE_PARTS(parse_convention("{\"fps\": -1}", "file"), "file", "-1");
  CHECK_MESSAGE_PARTS(parse_convention("[", "file"), "file", "not readable");
}

TEST_CASE("convention: the rate that all clips have, and the joints that a dataset states") {
  Dataset dataset = of(clip(50));
  CHECK(common_fps(dataset) == 50);
  dataset.sequences.push_back(clip(50.5));
  CHECK(common_fps(dataset) == 50);
  dataset.sequences.push_back(clip(60));
  CHECK(common_fps(dataset) == 0);
  dataset.sequences.pop_back();
  dataset.sequences[1].fps_known = false;
  CHECK(common_fps(dataset) == 0);
  const auto joints = [&](const char* metadata) {
    dataset.metadata = metadata;
    return joints_of(dataset);
  };
  using enum JointDefinitions;
  CHECK(joints("") == unknown);
  CHECK(joints("{\"source\": \"cmu\"}") == skeleton);
  CHECK(joints("{\"source\": \"cmu\", \"joints\": \"keypoints\"}") == keypoints);
  CHECK(joints("{\"source\": \"keypoints\", \"layout\": \"coco\"}") == keypoints);
  CHECK(joints("{\"source\": \"keypoints\", \"layout\": \"halpe\"}") == keypoints_top);
  CHECK(joints("{\"source\": \"keypoints\", \"layout\": \"mediapipe\"}") == keypoints);
  CHECK(joints("{\"source\": \"keypoints\", \"layout\": \"body-25b\"}") == keypoints_top);
  CHECK(joints("{\"source\": \"keypoints\", \"layout\": \"h36m\"}") == unknown);
  CHECK(joints("{\"source\": \"c3d\"}") == skeleton);
  CHECK(joints("{\"source\": \"mine\"}") == unknown);
}

}  // namespace
}  // namespace posetape::data
