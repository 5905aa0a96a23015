// The optimiser: Adam, or AdamW, on a model's parameter block.
#pragma once

#include <cstdint>

#include "engine/parameters.hpp"

namespace posetape {

struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  // Decoupled (AdamW): each step also takes lr times this part off every parameter.
  double weight_decay = 0;
};

class Adam {
 public:
  explicit Adam(const ParameterList& parameters, AdamOptions options = {});

  // One update of all parameters from their gradients at learning rate `lr`: prepare(lr) and
  // update(). Throws where nobody has written to parameters.gradients() since the update before. A
  // gradient of NaN makes the weights NaN: look at the loss before.
  void step(double lr);
  // What depends on the number of the step, and the update itself, whose work is the same each time
  // and can be recorded (engine/replay.hpp). Where a loss is given, one element, and it is not
  // finite, weights and moments stay as they are.
  void prepare(double lr);
  void update(const Tensor& loss = {});

  // The state that a checkpoint keeps: first and second moments, and the steps taken.
  Tensor m;
  Tensor v;
  std::int64_t steps = 0;

 private:
  void check_gradients() const;

  Tensor rates_;  // f64, see AdamUpdate
  Tensor masters_;
  Tensor values_;
  Tensor gradients_;
  AdamOptions options_;
};

}  // namespace posetape
