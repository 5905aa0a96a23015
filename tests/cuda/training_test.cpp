// Whole networks on the device: the CPU's losses and poses, one graph a step.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "diffusion/refiner.hpp"
#include "engine/gradcheck.hpp"
#include "engine/taps.hpp"
#include "engine/trainer.hpp"
#include "kernels/cuda/runtime.hpp"
#include "model/network.hpp"
#include "tests/cases/models.hpp"

using namespace posetape;
using diffusion::Refiner;

namespace {

constexpr Index kJoints = 17;
constexpr int kSteps = 50;

diffusion::RefinerConfig tiny() {
  diffusion::RefinerConfig config;
  config.network = {8, 1, 2, 2, true};
  config.frames = 5;
  return config;
}

Tensor poses(Index channels, std::uint64_t seed, DType dtype) {
  return Tensor::of({2, 5, kJoints, channels},
                    random_normal({2, 5, kJoints, channels}, seed, 0.3).values<double>(), dtype);
}

diffusion::RefinerBatch batch(int step, DType dtype) {
  const auto seed = static_cast<std::uint64_t>(10 * step);
  return {poses(3, seed + 1, dtype), poses(3, seed + 2, dtype), poses(2, seed + 3, dtype)};
}

Refiner make(const diffusion::RefinerConfig& config, DType dtype, Device device) {
  const diffusion::ErrorScale scale{std::vector<double>(51, 0.0), std::vector<double>(51, 0.4)};
  return Refiner(config, some_noise(), scale, dtype, 11, device);
}

struct Run {
  std::vector<double> losses;
  std::vector<double> refined;
  long long launches = 0;     // by the host, in the last step, which is replayed
  long long of_a_step = 0;    // in the first, which is not
  long long of_refining = 0;  // three steps that are not
};

Run train(const diffusion::RefinerConfig& config, DType dtype, Device device, int steps = kSteps) {
  Refiner refiner = make(config, dtype, device);
  Trainer trainer(refiner.parameters(), {1, steps, 1e-3, 1, 0});
  Run run;
  const DType type = accumulator_of(dtype);
  long long before = 0;
  Trainer::Hooks hooks;
  hooks.batch = [&](int, int step) {
    before = cuda::launches();
    Refiner::Prepared p = refiner.prepare(batch(step, type), 3, static_cast<std::uint64_t>(step));
    return Trainer::Batch{std::move(p.inputs), p.moves};
  };
  hooks.loss = [&](std::span<const Tensor> in, int moves) { return refiner.loss(in, moves, 3); };
  hooks.validate = [] { return 1.0; };
  hooks.on_step = [&](const TrainState&, double loss) {
    run.losses.push_back(loss);
    run.launches = cuda::launches() - before;
    if (run.losses.size() == 1) run.of_a_step = run.launches;
  };
  trainer.run(hooks);
  Replay refine(device,
                [&](std::span<const Tensor> in, int) { return refiner.refine(in[0], in[1], 3); });
  const diffusion::RefinerBatch b = batch(99, type);
  before = cuda::launches();
  for (int i = 0; i < 3; ++i) {
    run.refined = refine({{b.noisy, b.y}}).to_doubles();
    if (i == 0) run.of_refining = cuda::launches() - before;
  }
  return run;
}

void check_close(const std::vector<double>& got, const std::vector<double>& expected,
                 double tolerance) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CHECK_MESSAGE(std::fabs(got[i] - expected[i]) <= tolerance * std::fabs(expected[i]) + 1e-9,
                  "number ", i, ": ", got[i], " instead of ", expected[i]);
  }
}

// A loss a step.
std::vector<double> lifter_losses(const model::NetworkConfig& config, DType dtype, Device device,
                                  const TrainOptions& options = {1, 20, 1e-3, 1, 0, 0.1}) {
  const model::Network network = model::make_network(config, dtype, 5, device);
  Trainer trainer(*network.parameters, options);
  const DType type = accumulator_of(dtype);
  std::vector<double> losses;
  Trainer::Hooks hooks;
  hooks.batch = [&](int, int step) {
    const auto number = static_cast<std::uint64_t>(step);
    std::vector<Tensor> inputs{poses(2, 10 * number + 1, type)};
    if (const auto draw = config.rule->draw; draw != nullptr) {
      for (const Tensor& drop : draw(config, 0.2, 2, dtype, 1, number)) inputs.push_back(drop);
    }
    inputs.push_back(poses(3, 10 * number + 2, type));
    return Trainer::Batch{inputs};
  };
  hooks.loss = [&](std::span<const Tensor> in, int) {
    return network.loss(network.forward(in.first(in.size() - 1)), in.back());
  };
  hooks.validate = [] { return 1.0; };
  hooks.on_step = [&](const TrainState&, double loss) { losses.push_back(loss); };
  trainer.run(hooks);
  return losses;
}

void check_lifter(const model::NetworkConfig& config,
                  const TrainOptions& options = {1, 20, 1e-3, 1, 0, 0.1}) {
  const std::pair<DType, double> tolerances[] = {{DType::f32, 1e-5}, {DType::bf16, 2e-2}};
  for (const auto& [dtype, tolerance] : tolerances) {
    const auto cpu = lifter_losses(config, dtype, Device::cpu, options);
    CHECK(cpu.back() < cpu.front());
    check_close(lifter_losses(config, dtype, Device::cuda, options), cpu, tolerance);
  }
}

}  // namespace

TEST_CASE("cuda: 50 training steps give the CPU's losses, and the refined poses are the CPU's") {
  std::vector<diffusion::RefinerConfig> configs(4, tiny());
  configs[1].noise = diffusion::NoiseKind::ar1;
  configs[1].source = diffusion::ErrorSource::mixed;
  configs[2].states = diffusion::States::rollout;
  configs[3].objective = diffusion::Objective::regression;
  configs[3].network.timestep = false;
  for (const auto& config : configs) {
    const Run cpu = train(config, DType::f32, Device::cpu);
    const Run device = train(config, DType::f32, Device::cuda);
    REQUIRE(cpu.losses.size() == kSteps);
    CHECK(cpu.losses.back() < cpu.losses.front());
    check_close(device.losses, cpu.losses, 1e-5);
    check_close(device.refined, cpu.refined, 1e-3);
    // Replayed: the host launches no kernel of its own.
    CHECK(device.launches == 0);
  }
}

TEST_CASE("cuda: a training step of four blocks is at most 98 launches before it is one graph") {
  diffusion::RefinerConfig config = tiny();
  config.network = {64, 4, 2, 2, true};  // heads of 16 channels
  const Run run = train(config, DType::bf16, Device::cuda, 3);
  CHECK_MESSAGE(run.of_a_step <= 98, run.of_a_step, " launches");
  CHECK(run.launches == 0);
  CHECK_MESSAGE(run.of_refining <= 139, run.of_refining, " launches in three steps");
  // Who looks inside sees the ops that others run as one, with the same bits.
  const Taps taps({"*.local"});
  const Run tapped = train(config, DType::bf16, Device::cuda, 3);
  CHECK(tapped.losses == run.losses);
  CHECK(tapped.of_a_step == run.of_a_step + 51);
}

TEST_CASE("cuda: taps change neither bits nor launches, and see what they see on the CPU") {
  const Run plain = train(tiny(), DType::f32, Device::cuda, 4);
  {
    const Taps taps({"*", "*.grad"});
    const Run tapped = train(tiny(), DType::f32, Device::cuda, 4);
    CHECK(tapped.losses == plain.losses);
    CHECK(tapped.refined == plain.refined);
    CHECK(tapped.of_a_step == plain.of_a_step);
    CHECK(tapped.launches == plain.of_a_step);  // no step is replayed where something looks
  }
  // Of the first step, before the weights part.
  const std::vector<std::string> patterns{"train.*", "train.*.grad"};
  const Taps cpu(patterns);
  train(tiny(), DType::f32, Device::cpu, 1);
  const Taps device(patterns);
  train(tiny(), DType::f32, Device::cuda, 1);
  REQUIRE(device.captured().size() == cpu.captured().size());
  for (const Taps::Captured& c : cpu.captured()) {
    const std::vector<double>& there = device.at(c.name).values;
    REQUIRE(there.size() == c.values.size());
    for (std::size_t i = 0; i < there.size(); ++i) {
      const double difference = std::fabs(there[i] - c.values[i]);
      CHECK_MESSAGE(difference <= 1e-4 * std::fabs(c.values[i]) + 1e-5, c.name, " number ", i);
    }
  }
}

TEST_CASE("cuda: bf16 training follows the CPU's") {
  const Run cpu = train(tiny(), DType::bf16, Device::cpu, 30);
  const Run device = train(tiny(), DType::bf16, Device::cuda, 30);
  // Roundings to eight bits fall the other way now and then.
  check_close(device.losses, cpu.losses, 2e-2);
  CHECK(device.losses.back() < 0.9 * device.losses.front());
}

TEST_CASE("cuda: training a lifter with weight decay follows the CPU") {
  check_lifter({&model::stcformer_network, 5, {8, 2, 2, 2, 0, 0}});
  check_lifter({&model::mixste_network, 5, {8, 2, 2, 2, 0, 0}});
}

TEST_CASE("cuda: clipping, several batches a step, averages, groups, SGD and Muon follow the CPU") {
  for (const OptimiserKind kind : {OptimiserKind::adam, OptimiserKind::sgd, OptimiserKind::muon}) {
    TrainOptions options{1, 8, 2e-3, 1, 0, 0.1};
    options.optimiser = kind;
    options.undecayed = {"*.bias"};
    options.warm_up = 3;
    options.cosine = true;
    options.clip_norm = 0.5;
    options.micro_batches = 2;
    options.ema = 0.9;
    check_lifter({&model::stcformer_network, 5, {8, 1, 2, 2, 0, 0}}, options);
  }
}
