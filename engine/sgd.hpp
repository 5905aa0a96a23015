// Stochastic gradient descent with momentum, on a model's parameter block.
#pragma once

#include "engine/optimiser.hpp"

namespace posetape {

struct SgdOptions {
  double momentum = 0;
  // Coupled, as an L2 penalty: this part of each parameter is added to its gradient,
  double weight_decay = 0;
  // but for those whose names match one of these patterns: {"*.bias", "*.gamma"}.
  std::vector<std::string> undecayed = {};
};

class Sgd : public Optimiser {
 public:
  // Of `part` of the block alone, where that is given.
  explicit Sgd(const ParameterList& parameters, SgdOptions options = {},
               std::optional<BlockPart> part = std::nullopt);

  std::vector<State> state() const override;
  std::string settings() const override;

  Tensor velocity;

 private:
  std::vector<double> rates(double lr) const override;
  void launch_update(const Run& run) override;
  Cost cost() const override;

  SgdOptions options_;
};

}  // namespace posetape
