// What the benchmarks repeat: a network's training step on one batch of noise.
#pragma once

#include <functional>
#include <utility>

#include "engine/adam.hpp"
#include "engine/gradcheck.hpp"
#include "engine/module.hpp"
#include "engine/ops.hpp"
#include "engine/replay.hpp"

namespace posetape {

inline Tensor noise(const Shape& shape, std::uint64_t seed, DType dtype = DType::f32) {
  const Tensor values = random_normal(shape, seed);
  return Tensor::of(shape, std::span<const double>(values.values<double>()), dtype);
}

// Forward, loss, backward and, in step(), Adam; on a GPU step() is one graph. `forward` makes the
// network's output where its parameters are.
class TrainingStep {
 public:
  TrainingStep(const ParameterList& parameters, std::function<Tensor()> forward,
               const Tensor& target, int recompute_level = 0)
      : parameters_(&parameters),
        recompute_level_(recompute_level),
        forward_(std::move(forward)),
        target_(target.to(parameters.device())),
        adam_(parameters),
        update_(parameters.device(), [this](std::span<const Tensor>, int) {
          Tensor loss = gradients();
          adam_.update();
          return loss;
        }) {}
  TrainingStep(const TrainingStep&) = delete;
  TrainingStep& operator=(const TrainingStep&) = delete;

  // The loss; the gradients stand in parameters.gradients().
  Tensor gradients() {
    return posetape::gradients(
        *parameters_, [&] { return joint_distance_loss(forward_(), target_); }, recompute_level_);
  }

  void step() {
    adam_.prepare(1e-4);
    update_({});
  }

 private:
  const ParameterList* parameters_;
  int recompute_level_;
  std::function<Tensor()> forward_;
  Tensor target_;
  Adam adam_;
  Replay update_;
};

}  // namespace posetape
