// What the benchmarks repeat: a network's training step on one batch of noise.
#pragma once

#include <functional>
#include <utility>

#include "engine/adam.hpp"
#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "engine/tape.hpp"

namespace posetape {

inline Tensor noise(const Shape& shape, std::uint64_t seed, DType dtype = DType::f32) {
  const Tensor values = random_normal(shape, seed);
  return Tensor::of(shape, std::span<const double>(values.values<double>()), dtype);
}

// Forward, loss, backward and, in step(), Adam.
class TrainingStep {
 public:
  TrainingStep(const ParameterList& parameters, std::function<Tensor()> forward, Tensor target)
      : parameters_(&parameters),
        forward_(std::move(forward)),
        target_(std::move(target)),
        adam_(parameters) {}

  // The loss; the gradients stand in parameters.gradients().
  Tensor gradients() {
    Tape tape;
    parameters_->watch(tape);
    Tensor loss;
    {
      const Recording on(tape);
      loss = joint_distance_loss(forward_(), target_);
    }
    Tape::Options options;
    options.destinations = parameters_->destinations();
    options.release = true;
    tape.backward(loss, options);
    return loss;
  }

  void step() {
    gradients();
    adam_.step(1e-4);
  }

 private:
  const ParameterList* parameters_;
  std::function<Tensor()> forward_;
  Tensor target_;
  Adam adam_;
};

}  // namespace posetape
