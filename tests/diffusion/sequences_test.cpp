// Networks at work on sequences: what they are given, and what becomes of their answers.
#include "diffusion/sequences.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/data/files.hpp"
#include "tests/data/poses.hpp"

using namespace posetape;
using namespace posetape::diffusion;
using data::Field;

namespace {

// Sequences S0, S1, ... of these lengths.
data::Dataset dataset_of(const std::vector<int>& frames) {
  data::Dataset dataset;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    dataset.sequences.push_back(
        test::random_sequence(fmt::format("S{}/Walk/0", i), frames[i], 10 * i));
  }
  return dataset;
}

// A network that answers with the estimate it is given, moved at one joint.
Inference moving(int joint, float x, float y, float z = 0) {
  return {{Field::noisy}, Device::cpu, [=](std::span<const Tensor> in) {
            const Tensor out = in[0].clone();
            const std::span<float> values = out.values<float>();
            for (std::size_t at = 3 * static_cast<std::size_t>(joint); at < values.size();
                 at += 3 * data::kJoints) {
              values[at] += x;
              values[at + 1] += y;
              values[at + 2] += z;
            }
            return out;
          }};
}

Inference unchanged() {
  return moving(0, 0, 0);
}

Refiner small_refiner(int frames) {
  RefinerConfig config;
  config.network = {8, 1, 2, 2, true};
  config.frames = frames;
  ConditionalNoise noise;
  noise.mu_a = Tensor::zeros({51}, DType::f64);
  noise.mu_b = Tensor::zeros({85}, DType::f64);
  noise.gain = Tensor::zeros({51, 85}, DType::f64);
  noise.factor = Tensor::full({51, 1}, 0.01, DType::f64);
  noise.sigma = Tensor::zeros({51, 51}, DType::f64);
  noise.eigenvalues = Tensor::zeros({51}, DType::f64);
  return {
      config, noise, {std::vector<double>(51, 0.0), std::vector<double>(51, 0.1)}, DType::f32, 1};
}

}  // namespace

TEST_CASE("a network is given the fields that it asks for, in its order and in batches") {
  const data::Dataset dataset = dataset_of({11, 4});
  const std::vector<int> both{1, 0};
  const data::WindowCut cut{.frames = 5, .stride = 3};
  const auto windows = data::make_windows(dataset, both, cut);
  REQUIRE(windows.size() == 4);
  std::size_t next = 0;
  Inference network({Field::truth, Field::screen_2d, Field::noisy}, Device::cpu,
                    [&](std::span<const Tensor> in) {
                      const std::size_t count = std::min<std::size_t>(3, windows.size() - next);
                      const auto part = std::span(windows).subspan(next, count);
                      next += count;
                      const std::vector<Field> order{Field::truth, Field::screen_2d, Field::noisy};
                      REQUIRE(in.size() == order.size());
                      for (std::size_t i = 0; i < order.size(); ++i) {
                        const Tensor expected = data::gather(dataset, part, {}, 5, order[i]);
                        CHECK(in[i].shape() == expected.shape());
                        CHECK(std::ranges::equal(in[i].values<float>(), expected.values<float>()));
                      }
                      return in[2].clone();
                    });
  std::vector<double> progress;
  network(dataset, both,
          {.windows = cut, .batch = 3, .on_frames = [&](double f) { progress.push_back(f); }});
  CHECK(next == 4);
  CHECK(progress == std::vector<double>{15 * 3 / 4.0, 15 / 4.0});
}

TEST_CASE("a network is asked as often as there are batches, the last of them full or not") {
  const data::Dataset dataset = dataset_of({20});
  const std::vector<int> all{0};
  for (const auto& [batch, counts] :
       {std::pair{1, std::vector<Index>{1, 1, 1, 1}}, std::pair{2, std::vector<Index>{2, 2}},
        std::pair{3, std::vector<Index>{3, 1}}, std::pair{4, std::vector<Index>{4}},
        std::pair{5, std::vector<Index>{4}}}) {
    std::vector<Index> asked;
    Inference network({Field::noisy}, Device::cpu, [&](std::span<const Tensor> in) {
      asked.push_back(in[0].shape()[0]);
      return in[0].clone();
    });
    std::size_t heard = 0;
    network(dataset, all,
            {.windows = data::disjoint(5), .batch = batch, .on_frames = [&](double) { ++heard; }});
    CHECK(asked == counts);
    CHECK(heard == counts.size());
  }
}

TEST_CASE("a network that changes nothing gives back every frame, for any windows and batch") {
  const data::Dataset dataset = dataset_of({11, 4, 20});
  const std::vector<int> some{2, 0};
  for (const data::WindowCut& cut :
       {data::disjoint(5), data::disjoint(5, 2), data::WindowCut{.frames = 5, .stride = 2},
        data::WindowCut{data::WindowRule::centre_frame, 5, 1, 3}}) {
    for (const int batch : {1, 3, 100}) {
      Inference network = unchanged();
      const auto result = network(dataset, some, {.windows = cut, .batch = batch});
      REQUIRE(result.poses.size() == 2);
      REQUIRE(result.last_windows.size() == 2);
      for (std::size_t i = 0; i < 2; ++i) {
        const auto& s = dataset.sequences[static_cast<std::size_t>(some[i])];
        CHECK(result.poses[i].channels == 3);
        CHECK(result.poses[i].values == s.noisy_3d->values);
        CHECK(!result.last_windows[i]);
      }
    }
  }
}

TEST_CASE("how sure a network is: merged as poses are, of mirror images with the sides changed") {
  const data::Dataset dataset = dataset_of({11});
  const std::vector<int> all{0};
  // log sigma is a number for each joint and coordinate, and larger by one in each later window.
  float later = 0;
  const auto log_std = [](int joint, int c) { return 0.1f * static_cast<float>(joint + c); };
  Inference network({Field::noisy}, Device::cpu, [&](std::span<const Tensor> in) {
    const Tensor out = Tensor::empty(in[0].shape(), DType::f32);
    for (Index i = 0; i < out.size(); ++i) {
      out.data<float>()[i] = log_std(static_cast<int>(i / 3 % 17), static_cast<int>(i % 3)) + later;
    }
    later += 1;
    return with_log_std(in[0], out);
  });
  const auto result = network(dataset, all, {.windows = data::disjoint(8), .batch = 1});
  CHECK(result.poses[0].values == dataset.sequences[0].noisy_3d->values);
  REQUIRE(result.std.size() == 1);
  for (int f = 0; f < 11; ++f) {
    const float* std = result.std[0].frame(f);
    CHECK(std[0] == 0);
    CHECK(std[2] == 0);
    // The last window ends with the clip; the one before owns what both have.
    CHECK(std[13] == std::exp(log_std(4, 1) + (f < 8 ? 0.0f : 1.0f)));
  }
  later = 0;
  const auto mirrored =
      network(dataset, all, {.windows = data::disjoint(11), .flip_average = true});
  // The mean of the logarithms of a left joint and, a call later, of the right one.
  CHECK(mirrored.std[0].frame(5)[12] ==
        doctest::Approx(std::exp((log_std(4, 0) + log_std(1, 0) + 1) / 2)));
  CHECK(mirrored.std[0].frame(5)[3] == mirrored.std[0].frame(5)[12]);
  CHECK(unchanged()(dataset, all, {.windows = data::disjoint(8)}).std.empty());

  // Of three windows in one batch each has its own.
  Inference same({Field::noisy}, Device::cpu,
                 [](std::span<const Tensor> in) { return with_log_std(in[0], in[0]); });
  const auto several = same(dataset, all, {.windows = data::disjoint(4)});
  for (int f = 0; f < 11; ++f) {
    const float* estimate = dataset.sequences[0].noisy_3d->frame(f);
    for (int i = 3; i < 51; ++i) {
      CHECK(several.std[0].frame(f)[i] == doctest::Approx(std::exp(estimate[i])));
    }
  }
}

TEST_CASE("the root is zero, or as the network gives it") {
  const data::Dataset dataset = dataset_of({7});
  const std::vector<int> all{0};
  Inference network = moving(0, 0.5f, 0.25f, 0.125f);
  const auto zero = network(dataset, all, {.windows = data::disjoint(5)});
  CHECK(zero.poses[0].values == dataset.sequences[0].noisy_3d->values);
  const auto given =
      network(dataset, all, {.windows = data::disjoint(5), .root = data::RootRule::as_estimated});
  for (int f = 0; f < 7; ++f) {
    const float* pose = given.poses[0].frame(f);
    CHECK(pose[0] == 0.5f);
    CHECK(pose[1] == 0.25f);
    CHECK(pose[2] == 0.125f);
    CHECK(std::equal(pose + 3, pose + 51, zero.poses[0].frame(f) + 3));
  }
}

TEST_CASE("averaged with the mirror image, both sides move alike") {
  const data::Dataset dataset = dataset_of({9});
  const data::PoseArray& noisy = *dataset.sequences[0].noisy_3d;
  Inference upwards = moving(1, 0, 0.5f);  // the right hip, whose other side is joint 4
  Inference sideways = moving(3, 0.5f, 0);
  const std::vector<int> all{0};
  const Inference::Options mirrored{.windows = data::disjoint(4), .flip_average = true};
  const auto up = upwards(dataset, all, mirrored);
  const auto aside = sideways(dataset, all, mirrored);
  for (int f = 0; f < 9; ++f) {
    for (int j = 0; j < data::kJoints; ++j) {
      const float* from = noisy.frame(f) + 3 * j;
      const float* to = up.poses[0].frame(f) + 3 * j;
      const float half = j == 1 || j == 4 ? 0.25f : 0;
      CHECK(to[0] == doctest::Approx(from[0]));
      CHECK(to[1] == doctest::Approx(from[1] + half));
      CHECK(to[2] == doctest::Approx(from[2]));
      const float outwards = j == 3 ? 0.25f : j == 6 ? -0.25f : 0;
      CHECK(aside.poses[0].frame(f)[3 * j] == doctest::Approx(from[0] + outwards));
    }
  }
}

TEST_CASE("the last window is kept whole where it shares frames or is padded") {
  const data::Dataset dataset = dataset_of({10, 12, 3});
  const std::vector<int> order{2, 0, 1};
  Inference network = unchanged();
  const auto result =
      network(dataset, order, {.windows = data::disjoint(5), .batch = 2, .last_windows = true});
  REQUIRE(result.last_windows.size() == 3);
  CHECK(!result.last_windows[1]);
  const auto last = [&](std::size_t i) { return *result.last_windows[i]; };
  REQUIRE(result.last_windows[0]);
  REQUIRE(result.last_windows[2]);
  for (int k = 0; k < 5; ++k) {
    const float* padded = dataset.sequences[2].noisy_3d->frame(std::min(k, 2));
    const float* shared = dataset.sequences[1].noisy_3d->frame(7 + k);
    CHECK(std::equal(padded, padded + 51, last(0).frame(k)));
    CHECK(std::equal(shared, shared + 51, last(2).frame(k)));
  }
  CHECK(last(0).frames() == 5);
  CHECK(last(0).channels == 3);
}

TEST_CASE("a refiner refines sequences as it refines their windows") {
  const data::Dataset dataset = dataset_of({10});
  const Refiner refiner = small_refiner(5);
  Inference refine = refining(refiner, 3);
  const std::vector<int> all{0};
  const auto windows = data::make_windows(dataset, all, 5);
  const Tensor expected =
      refiner.refine(data::gather(dataset, windows, {}, 5, Field::noisy),
                     data::gather(dataset, windows, {}, 5, Field::screen_2d), 3);
  const auto result = refine(dataset, all, {.windows = data::disjoint(5)});
  CHECK(std::ranges::equal(result.poses[0].values, expected.values<float>()));
  CHECK(std::ranges::equal(refine.batch(dataset, windows, 5).poses.values<float>(),
                           expected.values<float>()));
}

TEST_CASE("a sequence without a field is named, and so is a result that is not finite") {
  data::Dataset dataset = dataset_of({6, 6});
  const std::vector<int> all{0, 1};
  std::vector<data::PoseArray> poses{*dataset.sequences[0].noisy_3d,
                                     *dataset.sequences[1].noisy_3d};
  check_finite(dataset, all, poses, "a.safetensors");
  poses[1].frame(4)[3 * 7 + 2] = std::numeric_limits<float>::infinity();
  poses[1].frame(5)[0] = std::nanf("");
  CHECK_MESSAGE_PARTS(check_finite(dataset, all, poses, "a.safetensors"),
                      "a.safetensors: its result is inf in sequence S1/Walk/0, frame 4, joint 7");
  poses[0].frame(2)[3 * 16] = -std::numeric_limits<float>::infinity();
  CHECK_MESSAGE_PARTS(check_finite(dataset, all, poses, "a.safetensors"),
                      "its result is -inf in sequence S0/Walk/0, frame 2, joint 16");
  dataset.sequences[1].noisy_3d.reset();
  Inference network = unchanged();
  CHECK_MESSAGE_PARTS(network(dataset, all, {.windows = data::disjoint(3)}),
                      "sequence 'S1/Walk/0' has no 'noisy_3d'", "posetape lift");
  CHECK_MESSAGE_PARTS(network(dataset, all, {.windows = data::disjoint(3), .batch = 0}),
                      "0 windows at a time");
}

TEST_CASE("what lifters and smoothers are given") {
  const auto fields = [](const model::NetworkRule& rule, Index confidence, Index estimate) {
    model::NetworkConfig config = model::released_config(rule);
    for (std::size_t i = 0; i < config.sizes.size(); ++i) {
      const std::string_view key = rule.sizes[i].key;
      if (key == model::kConfidence.key) config.sizes[i] = confidence;
      if (key == model::kEstimate.key) config.sizes[i] = estimate;
    }
    return fields_of(config);
  };
  const model::NetworkRule& lifter = model::mixste_network;
  CHECK(fields(lifter, 0, 0) == std::vector{Field::screen_2d});
  CHECK(fields(lifter, 1, 0) == std::vector{Field::screen_2d_confidence});
  CHECK(fields(lifter, 0, 1) == std::vector{Field::screen_2d, Field::noisy});
  CHECK(fields(lifter, 1, 1) == std::vector{Field::screen_2d_confidence, Field::noisy});
  CHECK(fields(model::smoothnet_network, 0, 0) == std::vector{Field::noisy});
}

TEST_CASE("rows of the conditional noise: errors, and what they depend on") {
  const data::Dataset dataset = dataset_of({3, 5});
  const NoiseSequence rows = noise_rows(dataset, 1);
  REQUIRE(rows.a.size() == 5 * 51);
  REQUIRE(rows.b.size() == 5 * 85);
  const data::Sequence& s = dataset.sequences[1];
  for (int f = 0; f < 5; ++f) {
    const float* truth = s.pose_3d->frame(f);
    const float* noisy = s.noisy_3d->frame(f);
    for (int i = 0; i < 51; ++i) {
      const auto at = static_cast<std::size_t>(f * 51 + i);
      CHECK(rows.a[at] == double{noisy[i]} - (truth[i] - truth[i % 3]));
      CHECK(rows.b[static_cast<std::size_t>(f * 85 + 34 + i)] == noisy[i]);
    }
    // Pixels of an image of 1000 x 1002.
    for (int j = 0; j < 17; ++j) {
      const auto at = static_cast<std::size_t>(f * 85 + 2 * j);
      const float* pixel = s.pose_2d.frame(f) + 2 * j;
      CHECK(rows.b[at] == doctest::Approx(pixel[0] / 500.0 - 1));
      CHECK(rows.b[at + 1] == doctest::Approx(pixel[1] / 500.0 - 1.002));
    }
  }
}

TEST_CASE("clips that are made to fit a network have results that fit the clips") {
  data::Dataset dataset = dataset_of({41});
  data::Sequence& s = dataset.sequences[0];
  s.fps = 25;
  s.intrinsics = {900, 910, 510, 490, -0.1, 0.02, 0, 0, 0};
  s.up = {0.2, -0.9, 0.3};
  const std::vector<int> all{0};
  const auto difference = [&](const data::Convention& convention) {
    const data::View view(dataset, convention, /*resample=*/true);
    Inference network = unchanged();
    const auto result = network(view, all, {.windows = data::seamless(9)});
    REQUIRE(result.poses[0].values.size() == s.noisy_3d->values.size());
    float worst = 0;
    for (std::size_t i = 0; i < result.poses[0].values.size(); ++i) {
      worst = std::max(worst, std::fabs(result.poses[0].values[i] - s.noisy_3d->values[i]));
    }
    return worst;
  };
  // Turned into a level camera's space, and back.
  CHECK(difference({.normalisation = data::Normalisation::rays}) < 1e-6F);
  // At twice the rate the frames of the clip are among the network's.
  CHECK(difference({.fps = 50}) < 1e-6F);
  CHECK(difference({.normalisation = data::Normalisation::rays, .fps = 50}) < 1e-6F);
  // What the network itself sees is another pose, at other times.
  const data::View view(dataset, {.normalisation = data::Normalisation::rays, .fps = 50}, true);
  CHECK(view.dataset().sequences[0].frames() == 81);
  CHECK(view.resampled() == 1);
  CHECK(std::fabs(view.dataset().sequences[0].noisy_3d->values[5] - s.noisy_3d->values[5]) > 1e-3F);
}

TEST_CASE("last windows and deviations come back in the space of their own clip's camera") {
  data::Dataset dataset = dataset_of({11, 3});
  for (data::Sequence& s : dataset.sequences) s.intrinsics = {900, 910, 510, 490, 0, 0, 0, 0, 0};
  dataset.sequences[0].up = {0.2, -0.9, 0.3};
  dataset.sequences[1].up = {-0.3, -0.8, -0.1};
  const data::View view(dataset, {.normalisation = data::Normalisation::rays}, false);
  // sigma is 0.1, 0.2 and 0.4 along the axes that the network sees.
  Inference network({Field::noisy}, Device::cpu, [](std::span<const Tensor> in) {
    const Tensor out = Tensor::empty(in[0].shape(), DType::f32);
    for (Index i = 0; i < out.size(); ++i) {
      out.data<float>()[i] = std::log(0.1f * static_cast<float>(1 << i % 3));
    }
    return with_log_std(in[0], out);
  });
  const std::vector<int> order{1, 0};
  const auto result =
      network(view, order, {.windows = data::disjoint(5), .batch = 2, .last_windows = true});
  REQUIRE(result.poses.size() == 2);
  REQUIRE(result.std.size() == 2);
  CHECK((*view.rotation(0) - *view.rotation(1)).norm() > 0.1);
  for (std::size_t i = 0; i < 2; ++i) {
    const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(order[i])];
    REQUIRE(result.last_windows[i]);
    REQUIRE(result.last_windows[i]->frames() == 5);
    for (int k = 0; k < 5; ++k) {
      const float* estimate = s.noisy_3d->frame(s.frames() == 3 ? std::min(k, 2) : 6 + k);
      for (int c = 0; c < 51; ++c) {
        CHECK(result.last_windows[i]->frame(k)[c] ==
              doctest::Approx(estimate[c]).epsilon(1e-5).scale(1));
      }
    }
    // The variance along an axis of the clip's camera is that of the axes which it is made of.
    const Eigen::Matrix3d turn = *view.rotation(order[i]);
    REQUIRE(result.std[i].frames() == s.frames());
    for (int c = 0; c < 3; ++c) {
      double variance = 0;
      for (int k = 0; k < 3; ++k) variance += std::pow(turn(k, c) * 0.1 * (1 << k), 2);
      for (int f = 0; f < s.frames(); ++f) {
        CHECK(result.std[i].frame(f)[3 * 7 + c] == doctest::Approx(std::sqrt(variance)));
        CHECK(result.std[i].frame(f)[c] == 0);
      }
    }
  }
}
