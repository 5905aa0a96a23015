// Frames of another rate than the network's, as they come.
#include "diffusion/resampled_stream.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/data/files.hpp"
#include "tests/data/poses.hpp"
#include "tests/diffusion/streams.hpp"

using namespace posetape;
using namespace posetape::diffusion;
using data::kJoints;
using test::kNan;
using test::Pose;
using test::pull_all;
using test::push;
using test::unchanged;

namespace {

// Poses that move evenly: linear interpolation is exact for them.
data::Sequence even_motion(int frames, double fps) {
  data::Sequence s = test::random_sequence("S/Walk/0", frames, 4);
  s.fps = static_cast<float>(fps);
  s.fps_known = true;
  for (int f = 1; f < frames; ++f) {
    for (int i = 3; i < 3 * kJoints; ++i) {
      s.noisy_3d->frame(f)[i] =
          s.noisy_3d->frame(0)[i] + static_cast<float>(0.1 * (i % 7 - 3) * f / fps);
    }
  }
  return s;
}

const data::Convention kNetwork{.fps = 50};
const data::Filter kNone{.kind = data::FilterKind::none};

}  // namespace

TEST_CASE("results have the source's rate, and come D of its frames later") {
  for (const auto& [fps, delay] :
       {std::pair{25.0, 0}, {25.0, 3}, {29.97, 3}, {30.0, 2}, {60.0, 3}, {120.0, 7}, {240.0, 20}}) {
    CAPTURE(fps);
    const int total = 300;
    const data::Sequence s = even_motion(total, fps);
    Inference network = unchanged();
    ResampledStream stream(network, 5, kNetwork, s, {.delay = delay, .filter = kNone});
    std::vector<Pose> poses;
    for (int f = 0; f < total; ++f) {
      push(stream, s, f);
      for (const Pose& pose : pull_all(stream)) poses.push_back(pose);
      CHECK(static_cast<int>(poses.size()) == std::max(0, f + 1 - delay));
    }
    stream.finish();
    for (const Pose& pose : pull_all(stream)) poses.push_back(pose);
    REQUIRE(poses.size() == std::size_t(total));
    // After the last frame the place is held: only the last interval knows it.
    const int exact = total - static_cast<int>(std::ceil(fps / 50)) - 1;
    for (int f = 0; f < exact; ++f) {
      for (int i = 0; i < 3 * kJoints; ++i) {
        CHECK(poses[std::size_t(f)][std::size_t(i)] ==
              doctest::Approx(s.noisy_3d->frame(f)[i]).epsilon(1e-5));
      }
    }
    // Another clip starts anew.
    for (int f = 0; f < total; ++f) push(stream, s, f);
    stream.finish();
    const std::vector<Pose> again = pull_all(stream);
    CHECK(again == poses);
  }
}

TEST_CASE("frames of the network's rate, or of none, go through as they are") {
  data::Sequence s = test::random_sequence("S/Walk/0", 20, 5);
  for (const double fps : {50.0, 50.5, 0.0}) {
    s.fps_known = fps > 0;
    s.fps = static_cast<float>(fps > 0 ? fps : 50);
    Inference network = unchanged();
    PoseStream plain(network, 5, kNetwork, s, {.delay = 2});
    ResampledStream resampled(network, 5, kNetwork, s, {.delay = 2});
    for (int f = 0; f < 20; ++f) {
      push(plain, s, f);
      push(resampled, s, f);
      CHECK(pull_all(plain) == pull_all(resampled));
    }
    plain.finish();
    resampled.finish();
    CHECK(pull_all(plain) == pull_all(resampled));
  }
  s.fps_known = true;
  s.fps = 25;
  Inference network = unchanged();
  ResampledStream kept(network, 5, kNetwork, s, {.delay = 0, .keep_rate = true, .filter = kNone});
  push(kept, s, 0);
  CHECK(pull_all(kept).size() == 1);
}

TEST_CASE("a delay too short to resample is refused with one that does") {
  const data::Sequence s = even_motion(3, 30);
  Inference network = unchanged();
  CHECK_MESSAGE_PARTS(ResampledStream(network, 5, kNetwork, s, {.delay = 0}), "a delay of 0 frames",
                      "30 a second", "a delay of 1 or more", "--keep-rate");
  ResampledStream(network, 5, kNetwork, s, {.delay = 1});
  CHECK_MESSAGE_PARTS(ResampledStream(network, 5, kNetwork, s, {.delay = -1}),
                      "a delay of -1 frames");
  const data::Sequence fast = even_motion(3, 120);
  CHECK_MESSAGE_PARTS(ResampledStream(network, 5, kNetwork, fast, {.delay = 1}),
                      "a delay of 3 or more");
}

TEST_CASE("what is missing stays missing between frames, and what is no frame changes nothing") {
  data::Sequence s = even_motion(60, 30);
  for (int f = 10; f < 50; ++f) s.noisy_3d->frame(f)[3 * 16] = kNan;
  Inference network = unchanged();
  std::string note;
  ResampledStream stream(
      network, 5, kNetwork, s,
      {.delay = 2, .filter = kNone, .note = [&](const std::string& text) { note += text; }});
  for (int f = 0; f < 60; ++f) {
    push(stream, s, f);
    CHECK_THROWS_AS(stream.push(std::vector<float>(33), std::vector<float>(51)), Error);
  }
  stream.finish();
  const std::vector<Pose> poses = pull_all(stream);
  REQUIRE(poses.size() == 60);
  // After half a second, 15 frames, its results are missing, those of others not.
  CHECK(!std::isnan(poses[20][3 * 16]));
  for (int f = 27; f < 48; ++f) {
    CHECK(std::isnan(poses[std::size_t(f)][3 * 16]));
    CHECK(!std::isnan(poses[std::size_t(f)][3 * 15]));
  }
  CHECK(!std::isnan(poses[55][3 * 16]));
  CHECK(note.find("joint 16 (RWrist) is missing in frame 10") != std::string::npos);
  CHECK(note.find("after 15 frames") != std::string::npos);
}
