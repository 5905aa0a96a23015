// How sure a refiner is: the head's gradients, what it learns of errors whose sizes are known,
// files.
#include "diffusion/uncertainty.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "data/dataset.hpp"
#include "engine/error.hpp"
#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "engine/rng.hpp"
#include "engine/trainer.hpp"

using namespace posetape;
using namespace posetape::diffusion;

namespace {

constexpr Index kWidth = 6;

Uncertainty head_of(DType dtype = DType::f32, std::uint64_t seed = 3) {
  std::vector<double> scale(51, 0.05);
  for (std::size_t i = 2; i < 51; i += 3) scale[i] = 0.2;
  return Uncertainty(kWidth, 8, scale, seed, Device::cpu, dtype);
}

// Features of which number `joint` says how large a joint's errors are: sigma = s e^(f / 2), and of
// the depth e^(-f / 2).
std::vector<Tensor> batch(std::uint64_t step, Index rows) {
  Random random(7, Stream::test, step);
  const Tensor features = Tensor::empty({rows, 17, kWidth}, DType::f32);
  const Tensor errors = Tensor::empty({rows, 17, 3}, DType::f32);
  for (Index r = 0; r < rows * 17; ++r) {
    float* f = features.data<float>() + r * kWidth;
    for (Index k = 0; k < kWidth; ++k) f[k] = static_cast<float>(random.normal());
    // As the layer norm sees it.
    double mean = 0, square = 0;
    for (Index k = 0; k < kWidth; ++k) mean += f[k] / double{kWidth};
    for (Index k = 0; k < kWidth; ++k) square += (f[k] - mean) * (f[k] - mean) / double{kWidth};
    const double sign = (f[0] - mean) / std::sqrt(square);
    float* e = errors.data<float>() + 3 * r;
    for (int c = 0; c < 3; ++c) {
      const double sigma = (c == 2 ? 0.2 : 0.05) * std::exp((c == 2 ? -0.5 : 0.5) * sign);
      e[c] = static_cast<float>(r % 17 == 0 ? 0 : sigma * random.normal());
    }
  }
  return {features, errors, Tensor::full({rows, 1, 1}, 1, DType::f32)};
}

}  // namespace

TEST_CASE("the loss of a head has the right gradients") {
  const auto loss = [](std::span<const Tensor> in) {
    const DType dtype = in[0].dtype();
    const Uncertainty head = head_of(dtype);
    // Away from the output's zeros.
    for (const auto& entry : head.parameters().entries()) {
      if (entry.name == "output.weight") copy(random_normal({3, 8}, 5, 0.5), entry.value);
    }
    const Tensor weight = Tensor::of({2, 1, 1}, std::vector{0.5, 2.0}, dtype);
    return std::vector{head.loss(in[0], in[1], weight)};
  };
  const std::vector<Tensor> inputs{random_normal({2, 17, kWidth}, 1),
                                   random_normal({2, 17, 3}, 2, 0.1)};
  GradcheckOptions options;
  options.full_up_to = 0;
  options.tolerance = 1e-7;
  const GradcheckReport report = gradcheck(loss, inputs, options);
  CHECK_MESSAGE(report.passed(), report.failures());
}

TEST_CASE("log sigma and the loss are those of their formulas") {
  const Uncertainty head = head_of(DType::f64);
  std::map<std::string, std::vector<double>> w;
  std::uint64_t seed = 20;
  for (const auto& entry : head.parameters().entries()) {
    // Large enough for some outputs to be cut off at 3.
    copy(random_normal(entry.value.shape(), seed++, 1.5), entry.value);
    w[entry.name] = entry.value.to_doubles();
  }
  const Tensor features = random_normal({2, 17, kWidth}, 1);
  const Tensor error = random_normal({2, 17, 3}, 2, 0.3);
  const std::vector<double> weights{0.5, 2.0};
  const std::vector<double> f = features.to_doubles(), e = error.to_doubles();
  const std::vector<double> found = head.log_std(features).to_doubles();
  double loss = 0;
  int cut = 0;
  for (std::size_t row = 0; row < 34; ++row) {
    double mean = 0, variance = 0;
    for (std::size_t k = 0; k < kWidth; ++k) mean += f[row * kWidth + k] / kWidth;
    for (std::size_t k = 0; k < kWidth; ++k) {
      variance += std::pow(f[row * kWidth + k] - mean, 2) / kWidth;
    }
    std::vector<double> hidden(8);
    for (std::size_t h = 0; h < 8; ++h) {
      double x = w["hidden.bias"][h];
      for (std::size_t k = 0; k < kWidth; ++k) {
        const double normalised = (f[row * kWidth + k] - mean) / std::sqrt(variance + 1e-5);
        x += w["hidden.weight"][h * kWidth + k] *
             (normalised * w["norm.weight"][k] + w["norm.bias"][k]);
      }
      hidden[h] = x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
    }
    for (std::size_t c = 0; c < 3; ++c) {
      double own = w["output.bias"][c];
      for (std::size_t h = 0; h < 8; ++h) own += w["output.weight"][c * 8 + h] * hidden[h];
      cut += std::abs(own) > 3 ? 1 : 0;
      const double log_sigma = std::log(c == 2 ? 0.2 : 0.05) + std::clamp(own, -3.0, 3.0);
      CHECK(found[3 * row + c] == doctest::Approx(log_sigma).epsilon(1e-9));
      if (row % 17 == 0) continue;  // the root
      const double t = e[3 * row + c] / std::exp(log_sigma);
      loss +=
          weights[row / 17] * (log_sigma + (5 + 1) / 2.0 * std::log(1 + t * t / 5)) / (2 * 16 * 3);
    }
  }
  CHECK(cut > 5);
  CHECK(cut < 80);
  CHECK(head.loss(features, error, Tensor::of({2, 1, 1}, weights, DType::f64)).item() ==
        doctest::Approx(loss).epsilon(1e-9));
}

TEST_CASE("scales are 51 positive numbers") {
  const auto made = [](std::vector<double> scale) { Uncertainty(kWidth, 8, std::move(scale), 1); };
  CHECK_NOTHROW(made(std::vector<double>(51, 1e-3)));
  CHECK_THROWS_WITH_AS(made(std::vector<double>(50, 1.0)),
                       "uncertainty: 50 scales and 51 factors, expected 51 of each", Error);
  for (const double bad : {0.0, -1.0, HUGE_VAL, std::nan("")}) {
    std::vector<double> scale(51, 1.0);
    scale[50] = bad;
    CHECK_THROWS_WITH_AS(made(scale), doctest::Contains("is no positive number"), Error);
  }
  Uncertainty head = head_of();
  CHECK_THROWS_WITH_AS(head.rescale(std::vector<double>(52, 1.0)),
                       "uncertainty: 51 scales and 52 factors, expected 51 of each", Error);
}

TEST_CASE("a head learns how large errors are, to the bit with any number of threads") {
  const auto train = [](Uncertainty& head) {
    Trainer trainer(head.parameters(),
                    {.epochs = 3, .steps_per_epoch = 60, .lr = 0.02, .cosine = true});
    Trainer::Hooks hooks;
    hooks.batch = [](int epoch, int step) {
      return Trainer::Batch{batch(static_cast<std::uint64_t>(60 * epoch + step), 32), 0};
    };
    hooks.loss = [&](std::span<const Tensor> in, int) { return head.loss(in[0], in[1], in[2]); };
    hooks.validate = [] { return 0.0; };
    trainer.run(hooks);
  };
  Uncertainty head = head_of();
  const std::vector<Tensor> test = batch(1'000'000, 256);
  CHECK(head.log_std(test[0]).to_doubles()[3] == doctest::Approx(std::log(0.05)));
  const double before = head.loss(test[0], test[1], test[2]).item();
  train(head);
  CHECK(head.loss(test[0], test[1], test[2]).item() < before - 0.05);

  // The truths inside of 1.28 sigma: a head that only knew their mean size would have 80 % of them
  // on average, and 97 % or 51 % where errors are small or large.
  const std::vector<double> logs = head.log_std(test[0]).to_doubles();
  std::array<double, 2> inside{}, count{};
  for (std::size_t i = 0; i < logs.size(); ++i) {
    if (i % 51 < 3) continue;
    const double e = test[1].values<float>()[i];
    const std::size_t large = logs[i] > std::log(i % 3 == 2 ? 0.2 : 0.05) ? 1 : 0;
    inside[large] += std::abs(e) <= 1.2816 * std::exp(logs[i]) ? 1 : 0;
    ++count[large];
  }
  CHECK(inside[0] / count[0] == doctest::Approx(0.8).epsilon(0.05));
  CHECK(inside[1] / count[1] == doctest::Approx(0.8).epsilon(0.05));

  Uncertainty again = head_of();
  train(again);
  CHECK(again.log_std(test[0]).to_doubles() == logs);
}

TEST_CASE("a head comes back from its file, and one that fits nothing is refused") {
  Uncertainty head = head_of();
  data::Regions regions;
  regions.multiples[data::kDepth] = {0.5, 1.3, 2.5};
  head.set_regions(regions);
  std::vector<double> factors(51, 2.0);
  head.rescale(factors);
  TensorFile file;
  CHECK(!Uncertainty::is_in(file));
  head.save(file);
  REQUIRE(Uncertainty::is_in(file));
  const Tensor features = batch(1, 2)[0];
  const Uncertainty loaded = Uncertainty::load(file, "f", kWidth);
  CHECK(loaded.log_std(features).to_doubles() == head.log_std(features).to_doubles());
  CHECK(loaded.log_std(features).to_doubles()[3] == doctest::Approx(std::log(0.1)));
  CHECK(data::values_of(loaded.regions()) == data::values_of(regions));

  CHECK_THROWS_WITH_AS(
      Uncertainty::load(file, "f", 7),
      "f: tensor uncertainty.hidden.weight is [8, 6], which fits no refiner 7 wide", Error);
  for (const char* name : {"uncertainty.output.bias", "uncertainty.regions"}) {
    TensorFile less = file;
    std::erase_if(less.tensors, [&](const auto& t) { return t.first == name; });
    CHECK_THROWS_AS(Uncertainty::load(less, "f", kWidth), Error);
  }
  const auto with = [&file](std::string_view which, const Tensor& other) {
    TensorFile changed = file;
    for (auto& [name, tensor] : changed.tensors) {
      if (name == which) tensor = other;
    }
    return changed;
  };
  CHECK_THROWS_WITH_AS(
      Uncertainty::load(with("uncertainty.scale", Tensor::full({16, 3}, 1, DType::f64)), "f",
                        kWidth),
      "f: tensor uncertainty.scale is [16, 3], which fits no refiner 6 wide", Error);
  CHECK_THROWS_WITH_AS(
      Uncertainty::load(with("uncertainty.hidden.weight", Tensor::zeros({0, kWidth}, DType::f32)),
                        "f", kWidth),
      "f: tensor uncertainty.hidden.weight is empty", Error);
  // One hidden channel is enough.
  TensorFile narrow;
  Uncertainty(kWidth, 1, std::vector<double>(51, 0.5), 1).save(narrow);
  CHECK_NOTHROW(Uncertainty::load(narrow, "f", kWidth));
  const TensorFile wrong = with("uncertainty.scale", Tensor::zeros({17, 3}, DType::f64));
  CHECK_THROWS_WITH_AS(Uncertainty::load(wrong, "f", kWidth),
                       "uncertainty: a scale of 0 is no positive number", Error);
}
