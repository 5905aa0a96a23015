// What taps see of the refiner, and that nothing changes because they look.
#include "engine/taps.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "diffusion/refiner.hpp"
#include "engine/gradcheck.hpp"
#include "engine/trainer.hpp"
#include "tests/cases/models.hpp"

using namespace posetape;
using diffusion::Refiner;

namespace {

diffusion::RefinerConfig tiny() {
  diffusion::RefinerConfig config;
  config.network = {16, 2, 2, 2, true};
  config.frames = 4;
  return config;
}

Refiner make() {
  const diffusion::ErrorScale scale{std::vector<double>(51, 0.0), std::vector<double>(51, 0.04)};
  return Refiner(tiny(), some_noise(), scale, DType::f32, 11);
}

Tensor poses(Index channels, std::uint64_t seed) {
  const Shape shape{2, 4, 17, channels};
  return Tensor::of(shape, random_normal(shape, seed, 0.3).values<double>(), DType::f32);
}

diffusion::RefinerBatch batch(std::uint64_t seed) {
  return {poses(3, seed), poses(3, seed + 1), poses(2, seed + 2)};
}

struct Run {
  std::vector<double> numbers;  // losses, weights, refined poses
  std::size_t peak = 0;
  std::size_t reserved = 0;
};

// Two training steps and a refinement.
Run run() {
  Arena arena(Device::cpu);
  const ArenaScope scope(arena);
  Run run;
  Refiner refiner = make();
  Trainer trainer(refiner.parameters(), {1, 2, 1e-3, 1, 0});
  Trainer::Hooks hooks;
  hooks.batch = [&](int, int step) {
    Refiner::Prepared p = refiner.prepare(batch(5), 3, static_cast<std::uint64_t>(step));
    return Trainer::Batch{std::move(p.inputs), p.moves};
  };
  hooks.loss = [&](std::span<const Tensor> in, int moves) { return refiner.loss(in, moves, 3); };
  hooks.validate = [] { return 1.0; };
  hooks.on_step = [&](const TrainState&, double loss) { run.numbers.push_back(loss); };
  trainer.run(hooks);
  const diffusion::RefinerBatch b = batch(9);
  for (const Tensor& t : {refiner.parameters().values(), refiner.refine(b.noisy, b.y, 2)}) {
    const std::vector<double> values = t.to_doubles();
    run.numbers.insert(run.numbers.end(), values.begin(), values.end());
  }
  run.peak = arena.peak_bytes();
  run.reserved = arena.reserved_bytes();
  return run;
}

}  // namespace

TEST_CASE("taps change no bit of the results, nor what is seen the memory they are computed in") {
  const Run plain = run();
  const Run parts = [] {
    const Taps nothing({});
    return run();
  }();
  CHECK(parts.numbers == plain.numbers);
  CHECK(plain.peak <= parts.peak);  // what is one op for speed needs less
  for (const std::vector<std::string>& patterns :
       {std::vector<std::string>{}, {"*", "*.grad", "*.norm", "*.grad.norm"}}) {
    const Taps taps(patterns);
    const Run tapped = run();
    CHECK(tapped.numbers == plain.numbers);
    CHECK(tapped.peak == parts.peak);
    CHECK(tapped.reserved == parts.reserved);
    CHECK(taps.captured().empty() == patterns.empty());
  }
}

TEST_CASE("what a step shows beside its tensors is made of them") {
  for (const auto objective : {diffusion::Objective::diffusion, diffusion::Objective::regression}) {
    diffusion::RefinerConfig config = tiny();
    config.objective = objective;
    const bool steps = objective == diffusion::Objective::diffusion;
    config.network.timestep = steps;
    const diffusion::ErrorScale scale{std::vector<double>(51, 0.0), std::vector<double>(51, 0.04)};
    const Refiner refiner(config, some_noise(), scale, DType::f32, 11);
    const diffusion::RefinerBatch b = batch(1);
    const Taps taps({"*"});
    refiner.refine(b.noisy, b.y, 2);
    const diffusion::Schedule schedule = make_schedule(config.schedule, config.steps);
    for (const std::string step : {"step.1.", "step.2."}) {
      if (!steps && step == "step.2.") continue;
      const int t = static_cast<int>(taps.at(step + "t").values[0]);
      CHECK(t == (steps ? step == "step.1." ? 50 : 25 : 0));
      const double size = schedule.sqrt_alpha_bar(t) + schedule.sqrt_one_minus(t);
      const auto values = [&](const char* name) { return taps.at(step + name).values; };
      for (std::size_t i = 0; i < values("x_k").size(); i += 97) {
        CHECK(values("x_k_scaled")[i] == doctest::Approx(values("x_k")[i] / size));
        CHECK(values("eps")[i] == doctest::Approx(values("x_hat")[i] + values("error")[i]));
      }
      CHECK(taps.at(step + "blocks.1.stream").shape == Shape{2, 4, 17, 16});
    }
    CHECK(taps.at("refined").shape == b.noisy.shape());
  }
}

TEST_CASE("every step, block and gradient of the refiner has its name") {
  Refiner refiner = make();
  const diffusion::RefinerBatch b = batch(1);
  Taps taps({"blocks.*.attention", "eps", "refined", "blocks.*.grad.norm", "train.*"});
  refiner.refine(b.noisy, b.y, 2);
  for (const char* step : {"step.1.", "step.2."}) {
    for (const char* stc :
         {"blocks.0.stc1.", "blocks.0.stc2.", "blocks.1.stc1.", "blocks.1.stc2."}) {
      const std::string name = std::string(step) + stc;
      CHECK(taps.at(name + "space.attention").shape == Shape{2, 17, 17});
      CHECK(taps.at(name + "time.attention").shape == Shape{2, 4, 4});
    }
    CHECK(taps.at(std::string(step) + "eps").shape == b.noisy.shape());
  }
  const auto seen = [&](const std::string& name) {
    return std::any_of(taps.seen().begin(), taps.seen().end(),
                       [&](const Taps::Seen& s) { return s.name == name; });
  };
  for (const char* name :
       {"input", "timestep.0", "timestep.1", "blocks.1.norm1", "blocks.1.norm1.sum",
        "blocks.1.temb", "blocks.1.norm3", "blocks.1.stc2.qkv", "blocks.1.stc2.local",
        "blocks.1.stc2.mixed", "blocks.1.stc2.proj", "blocks.1.mlp.fc1", "blocks.1.mlp.fc2",
        "output", "x_k", "error"}) {
    CHECK_MESSAGE(seen("step.2." + std::string(name)), name);
  }

  Tape tape;
  refiner.parameters().watch(tape);
  Tensor loss;
  {
    const Recording on(tape);
    loss = refiner.loss(b, 1, 0);
  }
  tape.backward(loss);
  taps.check();
  CHECK(taps.at("train.loss").values == std::vector{loss.item()});
  CHECK(taps.at("train.t").shape == Shape{2});
  CHECK(taps.at("train.blocks.0.stc1.qkv.weight.grad.norm").values[0] > 0);
  CHECK(taps.at("train.blocks.0.norm1.grad.norm").values[0] > 0);
  CHECK(taps.at("train.blocks.1.stc2.mixed.grad.norm").values[0] > 0);
}
