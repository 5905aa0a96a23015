// A network at work on frames as they come: when results come, of which windows, and what becomes
// of joints that are missing.
#include "diffusion/stream.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/data/files.hpp"
#include "tests/data/poses.hpp"
#include "tests/diffusion/streams.hpp"

using namespace posetape;
using namespace posetape::diffusion;
using data::Field;
using data::kJoints;
using test::kNan;
using test::Pose;
using test::pull_all;
using test::pull_stds;
using test::push;
using test::unchanged;

namespace {

// A network whose answer for a frame depends on its place k in the window: moved by k / 8.
float moved(float x, int k) {
  return x + static_cast<float>(k) / 8;
}
Inference moving() {
  return {{Field::noisy}, Device::cpu, [](std::span<const Tensor> in) {
            const Tensor out = in[0].clone();
            const std::span<float> values = out.values<float>();
            const auto frames = static_cast<std::size_t>(out.shape()[1]);
            for (std::size_t i = 0; i < values.size(); ++i) {
              values[i] = moved(values[i], static_cast<int>(i / 51 % frames));
            }
            return out;
          }};
}
data::Filter none() {
  return {.kind = data::FilterKind::none};
}

// The whole sequence through a stream.
std::vector<Pose> streamed(PoseStream& stream, const data::Sequence& s) {
  for (int f = 0; f < s.frames(); ++f) push(stream, s, f);
  stream.finish();
  return pull_all(stream);
}

// What moving() says of frame s up to frame t, with windows of N frames: the mean over the windows
// that end at s, s + 1, ... t.
double expected_mean(const data::Sequence& sequence, int s, int t, int frames, int i) {
  double sum = 0;
  const int last = std::min(t, s + frames - 1);
  for (int end = s; end <= last; ++end) {
    sum += moved(sequence.noisy_3d->frame(s)[i], frames - 1 - (end - s));
  }
  return sum / (last - s + 1);
}

bool is_lost(const Pose& pose, std::size_t joint) {
  return std::all_of(pose.data() + 3 * joint, pose.data() + 3 * joint + 3,
                     [](float v) { return std::isnan(v); });
}

// Joints whose results are NaN.
int lost(const Pose& pose) {
  int count = 0;
  for (std::size_t j = 0; j < kJoints; ++j) count += is_lost(pose, j) ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("a result comes D frames later, and the last D at the end") {
  const data::Sequence s = test::random_sequence("S/Walk/0", 9, 1);
  for (const int delay : {0, 1, 4, 20}) {
    CAPTURE(delay);
    Inference network = unchanged();
    PoseStream stream(network, 5, {}, s, {.delay = delay, .filter = none()});
    std::vector<Pose> poses;
    for (int f = 0; f < 9; ++f) {
      push(stream, s, f);
      for (const Pose& pose : pull_all(stream)) poses.push_back(pose);
      CHECK(static_cast<int>(poses.size()) == std::max(0, f + 1 - delay));
    }
    stream.finish();
    for (const Pose& pose : pull_all(stream)) poses.push_back(pose);
    REQUIRE(poses.size() == 9);
    for (int f = 0; f < 9; ++f) {
      for (int i = 0; i < 51; ++i) {
        CHECK(poses[std::size_t(f)][std::size_t(i)] == doctest::Approx(s.noisy_3d->frame(f)[i]));
      }
    }
  }
}

TEST_CASE("a result is the mean of what the windows so far say, filtered on what is there") {
  const int frames = 5;
  const int total = 14;
  data::Sequence s = test::random_sequence("S/Walk/0", total, 2);
  for (const int delay : {0, 2, 3, 6}) {
    for (const int window : {1, 5, 9}) {
      CAPTURE(delay);
      CAPTURE(window);
      Inference network = moving();
      const data::Filter filter{.window = window, .degree = std::min(3, window - 1)};
      PoseStream stream(network, frames, {}, s, {.delay = delay, .filter = filter});
      const std::vector<Pose> poses = streamed(stream, s);
      REQUIRE(static_cast<int>(poses.size()) == total);
      for (int f = 0; f < total; ++f) {
        const int now = std::min(f + delay, total - 1);
        const int after = std::min(window / 2, now - f);
        const int before = std::min(f, window - 1 - after);
        const auto weights = data::savitzky_golay_weights(before, after, filter.degree);
        for (const int i : {3, 20, 50}) {
          double expected = 0;
          for (int k = -before; k <= after; ++k) {
            expected += weights[std::size_t(before + k)] * expected_mean(s, f + k, now, frames, i);
          }
          CHECK(poses[std::size_t(f)][std::size_t(i)] == doctest::Approx(expected).epsilon(1e-4));
        }
        CHECK(std::all_of(poses[std::size_t(f)].begin(), poses[std::size_t(f)].begin() + 3,
                          [](float v) { return v == 0; }));
      }
    }
  }
}

TEST_CASE("the network sees the last N frames, the first one repeated, relative to joint 0") {
  data::Sequence s = test::random_sequence("S/Walk/0", 7, 3);
  for (int f = 0; f < 7; ++f) {
    for (int i = 0; i < 51; ++i) s.noisy_3d->frame(f)[i] += 0.25F * static_cast<float>(1 + i % 3);
  }
  s.confidence.emplace(std::size_t(7) * kJoints, 0.5F);
  data::Dataset dataset;
  dataset.sequences.push_back(s);
  int now = 0;
  Inference network(
      {Field::noisy, Field::screen_2d_confidence}, Device::cpu, [&](std::span<const Tensor> in) {
        const data::Window window{0, now - 3, 4, 0, 1};
        const Tensor screen =
            data::gather(dataset, std::span(&window, 1), {}, 4, Field::screen_2d_confidence);
        CHECK(std::ranges::equal(in[1].values<float>(), screen.values<float>()));
        for (int k = 0; k < 4; ++k) {
          const float* given = s.noisy_3d->frame(std::max(0, now - 3 + k));
          const float* seen = in[0].values<float>().data() + 51 * k;
          for (int i = 0; i < 51; ++i) CHECK(seen[i] == given[i] - given[i % 3]);
        }
        return in[0].clone();
      });
  PoseStream stream(network, 4, {}, s, {});
  for (; now < 7; ++now) push(stream, s, now);
}

TEST_CASE("through rays of a lens and back, and with the 1 Euro filter") {
  data::Sequence s = test::random_sequence("S/Walk/0", 12, 4);
  s.intrinsics = {900, 910, 510, 490, -0.1, 0.02, 0, 0, 0};
  s.up = {0.2, -0.9, 0.3};
  std::vector<float> seen;
  Inference network({Field::noisy}, Device::cpu, [&](std::span<const Tensor> in) {
    seen.assign(in[0].values<float>().begin(), in[0].values<float>().end());
    return in[0].clone();
  });
  const data::Convention rays{.normalisation = data::Normalisation::rays};
  PoseStream level(network, 5, rays, s, {.delay = 1, .filter = none()});
  const std::vector<Pose> same = streamed(level, s);
  data::Dataset last;
  last.sequences.push_back(s);
  last.sequences[0].pose_2d.values.erase(last.sequences[0].pose_2d.values.begin(),
                                         last.sequences[0].pose_2d.values.end() - 5 * 34);
  last.sequences[0].noisy_3d->values.erase(last.sequences[0].noisy_3d->values.begin(),
                                           last.sequences[0].noisy_3d->values.end() - 5 * 51);
  last.sequences[0].pose_3d.reset();
  const data::View view(last, rays, /*resample=*/false);
  const std::vector<float>& expected_3d = view.dataset().sequences[0].noisy_3d->values;
  REQUIRE(seen.size() == expected_3d.size());
  for (std::size_t i = 0; i < seen.size(); ++i) CHECK(std::fabs(seen[i] - expected_3d[i]) < 1e-6F);
  const data::Filter euro{.kind = data::FilterKind::one_euro};
  PoseStream smooth(network, 5, {}, s, {.delay = 2, .filter = euro});
  const std::vector<Pose> smoothed = streamed(smooth, s);
  const data::PoseArray expected = data::one_euro(*s.noisy_3d, 50, euro.one_euro);
  for (int f = 0; f < 12; ++f) {
    for (int i = 0; i < 51; ++i) {
      CHECK(std::fabs(same[std::size_t(f)][std::size_t(i)] - s.noisy_3d->frame(f)[i]) < 1e-5F);
      CHECK(smoothed[std::size_t(f)][std::size_t(i)] == doctest::Approx(expected.frame(f)[i]));
    }
  }
  s.intrinsics.reset();
  CHECK_MESSAGE_PARTS(PoseStream(network, 5, rays, s, {}), "intrinsics");
}

TEST_CASE("a missing joint stays where it was, and its results are NaN after half a second") {
  data::Sequence s = test::random_sequence("S/Walk/0", 20, 5);
  s.fps = 10;  // gaps of 5 frames are bridged
  s.fps_known = false;
  for (int f = 6; f < 14; ++f) s.noisy_3d->frame(f)[3 * 7 + 1] = kNan;
  for (int f = 7; f < 14; ++f) s.pose_2d.frame(f)[0] = kNan;
  for (int f = 8; f < 12; ++f) std::fill_n(s.pose_2d.frame(f) + 2 * 4, 2, 0.0F);
  std::vector<std::string> notes;
  std::vector<float> sure;
  Inference network({Field::noisy, Field::screen_2d_confidence}, Device::cpu,
                    [&](std::span<const Tensor> in) {
                      sure.push_back(in[1].values<float>()[std::size_t(3 * (2 * kJoints + 4) + 2)]);
                      return in[0].clone();
                    });
  PoseStream stream(network, 3, {}, s,
                    {.delay = 2, .filter = none(), .note = [&](const std::string& text) {
                       notes.push_back(text);
                     }});
  const std::vector<Pose> poses = streamed(stream, s);
  REQUIRE(poses.size() == 20);
  for (int f = 0; f < 20; ++f) {
    CAPTURE(f);
    const Pose& pose = poses[std::size_t(f)];
    CHECK(lost(pose) == (f < 11 || f >= 14 ? 0 : f == 11 ? 1 : 2));
    CHECK(is_lost(pose, 0) == (f >= 12 && f < 14));
    CHECK(is_lost(pose, 7) == (f >= 11 && f < 14));
    const float* held = s.noisy_3d->frame(f >= 6 && f < 11 ? 5 : f) + 3 * 7;
    if (f < 11) CHECK(pose[3 * 7 + 1] == doctest::Approx(held[1]));
    CHECK(pose[3 * 8] == doctest::Approx(s.noisy_3d->frame(f)[3 * 8]));
    CHECK(sure[std::size_t(f)] == (f >= 8 && f < 12 ? 0.0F : 1.0F));
  }
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].find("joint 7 (Spine) is missing in frame 6") != std::string::npos);
  CHECK(notes[0].find("after 5 frames") != std::string::npos);
}

TEST_CASE("a stream starts where all joints are there, and anew when all were missing") {
  data::Sequence s = test::random_sequence("S/Walk/0", 30, 6);
  s.fps = 10;
  for (int f = 0; f < 4; ++f) s.pose_2d.frame(f)[0] = kNan;
  for (int f = 12; f < 22; ++f) std::fill_n(s.noisy_3d->frame(f), 51, 0.0F);
  s.pose_2d.frame(22)[2 * 9] = kNan;
  int calls = 0;
  Inference network({Field::noisy}, Device::cpu, [&](std::span<const Tensor> in) {
    ++calls;
    return in[0].clone();
  });
  std::string note;
  PoseStream stream(
      network, 4, {}, s,
      {.delay = 3, .filter = none(), .note = [&](const std::string& text) { note += text; }});
  std::vector<Pose> poses;
  for (int f = 0; f < 30; ++f) {
    push(stream, s, f);
    for (const Pose& pose : pull_all(stream)) poses.push_back(pose);
    // Nothing waits for a person that is gone.
    if (f < 4 || (f >= 17 && f <= 22)) CHECK(static_cast<int>(poses.size()) == f + 1);
  }
  stream.finish();
  for (const Pose& pose : pull_all(stream)) poses.push_back(pose);
  REQUIRE(poses.size() == 30);
  for (int f = 0; f < 30; ++f) {
    CAPTURE(f);
    const bool gone = f < 4 || (f >= 17 && f <= 22);
    CHECK(lost(poses[std::size_t(f)]) == (gone ? kJoints : 0));
    const float* held = s.noisy_3d->frame(f >= 12 && f < 17 ? 11 : f);
    if (!gone) CHECK(poses[std::size_t(f)][30] == doctest::Approx(held[30]));
  }
  CHECK(calls == 30 - 4 - 6);
  CHECK(note.starts_with("joint 0 (Hip) is missing in frame 0:"));
  // After the end, too.
  CHECK(streamed(stream, test::random_sequence("S/Walk/0", 8, 7)).size() == 8);
}

TEST_CASE("the first N frames are examined, once and as they were given") {
  data::Sequence s = test::random_sequence("S/Walk/0", 12, 8);
  for (int i = 0; i < 51; ++i) s.noisy_3d->frame(2)[i] += 0.5F;
  Inference network = unchanged();
  int calls = 0;
  const auto examine = [&](const data::Dataset& first) {
    ++calls;
    REQUIRE(first.sequences.size() == 1);
    const data::Sequence& seen = first.sequences[0];
    CHECK(seen.frames() == 6);
    CHECK(seen.image_size == s.image_size);
    CHECK(seen.name == s.name);
    CHECK(seen.fps == s.fps);
    CHECK(seen.fps_known == s.fps_known);
    CHECK(std::equal(seen.noisy_3d->values.begin(), seen.noisy_3d->values.end(),
                     s.noisy_3d->values.begin()));
    CHECK(std::equal(seen.pose_2d.values.begin(), seen.pose_2d.values.end(),
                     s.pose_2d.values.begin()));
  };
  s.fps = 60;
  s.fps_known = false;
  PoseStream stream(network, 6, {}, s, {.examine = examine});
  CHECK(streamed(stream, s).size() == 12);
  CHECK(calls == 1);
  PoseStream refusing(network, 6, {}, s,
                      {.examine = [](const data::Dataset&) { throw Error("millimetres"); }});
  for (int f = 0; f < 5; ++f) push(refusing, s, f);
  CHECK_MESSAGE_PARTS(push(refusing, s, 5), "millimetres");
  // It has forgotten them, and examines again.
  push(refusing, s, 0);
  CHECK_MESSAGE_PARTS(refusing.finish(), "millimetres");
  refusing.finish();
  CHECK(pull_all(refusing).size() == 2);  // of the first five
}

TEST_CASE("what a stream cannot be or be given is refused") {
  data::Sequence s = test::random_sequence("S/Walk/0", 4, 9);
  Inference network = unchanged();
  CHECK_MESSAGE_PARTS(PoseStream(network, 5, {}, s, {.delay = -1}), "a delay of -1 frames");
  CHECK_MESSAGE_PARTS(PoseStream(network, 5, {}, s, {.filter = {.window = 4}}),
                      "odd number of frames");
  CHECK_MESSAGE_PARTS(PoseStream(network, 5, {.fps = 25}, s, {}), "50 frames a second",
                      "trained at 25");
  PoseStream(network, 5, {.fps = 25}, s, {.keep_rate = true});
  CHECK_MESSAGE_PARTS(PoseStream(network, 5, {.fps = 1}, s, {}), "trained at 1;");
  s.fps = 51.01F;
  CHECK_MESSAGE_PARTS(PoseStream(network, 5, {.fps = 50}, s, {}), "51.01 frames a second");
  s.fps_known = false;
  PoseStream stream(network, 5, {.fps = 25}, s, {.delay = 0, .filter = none()});
  const std::span<const float> pose_2d(s.pose_2d.frame(0), 34);
  const std::span<const float> noisy(s.noisy_3d->frame(0), 51);
  std::vector<float> sure(17, 1.0F);
  sure[0] = -0.5F;
  CHECK_MESSAGE_PARTS(stream.push(pose_2d, noisy, sure), "confidence -0.5 of joint 0");
  sure[0] = 0;
  sure[3] = 1.5F;
  CHECK_MESSAGE_PARTS(stream.push(pose_2d, noisy, sure), "confidence 1.5 of joint 3");
  sure.resize(16);
  CHECK_MESSAGE_PARTS(stream.push(pose_2d, noisy, sure), "34, 51 and 16 numbers");
  CHECK_MESSAGE_PARTS(stream.push(noisy, noisy), "51, 51 and 0 numbers");
  CHECK_MESSAGE_PARTS(stream.push(pose_2d, pose_2d), "34, 34 and 0 numbers");
  stream.push(pose_2d, noisy);
  sure.assign(17, 0.0F);
  stream.push(pose_2d, noisy, sure);
  CHECK(pull_all(stream).size() == 2);
  s.image_size = {1, 1};
  PoseStream(network, 5, {}, s, {});
  s.image_size = {1000, 0};
  CHECK_MESSAGE_PARTS(PoseStream(network, 5, {}, s, {}), "1000 x 0 pixels");
  s.image_size = {1000, 1000};
  Inference wild({Field::noisy}, Device::cpu, [](std::span<const Tensor> in) {
    const Tensor out = in[0].clone();
    out.values<float>()[3 * 12 + 1] = std::numeric_limits<float>::infinity();
    return out;
  });
  PoseStream unusable(wild, 1, {}, s, {});
  CHECK_MESSAGE_PARTS(unusable.push(pose_2d, noisy), "result is inf", "frame 0, joint 12");
}

TEST_CASE("how sure a result is: the windows so far, by the mean of their logarithms") {
  const int frames = 5;
  const int total = 14;
  const data::Sequence s = test::random_sequence("S/Walk/0", total, 10);
  for (const int delay : {0, 2, 6}) {
    for (const data::Filter& filter : {none(), data::Filter{.window = 5, .degree = 2}}) {
      CAPTURE(delay);
      Inference network = test::knowing();
      PoseStream stream(network, frames, {}, s, {.delay = delay, .filter = filter});
      for (int f = 0; f < total; ++f) push(stream, s, f);
      stream.finish();
      const auto stds = pull_stds(stream);
      REQUIRE(stds.size() == std::size_t(total));
      for (int f = 0; f < total; ++f) {
        const auto& std = stds[std::size_t(f)];
        REQUIRE(std);
        const int last = std::min({f + delay, total - 1, f + frames - 1});
        for (int i = 0; i < 51; ++i) {
          double sum = 0;
          for (int end = f; end <= last; ++end) {
            sum += test::log_std_of(s.noisy_3d->frame(f)[i], i, frames - 1 - (end - f));
          }
          const double expected = i < 3 ? 0 : std::exp(sum / (last - f + 1));
          CHECK((*std)[std::size_t(i)] == doctest::Approx(expected).epsilon(1e-5));
        }
      }
    }
  }
  Inference network = unchanged();
  PoseStream stream(network, frames, {}, s, {.delay = 0});
  push(stream, s, 0);
  CHECK(pull_all(stream).size() == 1);
  CHECK(!stream.std());
}

TEST_CASE("nobody knows how sure a result is that is missing") {
  data::Sequence s = test::random_sequence("S/Walk/0", 30, 11);
  s.fps = 10;
  s.pose_2d.frame(0)[9] = kNan;  // so nothing starts before frame 1
  for (int f = 6; f < 14; ++f) s.noisy_3d->frame(f)[3 * 7] = kNan;
  for (int f = 8; f < 14; ++f) s.noisy_3d->frame(f)[3 * 16] = kNan;
  Inference network = test::knowing();
  PoseStream stream(network, 3, {}, s, {.delay = 2, .filter = none()});
  for (int f = 0; f < 30; ++f) push(stream, s, f);
  stream.finish();
  for (int f = 0; f < 30; ++f) {
    const auto pose = stream.pull();
    REQUIRE(pose);
    const auto& std = stream.std();
    CAPTURE(f);
    CHECK(std.has_value() == (f > 0));
    if (!std) continue;
    for (int i = 0; i < 51; ++i) {
      CHECK(std::isnan((*std)[std::size_t(i)]) == std::isnan((*pose)[std::size_t(i)]));
    }
    CHECK(lost(*std) == (f >= 13 && f < 14 ? 2 : f >= 11 && f < 14 ? 1 : 0));
  }
}

TEST_CASE("a clip that has ended, and one that failed, leave nothing to the next") {
  data::Sequence s = test::random_sequence("S/Walk/0", 16, 12);
  s.fps = 10;
  s.confidence.emplace(std::size_t(16) * kJoints);
  for (std::size_t i = 0; i < s.confidence->size(); ++i) {
    (*s.confidence)[i] = static_cast<float>(i % 101) / 100;
  }
  data::Sequence other = test::random_sequence("S/Walk/0", 11, 13);
  other.fps = 10;
  other.confidence.emplace(std::size_t(11) * kJoints, 0.5F);
  for (int f = 8; f < 11; ++f) other.pose_2d.frame(f)[3] = kNan;
  other.pose_2d.frame(0)[3] = kNan;  // it starts with frame 1
  for (const data::Filter& filter :
       {data::Filter{.window = 7, .degree = 2}, data::Filter{.kind = data::FilterKind::one_euro}}) {
    std::vector<float> seen;
    bool broken = false;
    Inference network(
        {Field::noisy, Field::screen_2d_confidence}, Device::cpu, [&](std::span<const Tensor> in) {
          for (const Tensor& t : in) {
            seen.insert(seen.end(), t.values<float>().begin(), t.values<float>().end());
          }
          Tensor out = in[0].clone();
          if (broken) out.values<float>()[100] = kNan;
          return out;
        });
    const auto through = [&](PoseStream& stream) {
      seen.clear();
      return streamed(stream, s);
    };
    const PoseStream::Options options{.delay = 2, .filter = filter};
    PoseStream fresh(network, 4, {}, s, options);
    const std::vector<Pose> expected = through(fresh);
    const std::vector<float> inputs = seen;
    for (int f = 0; f < 16; ++f) {
      for (const float x : expected[std::size_t(f)]) CHECK(std::isfinite(x));
    }
    PoseStream stream(network, 4, {}, s, options);
    streamed(stream, other);
    CHECK(through(stream) == expected);
    CHECK(seen == inputs);

    for (int f = 0; f < 7; ++f) push(stream, other, f);
    pull_all(stream);
    broken = true;
    CHECK_MESSAGE_PARTS(push(stream, other, 7), "result is nan", "frame 34, joint 16");
    broken = false;
    CHECK(through(stream) == expected);
    CHECK(seen == inputs);
  }
}

TEST_CASE("half of a joint is no joint, and nobody has to be told") {
  data::Sequence s = test::random_sequence("S/Walk/0", 4, 14);
  s.pose_2d.frame(1)[2 * 5 + 1] = kNan;
  s.pose_2d.frame(2)[2 * 5] = kNan;
  s.noisy_3d->frame(2)[3 * 9 + 2] = kNan;
  std::vector<std::vector<float>> seen;
  Inference network({Field::noisy, Field::screen_2d_confidence}, Device::cpu,
                    [&](std::span<const Tensor> in) {
                      for (const Tensor& t : in) {
                        const std::span<const float> values = t.values<float>();
                        seen.emplace_back(values.begin(), values.end());
                      }
                      return in[0].clone();
                    });
  PoseStream stream(network, 1, {}, s, {.delay = 0, .filter = none()});
  streamed(stream, s);
  REQUIRE(seen.size() == 8);
  for (int f = 0; f < 4; ++f) {
    const std::vector<float>& noisy = seen[std::size_t(2 * f)];
    const std::vector<float>& screen = seen[std::size_t(2 * f + 1)];
    // Where they were last.
    CHECK(noisy[3 * 9] == s.noisy_3d->frame(f == 2 ? 1 : f)[3 * 9]);
    const std::vector<float>& first = seen[1];
    for (const std::size_t at : {3 * 5, 3 * 5 + 1}) {
      CHECK((screen[at] == first[at]) == (f < 3));
    }
    CHECK(screen[3 * 5 + 2] == (f == 1 || f == 2 ? 0.0F : 1.0F));
    // Its neighbours are there.
    for (const std::size_t j : {4, 6}) CHECK(screen[3 * j + 2] == 1);
    for (const float x : screen) CHECK(std::isfinite(x));
  }
}

TEST_CASE("frames of another rate that are kept go to the network as they are") {
  const data::Sequence s = test::random_sequence("S/Walk/0", 9, 15);
  Inference network = moving();
  const PoseStream::Options options{.delay = 1, .keep_rate = true, .filter = none()};
  PoseStream plain(network, 4, {}, s, options);
  PoseStream kept(network, 4, {.fps = 25}, s, options);
  CHECK(streamed(kept, s) == streamed(plain, s));
}

TEST_CASE("how sure a result is, turned back from a level camera") {
  data::Sequence s = test::random_sequence("S/Walk/0", 6, 16);
  s.intrinsics = {900, 910, 510, 490, 0, 0, 0, 0, 0};
  s.up = {0, -0.6, 0.8};
  // As sure in each direction: turning changes nothing.
  Inference network({Field::noisy}, Device::cpu, [](std::span<const Tensor> in) {
    return with_log_std(in[0].clone(), Tensor::full(in[0].shape(), -3.0, DType::f32));
  });
  const data::Convention rays{.normalisation = data::Normalisation::rays};
  PoseStream stream(network, 3, rays, s, {.delay = 1, .filter = none()});
  for (int f = 0; f < 6; ++f) push(stream, s, f);
  const auto stds = pull_stds(stream);
  REQUIRE(stds.size() == 5);
  for (const auto& std : stds) {
    REQUIRE(std);
    for (std::size_t i = 3; i < 51; ++i) {
      CHECK((*std)[i] == doctest::Approx(std::exp(-3.0)).epsilon(1e-5));
    }
  }
}
