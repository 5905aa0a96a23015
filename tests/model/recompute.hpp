// Training steps at the levels of recompute(), for every network and any device.
#pragma once

#include <doctest/doctest.h>

#include <vector>

#include "engine/gradcheck.hpp"
#include "engine/trainer.hpp"
#include "model/network.hpp"
#include "model/pose_denoiser.hpp"
#include "tests/cases/cases.hpp"

namespace posetape::test {

struct Trained {
  std::vector<double> losses;
  Tensor weights, gradients;  // on the host
  std::size_t peak = 0;       // bytes beside the network and the optimiser
};

// Three steps: on a GPU the first runs as it is, the second is recorded, the third replayed.
inline Trained train(const ParameterList& parameters, int level,
                     const std::function<std::vector<Tensor>(int step)>& batch,
                     const Replay::Function& loss) {
  TrainOptions options{1, 3, 1e-3, 1, 0};
  options.recompute = level;
  Trainer trainer(parameters, options);
  Trained result;
  Trainer::Hooks hooks;
  hooks.batch = [&](int, int step) { return Trainer::Batch{batch(step)}; };
  hooks.loss = loss;
  hooks.validate = [] { return 1.0; };
  hooks.on_step = [&](const TrainState&, double value) { result.losses.push_back(value); };
  Arena& arena = Arena::of(parameters.device());
  arena.reset_peak();
  const std::size_t before = arena.bytes_in_use();
  trainer.run(hooks);
  result.peak = arena.peak_bytes() - before;
  result.weights = parameters.masters().to(Device::cpu).clone();
  result.gradients = parameters.gradients().to(Device::cpu).clone();
  return result;
}

inline Tensor noise(const Shape& shape, int seed) {
  const Tensor values = random_normal(shape, static_cast<std::uint64_t>(seed));
  return Tensor::of(shape, std::span<const double>(values.values<double>()), DType::f32);
}

inline Trained train_denoiser(DType dtype, Device device, int level) {
  const model::PoseDenoiser network({16, 3, 2, 4, true}, dtype, 1, device);
  const auto batch = [](int step) {
    return std::vector{noise({2, 9, 17, 3}, 4 * step), noise({2, 9, 17, 2}, 4 * step + 1),
                       noise({2, 16}, 4 * step + 2), noise({2, 9, 17, 3}, 4 * step + 3)};
  };
  return train(network.parameters(), level, batch, [&](std::span<const Tensor> in, int) {
    return joint_distance_loss(network(in[0], in[1], in[2]), in[3]);
  });
}

inline Trained train_lifter(const model::NetworkConfig& config, DType dtype, Device device,
                            int level) {
  const model::Network network = model::make_network(config, dtype, 1, device);
  const auto batch = [&](int step) {
    std::vector<Tensor> in{noise({2, 9, 17, 2}, 2 * step)};
    if (const auto draw = config.rule->draw; draw != nullptr) {
      for (const Tensor& d : draw(config, 0.3, 2, dtype, 1, static_cast<std::uint64_t>(step)))
        in.push_back(d);
    }
    in.push_back(noise({2, 9, 17, 3}, 2 * step + 1));
    return in;
  };
  return train(*network.parameters, level, batch, [&](std::span<const Tensor> in, int) {
    return network.loss(network.forward(in.first(in.size() - 1)), in.back());
  });
}

// By name.
inline const std::vector<
    std::pair<const char*, std::function<Trained(DType dtype, Device device, int level)>>>
    kTrained{
        {"denoiser", train_denoiser},
        {"stcformer",
         [](DType dtype, Device device, int level) {
           return train_lifter({&model::stcformer_network, 9, {16, 3, 2, 4, 0, 0}}, dtype, device,
                               level);
         }},
        {"mixste",
         [](DType dtype, Device device, int level) {
           return train_lifter({&model::mixste_network, 9, {16, 3, 2, 2, 0, 0}}, dtype, device,
                               level);
         }},
    };

inline void check_equal(const Trained& got, const Trained& expected) {
  CHECK(got.losses == expected.losses);
  CHECK(same_bytes(got.gradients, expected.gradients));
  CHECK(same_bytes(got.weights, expected.weights));
}

}  // namespace posetape::test
