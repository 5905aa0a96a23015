// Adam against its formula, and runs that stop and go on.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "engine/adam.hpp"
#include "engine/gradcheck.hpp"
#include "engine/ops/joint_distance_loss.hpp"
#include "engine/ops/linear.hpp"
#include "engine/trainer.hpp"

using namespace posetape;

namespace {

// A small regression: 4 inputs, 8 hidden, 3 outputs; each step has its own data.
struct Toy {
  struct Layers {
    Layers(ParameterList& list, int) {
      w1 = list.add("w1", {8, 4}, {Init::uniform, 0.5});
      b1 = list.add("b1", {8}, {Init::uniform, 0.5});
      w2 = list.add("w2", {3, 8}, {Init::normal, 0.3});
    }
    Tensor w1, b1, w2;
  };
  explicit Toy(DType dtype, std::uint64_t seed)
      : parameters(make_parameters<Layers>(0, dtype, seed)), layers(parameters, 0), type(dtype) {}

  Trainer::Batch batch(int epoch, int step) const {
    const auto seed = static_cast<std::uint64_t>(100 * epoch + step);
    const auto as = [&](const Tensor& t) {
      return Tensor::of(t.shape(), std::span<const double>(t.values<double>()), type);
    };
    return {{as(random_normal({16, 4}, seed)), as(random_normal({16, 3}, seed + 50))}};
  }
  Tensor loss(std::span<const Tensor> in) const {
    const Tensor hidden = linear(in[0], layers.w1, layers.b1, Activation::gelu);
    return joint_distance_loss(linear(hidden, layers.w2), in[1]);
  }
  Trainer::Hooks hooks() const {
    Trainer::Hooks hooks;
    hooks.batch = [this](int epoch, int step) { return batch(epoch, step); };
    hooks.loss = [this](std::span<const Tensor> in, int) { return loss(in); };
    return hooks;
  }

  ParameterList parameters;
  Layers layers;
  DType type;
};

std::vector<double> run(Toy& toy, Trainer& trainer, int stop_after) {
  std::vector<double> losses;
  Trainer::Hooks hooks = toy.hooks();
  hooks.validate = [&] { return toy.loss(toy.batch(99, 0).inputs).item(); };
  hooks.on_step = [&](const TrainState&, double loss) { losses.push_back(loss); };
  hooks.stop = [&] { return static_cast<int>(losses.size()) == stop_after; };
  trainer.run(hooks);
  return losses;
}

}  // namespace

TEST_CASE("100 steps of Adam and AdamW in f64 follow the papers' formulas") {
  double weight_decay = 0;
  SUBCASE("Adam") {}
  SUBCASE("AdamW") {
    weight_decay = 0.1;
  }
  ParameterList list(64, DType::f64, 3);
  const Tensor p = list.add("p", {5}, {Init::uniform, 1});
  std::vector<double> x = p.to_doubles();
  std::vector<double> m(5, 0.0);
  std::vector<double> v(5, 0.0);
  Adam adam(list, {.weight_decay = weight_decay});
  for (int t = 1; t <= 100; ++t) {
    const double lr = 1e-2 * std::pow(0.96, t / 10);
    for (std::size_t i = 0; i < 5; ++i) {
      const double g = std::sin(3 * x[i] + static_cast<double>(i)) + 0.01 * t;
      list.entries()[0].gradient.data<double>()[i] = g;
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      const double m_hat = m[i] / (1 - std::pow(0.9, t));
      const double v_hat = v[i] / (1 - std::pow(0.999, t));
      x[i] -= lr * weight_decay * x[i];
      x[i] -= lr * m_hat / (std::sqrt(v_hat) + 1e-8);
    }
    adam.step(lr);
    for (std::size_t i = 0; i < 5; ++i) {
      REQUIRE(p.data<double>()[i] == doctest::Approx(x[i]).epsilon(1e-12));
    }
  }
}

TEST_CASE("a run that was stopped, saved and continued gives the same losses bit for bit") {
  const TrainOptions options{3, 5, 1e-2, 0.9, 0};
  Toy whole(DType::f32, 7);
  Trainer uninterrupted(whole.parameters, options);
  const std::vector<double> expected = run(whole, uninterrupted, -1);
  REQUIRE(expected.size() == 15);
  CHECK(expected.back() < expected.front());

  for (const int stop : {1, 5, 8, 14}) {
    Toy first(DType::f32, 7);
    Trainer before(first.parameters, options);
    std::vector<double> losses = run(first, before, stop);
    TensorFile file;
    before.save(file);
    const Tensor weights = first.parameters.values().clone();

    Toy second(DType::f32, 1234);  // other start values, which the saved ones replace
    copy(weights, second.parameters.values());
    Trainer after(second.parameters, options);
    after.load(file, "memory");
    for (const double loss : run(second, after, -1)) losses.push_back(loss);
    CHECK_MESSAGE(losses == expected, "stopped after ", stop);
    CHECK(after.state().best_epoch == uninterrupted.state().best_epoch);
    CHECK(second.parameters.values().to_doubles() == whole.parameters.values().to_doubles());
  }
}

TEST_CASE("the learning rate falls by its factor after every epoch, and patience ends a run") {
  Toy toy(DType::f32, 7);
  Trainer trainer(toy.parameters, {50, 2, 1e-3, 0.96, 2});
  std::vector<double> rates;
  int validations = 0;
  Trainer::Hooks hooks = toy.hooks();
  hooks.validate = [&] { return ++validations == 3 ? 1.0 : 1.0 + validations; };
  hooks.on_epoch = [&](const EpochResult& r) { rates.push_back(r.lr); };
  CHECK(trainer.run(hooks) == TrainOutcome::finished);
  // The third epoch is best; two more do not help.
  REQUIRE(rates.size() == 5);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    CHECK(rates[i] == doctest::Approx(1e-3 * std::pow(0.96, static_cast<double>(i))));
  }
  CHECK(trainer.state().best_epoch == 2);
}

TEST_CASE("a loss that is not finite ends the run with its place") {
  Toy toy(DType::f32, 7);
  Trainer trainer(toy.parameters, {2, 3, 1e-3, 0.96, 0});
  Trainer::Hooks hooks = toy.hooks();
  hooks.batch = [&](int epoch, int step) {
    if (epoch == 1) fill(toy.layers.b1, std::numeric_limits<double>::quiet_NaN());
    return toy.batch(epoch, step);
  };
  hooks.validate = [] { return 1.0; };
  CHECK_THROWS_WITH_AS(trainer.run(hooks), doctest::Contains("epoch 2, step 1"), Error);
}

TEST_CASE("a loss that is not finite moves nothing: what is saved then is that of the last step") {
  Toy toy(DType::f32, 7);
  Trainer trainer(toy.parameters, {1, 4, 1e-2, 0.96, 0});
  std::vector<double> weights;
  TensorFile before;
  Trainer::Hooks hooks = toy.hooks();
  hooks.batch = [&](int epoch, int step) {
    Trainer::Batch batch = toy.batch(epoch, step);
    if (step == 2) {
      fill(batch.inputs[1], std::numeric_limits<double>::infinity());
      weights = toy.parameters.masters().to_doubles();
      trainer.save(before);
    }
    return batch;
  };
  hooks.validate = [] { return 1.0; };
  CHECK_THROWS_WITH_AS(trainer.run(hooks), doctest::Contains("loss is inf at epoch 1, step 3"),
                       Error);
  CHECK(toy.parameters.masters().to_doubles() == weights);
  TensorFile after;
  trainer.save(after);
  REQUIRE(before.tensors.size() == 3);
  for (const auto& [name, tensor] : before.tensors) {
    CAPTURE(name);
    CHECK(after.at(name).to_doubles() == tensor.to_doubles());
  }
}

TEST_CASE("weights, moments and a validation that are not finite end the run before it is saved") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Toy toy(DType::f32, 7);
  Trainer trainer(toy.parameters, {3, 2, 1e-3, 0.96, 0});
  int saved = 0;
  int epoch = 0;
  double validation = 1;
  bool stop = false;
  const char* what = "";
  Trainer::Hooks hooks = toy.hooks();
  hooks.validate = [&] { return ++epoch == 2 ? validation : 1.0; };
  hooks.on_epoch = [&](const EpochResult&) { ++saved; };
  const auto spoil = [&](double value) {
    hooks.on_step = [&, value](const TrainState& state, double) {
      if (state.epoch == 1 && state.step == 2) fill(toy.layers.w2, value);
    };
  };
  SUBCASE("a validation") {
    validation = nan;
    what = "the validation of epoch 2 is nan";
  }
  SUBCASE("an infinite validation") {
    validation = std::numeric_limits<double>::infinity();
    what = "the validation of epoch 2 is inf";
  }
  SUBCASE("a weight") {
    spoil(nan);
    what = "w2 holds nan in epoch 2";
  }
  SUBCASE("a weight, where the run is stopped") {
    spoil(nan);
    stop = true;
    what = "w2 holds nan in epoch 2";
  }
  SUBCASE("a moment: a gradient whose square overflows") {
    hooks.batch = [&](int at, int step) {
      Trainer::Batch batch = toy.batch(at, step);
      if (at == 1 && step == 1) {
        fill(toy.layers.w1, 1e-25);
        fill(batch.inputs[0], 1e25);
      }
      return batch;
    };
    what = "Adam's second moment holds inf in epoch 2";
  }
  hooks.stop = [&] { return stop && trainer.state().epoch == 1 && trainer.state().step == 2; };
  CHECK_THROWS_WITH_AS(trainer.run(hooks), doctest::Contains(what), Error);
  CHECK(saved == 1);
}

TEST_CASE("a trainer's state refuses another model's") {
  Toy toy(DType::f32, 7);
  Trainer trainer(toy.parameters, {1, 1, 1e-3, 0.96, 0});
  TensorFile file;
  trainer.save(file);
  ParameterList other(128, DType::f32, 1);
  other.add("x", {100}, {});
  Trainer wrong(other, {1, 1, 1e-3, 0.96, 0});
  CHECK_THROWS_WITH_AS(wrong.load(file, "a.safetensors"), doctest::Contains("a.safetensors"),
                       Error);
  for (const double count : {-1.0, 0.5, 1e300, std::numeric_limits<double>::quiet_NaN()}) {
    CAPTURE(count);
    TensorFile odd;
    trainer.save(odd);
    odd.at("trainer.counters").data<double>()[1] = count;
    CHECK_THROWS_WITH_AS(trainer.load(odd, "a.safetensors"),
                         doctest::Contains("a.safetensors: tensor 'trainer.counters'"), Error);
  }
}

TEST_CASE("parameters are named once, load by name and report what does not fit") {
  Toy toy(DType::f32, 7);
  CHECK_THROWS_WITH_AS(toy.parameters.add("w1", {1}, {}), doctest::Contains("w1"), Error);
  Toy other(DType::f32, 8);
  other.parameters.load(
      [&](const std::string& name) {
        for (const auto& e : toy.parameters.entries()) {
          if (e.name == name) return e.value;
        }
        return Tensor();
      },
      "file");
  CHECK(other.layers.w2.to_doubles() == toy.layers.w2.to_doubles());
  CHECK_THROWS_WITH_AS(other.parameters.load([](const std::string&) { return Tensor(); }, "file"),
                       doctest::Contains("file: tensor w1 is missing"), Error);
  CHECK_THROWS_WITH_AS(
      other.parameters.load([](const std::string&) { return Tensor::zeros({2}, DType::f32); },
                            "file"),
      doctest::Contains("tensor w1 is [2], this model needs [8, 4]"), Error);
}
