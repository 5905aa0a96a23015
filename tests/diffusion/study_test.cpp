// What parts of a refiner are worth, against passes that are made by hand.
#include "diffusion/study.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>

#include "data/batches.hpp"
#include "data/evaluation.hpp"
#include "diffusion/sequences.hpp"
#include "engine/taps.hpp"
#include "tests/data/poses.hpp"
#include "tests/diffusion/reference.hpp"

using namespace posetape;
using namespace posetape::diffusion;

namespace {

constexpr int kFrames = 4;
constexpr std::size_t kPose = 51;

struct Subject {
  // 10 frames: windows of four from 0, 4 and, with two frames of the one before, 6.
  explicit Subject(Objective objective = Objective::diffusion, int frames = 10,
                   int window = kFrames) {
    dataset.sequences.push_back(test::random_sequence("S1/Walk/0", frames, 3));
    RefinerConfig config;
    config.network = {8, 2, 2, 2, objective == Objective::diffusion};
    config.frames = window;
    config.objective = objective;
    const auto fit = ConditionalNoise::fit(51, 85, 1, [&](Index) {
      return noise_rows(data::Dataset{{test::random_sequence("S2/Walk/0", 200, 5)}, {}, {}}, 0);
    });
    std::vector<double> shift(kPose, 0.01);
    refiner.emplace(config, fit, ErrorScale{shift, std::vector<double>(kPose, 0.1)}, DType::f32, 7);
    const std::vector<int> all{0};
    study.emplace(*refiner, dataset, data::make_windows(dataset, all, window), 2, 2);
  }
  data::Dataset dataset;
  std::optional<Refiner> refiner;
  std::optional<Study> study;
};

double mean(const data::JointErrors& errors) {
  return std::accumulate(errors.begin(), errors.end(), 0.0) / 17;
}

}  // namespace

TEST_CASE("a study's errors are those of the refined poses") {
  Subject s;
  const std::vector<int> all{0};
  Inference::Options options;
  options.windows = data::disjoint(kFrames);
  const auto refined = refining(*s.refiner, 2)(s.dataset, all, options);
  const data::JointErrors errors = s.study->errors();
  CHECK(mean(errors) == doctest::Approx(data::mpjpe(s.dataset, all, refined.poses)));
  CHECK(errors[0] == 0);
  CHECK(s.study->timesteps() == std::vector{50, 25});
  CHECK(Subject(Objective::regression).study->timesteps() == std::vector{0});
  s.dataset.sequences[0].pose_3d.reset();
  CHECK_THROWS_WITH_AS(s.study->errors(), doctest::Contains("S1/Walk/0 has no pose_3d"), Error);
}

TEST_CASE("a study is of any sequence, in batches of any size") {
  Subject s;
  s.dataset.sequences.push_back(test::random_sequence("S3/Sit/0", 9, 8));
  s.dataset.sequences.push_back(test::random_sequence("S3/Wave/0", 4, 9));
  // Windows from 0, 4 and 5; and a single one.
  for (const auto& [sequence, count] : {std::pair{1, 3}, std::pair{2, 1}}) {
    const std::vector<int> one{sequence};
    Inference::Options options;
    options.windows = data::disjoint(kFrames);
    const auto refined = refining(*s.refiner, 2)(s.dataset, one, options);
    const double expected = data::mpjpe(s.dataset, one, refined.poses);
    for (const int batch : {1, 2, 3, 4}) {
      const auto windows = data::make_windows(s.dataset, one, kFrames);
      const Study study(*s.refiner, s.dataset, windows, 2, batch);
      CHECK(study.sequence().name == s.dataset.sequences[static_cast<std::size_t>(sequence)].name);
      CHECK(mean(study.errors()) == doctest::Approx(expected));
      std::vector<int> starts;
      int batches = 0;
      study.refine([&](std::span<const data::Window> part, const Tensor& poses) {
        ++batches;
        CHECK(part.data() == study.now().data());
        CHECK(poses.shape()[0] == static_cast<Index>(part.size()));
        for (const data::Window& w : part) starts.push_back(w.start);
      });
      CHECK(batches == (count + batch - 1) / batch);
      CHECK(starts == (count == 3 ? std::vector{0, 4, 5} : std::vector{0}));
    }
    const auto none = [&](std::vector<data::Window> windows, int batch) {
      return Study(*s.refiner, s.dataset, std::move(windows), 2, batch);
    };
    CHECK_THROWS_WITH_AS(none(data::make_windows(s.dataset, one, kFrames), 0),
                         "study: 0 windows at a time; take one or more", Error);
    CHECK_THROWS_WITH_AS(none({}, 1), "study: no windows", Error);
  }
}

TEST_CASE("parts are named after what they are, each with its taps") {
  using Named = std::map<std::string, std::vector<std::string>>;
  const auto named = [](bool timestep) {
    Named all;
    for (const Part& p : parts({8, 1, 1, 2, timestep})) all[p.name] = p.taps;
    return all;
  };
  Named expected;
  for (const char* stc : {"blocks.0.stc1", "blocks.0.stc2"}) {
    for (const char* axis : {"space", "time"}) {
      expected[fmt::format("{}.{}.head0", stc, axis)] = {
          fmt::format("{}.{}.attention.head0", stc, axis)};
    }
    expected[stc] = {fmt::format("{}.proj", stc)};
  }
  expected["blocks.0.mlp"] = {"blocks.0.mlp.fc2"};
  expected["blocks.0"] = {"blocks.0.stc1.proj", "blocks.0.stc2.proj", "blocks.0.mlp.fc2"};
  CHECK(named(false) == expected);
  expected["blocks.0.temb"] = {"blocks.0.temb"};
  expected["blocks.0"].push_back("blocks.0.temb");
  CHECK(named(true) == expected);

  const Subject s;
  CHECK_THROWS_WITH_AS(ablate(*s.study, {{"none", {"blocks.7.mlp.fc2"}}}, Substitute::zero),
                       doctest::Contains("patch blocks.7.mlp.fc2: matches no name"), Error);
}

TEST_CASE("parts are each head, module and block, and each is taken out by its taps") {
  Subject s;
  const std::vector<Part> all = parts(s.refiner->config().network);
  CHECK(all.size() == 2 * (2 * 2 * 2 + 4 + 1));
  CHECK(all[5].name == "blocks.0.stc2.space.head1");
  CHECK(all.back().name == "blocks.1");
  CHECK(all.back().taps.size() == 4);

  std::vector<std::size_t> heard;
  const Ablation zero =
      ablate(*s.study, all, Substitute::zero, [&](std::size_t done) { heard.push_back(done); });
  CHECK(zero.whole == s.study->errors());
  CHECK(zero.error.size() == all.size());
  CHECK(heard.size() == all.size());
  CHECK(heard.back() == all.size());
  for (std::size_t p = 0; p < all.size(); ++p) {
    Patches patches;
    for (const std::string& tap : all[p].taps) patches.add(tap, Patches::constant(0));
    CHECK(zero.error[p] == s.study->errors());
    CHECK(zero.error[p] != zero.whole);
  }
  // Without its blocks the network answers with what the input layer gives it.
  Patches none;
  none.add("blocks.1.stream", Patches::constant(0));
  const data::JointErrors still = s.study->errors();
  Patches also;
  for (const std::string& tap : all.back().taps) also.add(tap, Patches::constant(5));
  CHECK(s.study->errors() == still);
}

TEST_CASE("means are over the frames, each counted once") {
  Subject s;
  const std::vector<std::string> patterns{"step.1.blocks.0.mlp.fc2", "step.1.blocks.0.temb"};
  const Means means = mean_values(*s.study, patterns);
  REQUIRE(means.size() == 2);
  Taps taps(patterns);
  std::vector<double> sum(17 * 8, 0.0);
  int frame = 0;
  s.study->refine([&](std::span<const data::Window> windows, const Tensor&) {
    const std::vector<double>& values = taps.at(patterns[0]).values;
    for (std::size_t w = 0; w < windows.size(); ++w) {
      for (int k = windows[w].first_valid; k < kFrames; ++k, ++frame) {
        const std::size_t at = (w * kFrames + static_cast<std::size_t>(k)) * sum.size();
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += values[at + i];
      }
    }
  });
  CHECK(frame == 10);
  const Tensor& mean = means.at(patterns[0]);
  CHECK(mean.shape() == Shape{17, 8});
  CHECK(means.at(patterns[1]).shape() == Shape{8});
  for (std::size_t i = 0; i < sum.size(); ++i) {
    CHECK(mean.to_doubles()[i] == doctest::Approx(sum[i] / 10));
  }
  // The embedding of the timestep is the same for all, so that its mean changes nothing.
  Patches patches;
  patches.add(patterns[1], mean_of(means));
  const data::JointErrors patched = s.study->errors();
  CHECK(::mean(patched) == doctest::Approx(::mean(Subject().study->errors())));
  const Ablation ablation = ablate(*s.study, {{"mlp", {"blocks.0.mlp.fc2"}}}, Substitute::mean);
  CHECK(ablation.error[0] != ablation.whole);
  patches.add("x_k", mean_of(means));
  CHECK_THROWS_WITH_AS(s.study->errors(), "patch: no mean of step.1.x_k is known", Error);
}

TEST_CASE("what has no frames has a mean over windows, also where it is as wide as they are long") {
  const Subject s(Objective::diffusion, 20, 8);
  const std::vector<std::string> patterns{"step.2.blocks.1.temb"};
  const Taps taps(patterns);
  const Means means = mean_values(*s.study, patterns);
  // Who looks from outside sees all of it: the last batch's one window.
  const std::vector<double>& values = taps.at(patterns[0]).values;
  REQUIRE(values.size() == 8);
  const Tensor& mean = means.at(patterns[0]);
  CHECK(mean.shape() == Shape{8});
  for (std::size_t i = 0; i < 8; ++i) CHECK(mean.to_doubles()[i] == doctest::Approx(values[i]));
}

TEST_CASE("the lens shows each state, its root too, as large as a person") {
  Subject s;
  const Lens found = lens(*s.study);
  CHECK(found.timesteps == std::vector{50, 25});
  const double alpha_bar = reference::alpha_bar("cosine", 50)[25];
  const double size = std::sqrt(alpha_bar) + std::sqrt(1 - alpha_bar);
  const data::PoseArray& truth = *s.dataset.sequences[0].pose_3d;
  data::JointErrors expected{};
  const Taps taps({"step.2.x_k"});
  s.study->refine([&](std::span<const data::Window> windows, const Tensor&) {
    const std::vector<double>& x = taps.at("step.2.x_k").values;
    for (std::size_t w = 0; w < windows.size(); ++w) {
      for (int k = windows[w].first_valid; k < kFrames; ++k) {
        const float* pose = truth.frame(windows[w].start + k);
        const double* state = x.data() + (w * kFrames + static_cast<std::size_t>(k)) * kPose;
        for (std::size_t j = 0; j < 17; ++j) {
          double square = 0;
          for (std::size_t c = 0; c < 3; ++c) {
            square += std::pow(state[3 * j + c] / size - (pose[3 * j + c] - pose[c]), 2);
          }
          expected[j] += 1000 * std::sqrt(square) / 10;
        }
      }
    }
  });
  for (std::size_t j = 0; j < 17; ++j) {
    CHECK(expected[j] > 1);
    CHECK(found.state[1][j] == doctest::Approx(expected[j]).epsilon(1e-5));
  }
  s.dataset.sequences[0].pose_3d.reset();
  CHECK_THROWS_WITH_AS(lens(*s.study), "sequence S1/Walk/0 has no pose_3d, which the lens needs",
                       Error);
}

TEST_CASE(
    "the lens reads the last block as the network does, and an earlier one as if it ended there") {
  for (const Objective objective : {Objective::diffusion, Objective::regression}) {
    Subject s(objective);
    const Lens found = lens(*s.study);
    const std::size_t steps = objective == Objective::diffusion ? 2 : 1;
    REQUIRE(found.answers.size() == steps);
    CHECK(found.streams == std::vector<std::string>{"input", "blocks.0", "blocks.1"});
    for (const auto& answers : found.answers) REQUIRE(answers.size() == 3);
    const data::JointErrors errors = s.study->errors();
    for (std::size_t j = 0; j < errors.size(); ++j) {
      CHECK(found.answers.back()[2][j] == doctest::Approx(errors[j]).epsilon(1e-5));
    }
    // The base estimate, as large as a person at timestep T.
    const RefinerConfig& config = s.refiner->config();
    data::PoseArray base = *s.dataset.sequences[0].noisy_3d;
    for (std::size_t i = 0; i < base.values.size(); ++i) {
      const double factor =
          steps == 2 ? make_schedule(config.schedule, config.steps).predict_x0(50).x : 1;
      base.values[i] = i % kPose < 3 ? 0.0F : static_cast<float>(factor * base.values[i]);
    }
    const std::vector<int> all{0};
    CHECK(mean(found.state[0]) ==
          doctest::Approx(data::mpjpe(s.dataset, all, std::span(&base, 1))));
    // Block 1 adds nothing: the last answer is that of the stream behind block 0.
    Patches patches;
    const Part last = parts(config.network).back();
    for (const std::string& tap : last.taps) patches.add("step.1." + tap, Patches::constant(0));
    const Lens shorter = lens(*s.study);
    CHECK(shorter.answers[0][1] == found.answers[0][1]);
    for (std::size_t j = 0; j < errors.size(); ++j) {
      CHECK(shorter.answers[0][2][j] == doctest::Approx(found.answers[0][1][j]).epsilon(1e-5));
    }
  }
}

TEST_CASE("saliency is the derivative of a refined joint by each input") {
  // Of a short clip, whose last frame is repeated: a step of it moves all of its copies.
  for (const int frames : {10, 3}) {
    Subject s(Objective::diffusion, frames);
    const int frame = frames - 2;  // of the last window
    const int joint = 13;
    const Saliency found = saliency(*s.study, frame, joint);
    CHECK(found.first_frame == (frames == 10 ? 6 : 0));
    CHECK(found.frames == std::min(frames, kFrames));
    CHECK(found.noisy.size() == static_cast<std::size_t>(3 * found.frames * 51));
    CHECK(found.pose_2d.size() == static_cast<std::size_t>(3 * found.frames * 34));
    const auto refined = [&] {
      std::vector<float> place;
      s.study->refine([&](std::span<const data::Window> windows, const Tensor& poses) {
        const std::size_t last = windows.size() - 1;
        const int in_window = frame - windows[last].start;
        if (in_window < 0 || in_window >= kFrames) return;  // of another batch
        const auto k = static_cast<std::size_t>(in_window);
        const std::size_t at = ((last * kFrames + k) * 17 + joint) * 3;
        place.assign(poses.values<float>().begin() + static_cast<std::ptrdiff_t>(at),
                     poses.values<float>().begin() + static_cast<std::ptrdiff_t>(at + 3));
      });
      return place;
    };
    // Central differences in f32: a step of a centimetre, of what changes by less than it.
    const auto check = [&](float& input, double unit, std::span<const double> gradient,
                           std::size_t at) {
      const float step = 0.01F;
      const float before = input;
      input = before + step;
      const std::vector<float> up = refined();
      input = before - step;
      const std::vector<float> down = refined();
      input = before;
      const std::size_t each = gradient.size() / 3;
      for (std::size_t c = 0; c < 3; ++c) {
        const double slope = (double{up[c]} - down[c]) / (2 * double{step});
        CHECK(gradient[c * each + at] * unit == doctest::Approx(slope).epsilon(0.03).scale(0.02));
      }
    };
    data::Sequence& sequence = s.dataset.sequences[0];
    for (const auto& [f, j, c] : {std::array{found.frames - 1, 13, 0},
                                  std::array{found.frames - 2, 13, 1}, std::array{0, 5, 2}}) {
      const auto at = static_cast<std::size_t>((f * 17 + j) * 3 + c);
      check(sequence.noisy_3d->frame(found.first_frame + f)[j * 3 + c], 1, found.noisy, at);
    }
    // Pixels: a unit of y is half of the image's width.
    const double unit = 2.0 / sequence.image_size[0];
    const int f = found.frames - 1;
    const auto at = static_cast<std::size_t>((f * 17 + 13) * 2 + 1);
    float& pixel = sequence.pose_2d.frame(found.first_frame + f)[13 * 2 + 1];
    const double kept = pixel;
    const auto moved = [&](float by) {
      pixel = static_cast<float>(kept) + by;
      return refined();
    };
    const std::vector<float> up = moved(10);
    const std::vector<float> down = moved(-10);
    for (std::size_t c = 0; c < 3; ++c) {
      const double slope = (double{up[c]} - down[c]) / 20;
      CHECK(found.pose_2d[c * found.pose_2d.size() / 3 + at] * unit ==
            doctest::Approx(slope).epsilon(0.03).scale(0.02 * unit));
    }
  }
  Subject s;
  CHECK_THROWS_WITH_AS(saliency(*s.study, 10, 1), doctest::Contains("there is no frame 10"), Error);
  CHECK_THROWS_WITH_AS(saliency(*s.study, 0, 17), doctest::Contains("there is no joint 17"), Error);
}

TEST_CASE("saliency of a network that always says the same: a pose moves with itself alone") {
  for (const int frames : {10, 3}) {
    Subject s(Objective::regression, frames);
    for (const auto& entry : s.refiner->parameters().entries()) {
      if (entry.name == "output.weight") fill(entry.value, 0.0);
    }
    for (const int frame : {1, frames - 1}) {
      for (const int joint : {0, 1, 16}) {
        const Saliency found = saliency(*s.study, frame, joint);
        std::vector<double> expected(found.noisy.size(), 0.0);
        for (std::size_t c = 0; c < 3 && joint != 0; ++c) {  // the root is zero whatever comes
          const int place = ((frame - found.first_frame) * 17 + joint) * 3;
          expected.at(c * expected.size() / 3 + static_cast<std::size_t>(place) + c) = 1;
        }
        CHECK(found.noisy == expected);
        CHECK(found.pose_2d == std::vector<double>(found.pose_2d.size(), 0.0));
      }
    }
    CHECK_THROWS_WITH_AS(saliency(*s.study, 0, -1), doctest::Contains("there is no joint -1"),
                         Error);
  }
}

TEST_CASE("saliency looks in the window that owns a frame, whatever order they come in") {
  const Subject s;
  std::vector<data::Window> windows(s.study->windows().begin(), s.study->windows().end());
  std::ranges::reverse(windows);
  const Study reversed(*s.refiner, s.dataset, windows, 2, 2);
  for (int frame = 0; frame < 10; ++frame) {
    const int owner = frame < 4 ? 0 : frame < 8 ? 4 : 6;
    CHECK(saliency(*s.study, frame, 3).first_frame == owner);
    CHECK(saliency(reversed, frame, 3).first_frame == owner);
  }
}

TEST_CASE("shuffled errors are in every order, as often in each") {
  const Subject s(Objective::diffusion, 3);
  const NoiseSequence rows = noise_rows(s.dataset, 0);
  const std::vector<float> truth =
      base_with_error(s.dataset, 0, BaseError::none, *s.refiner, 1).values;
  std::map<std::array<int, 3>, int> orders;
  for (std::uint64_t seed = 0; seed < 1200; ++seed) {
    const data::PoseArray poses =
        base_with_error(s.dataset, 0, BaseError::shuffled, *s.refiner, seed);
    std::array<int, 3> order{};
    for (std::size_t f = 0; f < 3; ++f) {
      const double error = double{poses.values[f * kPose + 40]} - truth[f * kPose + 40];
      const auto off = [&](int g) {
        return std::fabs(rows.a[static_cast<std::size_t>(g) * kPose + 40] - error);
      };
      order[f] = std::ranges::min(std::array{0, 1, 2}, {}, off);
    }
    ++orders[order];
  }
  CHECK(orders.size() == 6);
  // Chi-square of 5 degrees of freedom, beyond 25.7 once in 10^4.
  double chi = 0;
  for (const auto& [order, count] : orders) chi += std::pow(count - 200, 2) / 200;
  CHECK(chi < 25.7);
}

TEST_CASE("a base estimate's root stays at zero, also of a noise that errs there") {
  const Subject s;
  ConditionalNoise noise = s.refiner->noise();
  noise.mu_a = Tensor::full({51}, 0.5, DType::f64);
  const Refiner errs(s.refiner->config(), noise, s.refiner->error_scale(), DType::f32, 7);
  for (const BaseError error : {BaseError::independent, BaseError::ar1}) {
    const data::PoseArray poses = base_with_error(s.dataset, 0, error, errs, 2);
    CHECK(poses.channels == 3);
    REQUIRE(poses.frames() == 10);
    for (int f = 0; f < 10; ++f) {
      for (int c = 0; c < 3; ++c) CHECK(poses.frame(f)[c] == 0);
    }
  }
}

TEST_CASE("a base estimate with another error") {
  Subject s;
  const data::Sequence& sequence = s.dataset.sequences[0];
  const auto with = [&](BaseError error, std::uint64_t seed = 1) {
    return base_with_error(s.dataset, 0, error, *s.refiner, seed).values;
  };
  const NoiseSequence rows = noise_rows(s.dataset, 0);
  std::vector<float> truth = with(BaseError::none);
  const std::vector<float> real = with(BaseError::real);
  for (std::size_t i = 0; i < real.size(); ++i) {
    const double expected = i % kPose < 3 ? 0 : double{sequence.noisy_3d->values[i]};
    CHECK(real[i] == doctest::Approx(expected).scale(1));
    CHECK(double{real[i]} - truth[i] == doctest::Approx(rows.a[i]).scale(1));
  }
  // The same errors in another order of the frames.
  const auto sorted_errors = [&](const std::vector<float>& poses) {
    std::vector<double> errors;
    for (std::size_t i = 40; i < poses.size(); i += kPose) {
      errors.push_back(double{poses[i]} - truth[i]);
    }
    std::ranges::sort(errors);
    return errors;
  };
  const std::vector<float> shuffled = with(BaseError::shuffled);
  CHECK(shuffled != real);
  CHECK(shuffled == with(BaseError::shuffled));
  CHECK(shuffled != with(BaseError::shuffled, 2));
  for (std::size_t i = 0; i < 10; ++i) {
    CHECK(sorted_errors(shuffled)[i] == doctest::Approx(sorted_errors(real)[i]).scale(1));
  }
  // Drawn as ConditionalNoise draws them, for the whole sequence at once.
  for (const auto& [error, kind] : {std::pair{BaseError::independent, NoiseKind::independent},
                                    std::pair{BaseError::ar1, NoiseKind::ar1}}) {
    const std::vector<float> drawn = with(error, 4);
    const Tensor b = Tensor::of({1, 10, 85}, std::span<const double>(rows.b), DType::f64);
    const std::vector<double> e = s.refiner->noise().sample(b, kind, 4, 0).to_doubles();
    for (std::size_t i = 0; i < drawn.size(); ++i) {
      const double expected = i % kPose < 3 ? 0 : double{truth[i]} + e[i];
      CHECK(drawn[i] == doctest::Approx(expected).scale(1));
    }
  }
  s.dataset.sequences[0].pose_3d.reset();
  CHECK_THROWS_WITH_AS(with(BaseError::none), doctest::Contains("has no pose_3d"), Error);
}
