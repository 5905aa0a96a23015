// Frames of another rate than the network's, as they come.
#include "diffusion/resampled_stream.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "data/batches.hpp"
#include "data/view.hpp"
#include "tests/data/files.hpp"
#include "tests/data/poses.hpp"
#include "tests/diffusion/streams.hpp"

using namespace posetape;
using namespace posetape::diffusion;
using data::kJoints;
using test::kNan;
using test::Pose;
using test::pull_all;
using test::pull_stds;
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
       // Of 35, 55, 70 and 110 some frames lie on one of the network's up to rounding alone.
       {std::pair{25.0, 0},
        {25.0, 3},
        {29.97, 3},
        {30.0, 1},
        {30.0, 2},
        {35.0, 1},
        {55.0, 1},
        {60.0, 3},
        {70.0, 2},
        {100.0, 1},
        {100.0, 7},
        {110.0, 3},
        {120.0, 7},
        {240.0, 20}}) {
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

TEST_CASE("a short clip's last result needs no frame after it") {
  // Frame 21 of 35 a second is the network's frame 30, up to rounding.
  const data::Sequence s = even_motion(22, 35);
  Inference network = unchanged();
  ResampledStream stream(network, 5, kNetwork, s, {.delay = 1, .filter = kNone});
  for (int f = 0; f < 22; ++f) push(stream, s, f);
  stream.finish();
  const std::vector<Pose> poses = pull_all(stream);
  REQUIRE(poses.size() == 22);
  CHECK(poses[21][50] == doctest::Approx(s.noisy_3d->frame(21)[50]).epsilon(1e-5));
}

TEST_CASE("a result that one frame in thousands has to wait for comes, if later") {
  // Of 100.06 frames a second, frame 1667 is too close to the network's 833 for a delay of 2.
  constexpr int kTotal = 1700;
  const data::Sequence s = even_motion(kTotal, 100.06);
  Inference network = unchanged();
  ResampledStream stream(network, 1, kNetwork, s, {.delay = 2, .filter = kNone});
  std::vector<Pose> poses;
  int late = 0;
  for (int f = 0; f < kTotal; ++f) {
    push(stream, s, f);
    for (const Pose& pose : pull_all(stream)) poses.push_back(pose);
    late += static_cast<int>(poses.size()) < f + 1 - 2 ? 1 : 0;
  }
  CHECK(late <= 1);
  stream.finish();
  for (const Pose& pose : pull_all(stream)) poses.push_back(pose);
  REQUIRE(poses.size() == std::size_t(kTotal));
  for (int f = 0; f < kTotal - 3; ++f) {
    CHECK(poses[std::size_t(f)][50] == doctest::Approx(s.noisy_3d->frame(f)[50]).epsilon(1e-4));
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
  s.fps = 30;
  Inference network = unchanged();
  ResampledStream kept(network, 5, kNetwork, s, {.delay = 0, .keep_rate = true, .filter = kNone});
  push(kept, s, 0);
  CHECK(pull_all(kept).size() == 1);
  ResampledStream unspecific(network, 5, {}, s, {.delay = 0, .filter = kNone});
  push(unspecific, s, 0);
  CHECK(pull_all(unspecific).size() == 1);
  // The filter is that of the frames' own rate.
  s.fps = 50.5;
  const data::Filter euro{.kind = data::FilterKind::one_euro};
  PoseStream plain(network, 5, kNetwork, s, {.delay = 0, .filter = euro});
  ResampledStream same(network, 5, kNetwork, s, {.delay = 0, .filter = euro});
  for (int f = 0; f < 20; ++f) {
    push(plain, s, f);
    push(same, s, f);
  }
  CHECK(pull_all(plain) == pull_all(same));
  // A network of one frame a second is one of a known rate.
  s.fps = 2;
  ResampledStream slow(network, 5, {.fps = 1}, s, {.delay = 3, .filter = kNone});
  for (int f = 0; f < 20; ++f) push(slow, s, f);
  slow.finish();
  CHECK(pull_all(slow).size() == 20);
}

TEST_CASE("a delay too short to resample is refused with one that does") {
  const data::Sequence s = even_motion(3, 30);
  Inference network = unchanged();
  CHECK_MESSAGE_PARTS(ResampledStream(network, 5, kNetwork, s, {.delay = 0}), "a delay of 0 frames",
                      "30 a second", "a delay of 1 or more", "--keep-rate");
  ResampledStream(network, 5, kNetwork, s, {.delay = 1});
  CHECK_MESSAGE_PARTS(ResampledStream(network, 5, kNetwork, s, {.delay = -1}),
                      "a delay of -1 frames; expected 0 or more");
  // Two in a hundred of the network's rate are the same rate.
  CHECK_MESSAGE_PARTS(ResampledStream(network, 5, kNetwork, even_motion(3, 51.01), {.delay = 0}),
                      "51.01 a second");
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
  // Of 29.97 frames a second 14.99 are half a second.
  s.fps = 29.97F;
  note.clear();
  ResampledStream other(
      network, 5, kNetwork, s,
      {.delay = 2, .filter = kNone, .note = [&](const std::string& text) { note += text; }});
  for (int f = 0; f < 12; ++f) push(other, s, f);
  CHECK(note.find("after 15 frames") != std::string::npos);
}

TEST_CASE("the network is given what lies between frames, and what is missing is not made up") {
  data::Sequence s = even_motion(40, 30);
  s.confidence.emplace(std::size_t(40) * kJoints);
  for (std::size_t i = 0; i < s.confidence->size(); ++i) {
    (*s.confidence)[i] = static_cast<float>(0.2 + 0.6 * std::sin(0.3 * static_cast<double>(i)) *
                                                      std::sin(0.3 * static_cast<double>(i)));
  }
  for (int f = 0; f < 40; ++f) s.pose_2d.frame(f)[2 * 6] = 0;  // at the image's left, and there
  constexpr int kGap = 20;  // the frame of the source where joint 4 is not seen
  std::fill_n(s.pose_2d.frame(kGap) + 2 * 4, 2, 0.0F);
  for (const bool sure : {true, false}) {
    data::Sequence clip = s;
    if (!sure) clip.confidence.reset();
    // The network's frames, 3 to 5: of the source's k = 0.6 n.
    data::Dataset at_rate;
    data::Sequence& all = at_rate.sequences.emplace_back(clip);
    constexpr int kCount = 66;  // up to frame 39
    all.pose_2d.values.clear();
    all.noisy_3d->values.clear();
    all.pose_3d.reset();
    if (sure) all.confidence->clear();
    const auto add = [](std::vector<float>& to, const float* a, const float* b, float t,
                        int count) {
      for (int i = 0; i < count; ++i) to.push_back((1 - t) * a[i] + t * b[i]);
    };
    for (int n = 0; n < kCount; ++n) {
      const int k = 3 * n / 5;
      const auto t = static_cast<float>(3 * n % 5) / 5;
      const int next = std::min(k + 1, 39);
      add(all.pose_2d.values, s.pose_2d.frame(k), s.pose_2d.frame(next), t, 34);
      add(all.noisy_3d->values, s.noisy_3d->frame(k), s.noisy_3d->frame(next), t, 51);
      if (sure)
        add(*all.confidence, s.confidence->data() + 17 * k, s.confidence->data() + 17 * next, t,
            17);
    }
    int n = 0;
    Inference network(
        {data::Field::noisy, data::Field::screen_2d_confidence}, Device::cpu,
        [&](std::span<const Tensor> in) {
          const data::Window window{0, n, 1};
          const Tensor screen = data::gather(at_rate, std::span(&window, 1), {}, 1,
                                             data::Field::screen_2d_confidence);
          const std::span<const float> seen = in[1].values<float>();
          const std::span<const float> expected = screen.values<float>();
          const bool unseen = 3 * n > 5 * (kGap - 1) && 3 * n < 5 * (kGap + 1);
          for (std::size_t j = 0; j < kJoints; ++j) {
            if (j == 4 && unseen) {
              // It stays where it was in the network's last frame that had it, n = 31.
              const data::Window held{0, 31, 1};
              const Tensor before = data::gather(at_rate, std::span(&held, 1), {}, 1,
                                                 data::Field::screen_2d_confidence);
              CHECK(seen[12] == doctest::Approx(before.values<float>()[12]));
              CHECK(seen[13] == doctest::Approx(before.values<float>()[13]));
              CHECK(seen[14] == 0);
              continue;
            }
            for (std::size_t c = 0; c < 3; ++c) {
              CHECK(seen[3 * j + c] == doctest::Approx(expected[3 * j + c]).epsilon(1e-4));
            }
          }
          ++n;
          return in[0].clone();
        });
    ResampledStream stream(network, 1, kNetwork, clip, {.delay = 2, .filter = kNone});
    for (int f = 0; f < 40; ++f) push(stream, clip, f);
    stream.finish();
    CHECK(n == kCount);
    CHECK(pull_all(stream).size() == 40);
  }
}

TEST_CASE("how sure results between the network's frames are: by their logarithms") {
  for (const double fps : {25.0, 30.0, 60.0}) {
    CAPTURE(fps);
    const data::Sequence s = even_motion(60, fps);
    Inference network = test::knowing();
    // Windows of one frame: what is known of a frame is said once.
    ResampledStream stream(network, 1, kNetwork, s, {.delay = 3, .filter = kNone});
    for (int f = 0; f < 60; ++f) push(stream, s, f);
    stream.finish();
    const auto stds = pull_stds(stream);
    REQUIRE(stds.size() == 60);
    for (int f = 0; f < 58; ++f) {
      const auto& std = stds[std::size_t(f)];
      REQUIRE(std);
      for (int i = 3; i < 51; ++i) {
        const double expected = test::log_std_of(s.noisy_3d->frame(f)[i], i, 0);
        CHECK(std::log((*std)[std::size_t(i)]) == doctest::Approx(expected).epsilon(1e-5));
      }
    }
    if (fps != 25) continue;
    // Every frame of 25 is one of 50: what the network said, to the bit.
    data::Sequence same = s;
    same.fps = 50;
    PoseStream plain(network, 1, kNetwork, same, {.delay = 0, .filter = kNone});
    for (int f = 0; f < 60; ++f) push(plain, same, f);
    CHECK(pull_stds(plain) == stds);
  }
  // At the network's rate it is what the network says.
  const data::Sequence s = even_motion(10, 50);
  Inference network = test::knowing();
  ResampledStream stream(network, 1, kNetwork, s, {.delay = 0, .filter = kNone});
  push(stream, s, 0);
  const auto stds = pull_stds(stream);
  REQUIRE(stds.size() == 1);
  REQUIRE(stds[0]);
}

TEST_CASE("a frame without a person has neither a result nor how sure it is") {
  data::Sequence s = even_motion(90, 30);
  // Gone for more than the half second that is bridged.
  for (int f = 30; f < 60; ++f) std::fill_n(s.noisy_3d->frame(f), 51, 0.0F);
  Inference network = test::knowing();
  ResampledStream stream(network, 5, kNetwork, s, {.delay = 2, .filter = kNone});
  for (int f = 0; f < 90; ++f) push(stream, s, f);
  stream.finish();
  for (int f = 0; f < 90; ++f) {
    const auto pose = stream.pull();
    REQUIRE(pose);
    CAPTURE(f);
    const bool missing = std::isnan((*pose)[30]);
    // The network's frame 49, at 29.4, is the first between which and another there is nobody; 25
    // of them are bridged, and 74, at 44.4, is the next one after 44.
    CHECK(missing == (f >= 44 && f < 60));
    if (!missing) CHECK(stream.std().has_value());
    if (f > 46 && f < 59) CHECK(!stream.std());
  }
}

TEST_CASE("the filter at a clip's end has the network's frames up to the last of the source's") {
  const data::Filter filter{.window = 7, .degree = 2};
  for (const int total : {39, 40}) {
    data::Sequence s = test::random_sequence("S/Walk/0", total, 6);
    s.fps = 100;
    s.fps_known = true;
    int calls = 0;
    Inference network({data::Field::noisy}, Device::cpu, [&](std::span<const Tensor> in) {
      ++calls;
      return in[0].clone();
    });
    ResampledStream stream(network, 5, kNetwork, s, {.delay = 20, .filter = filter});
    CHECK(pull_all(stream).empty());
    stream.finish();  // of nothing
    CHECK(pull_all(stream).empty());
    for (int f = 0; f < total; ++f) push(stream, s, f);
    stream.finish();
    const std::vector<Pose> poses = pull_all(stream);
    REQUIRE(poses.size() == std::size_t(total));
    const int once = calls;
    stream.finish();
    CHECK(calls == once);
    CHECK(pull_all(stream).empty());
    // Every other frame is one of the network's; after an odd one the place is held.
    data::Sequence half = s;
    half.fps = 50;
    PoseStream plain(network, 5, kNetwork, half, {.delay = 20, .filter = filter});
    for (int f = 0; f < total; f += 2) push(plain, s, f);
    if (total % 2 == 0) push(plain, s, total - 1);
    plain.finish();
    const std::vector<Pose> expected = pull_all(plain);
    for (int f = 0; f < total; f += 2) CHECK(poses[std::size_t(f)] == expected[std::size_t(f / 2)]);
  }
}

TEST_CASE("a joint that is back in a frame of the network's is not missing there") {
  // 45 x 1.4 is 63 up to rounding: the network's frame 45 is the source's 63.
  data::Sequence s = even_motion(80, 70);
  s.noisy_3d->frame(62)[3 * 8] = kNan;
  s.pose_2d.frame(62)[2 * 8] = kNan;
  std::vector<float> sure;
  Inference network({data::Field::noisy, data::Field::screen_2d_confidence}, Device::cpu,
                    [&](std::span<const Tensor> in) {
                      sure.push_back(in[1].values<float>()[3 * 8 + 2]);
                      return in[0].clone();
                    });
  ResampledStream stream(network, 1, kNetwork, s, {.delay = 3, .filter = kNone});
  for (int f = 0; f < 80; ++f) push(stream, s, f);
  REQUIRE(sure.size() > 46);
  CHECK(sure[43] == 1);  // 60.2
  CHECK(sure[44] == 0);  // 61.6
  CHECK(sure[45] == 1);
}

TEST_CASE("a resampled stream whose network failed starts anew") {
  const data::Sequence s = even_motion(30, 30);
  bool broken = false;
  Inference network({data::Field::noisy}, Device::cpu, [&](std::span<const Tensor> in) {
    Tensor out = in[0].clone();
    if (broken) out.values<float>()[20] = kNan;
    return out;
  });
  const auto options = PoseStream::Options{.delay = 2, .filter = kNone};
  ResampledStream fresh(network, 3, kNetwork, s, options);
  for (int f = 0; f < 30; ++f) push(fresh, s, f);
  fresh.finish();
  const std::vector<Pose> expected = pull_all(fresh);
  ResampledStream stream(network, 3, kNetwork, s, options);
  for (int f = 0; f < 11; ++f) push(stream, s, f);
  pull_all(stream);
  broken = true;
  CHECK_MESSAGE_PARTS(push(stream, s, 11), "result is nan");
  broken = false;
  for (int f = 0; f < 30; ++f) push(stream, s, f);
  stream.finish();
  CHECK(pull_all(stream) == expected);
}
