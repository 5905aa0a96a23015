// Adam, or AdamW, on a model's parameter block.
#pragma once

#include "engine/optimiser.hpp"

namespace posetape {

struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  // Decoupled (AdamW): each step also takes lr times this part off every parameter,
  double weight_decay = 0;
  // but for those whose names match one of these patterns: {"*.bias", "*.gamma"}.
  std::vector<std::string> undecayed = {};
};

class Adam : public Optimiser {
 public:
  // Of `part` of the block alone, where that is given.
  explicit Adam(const ParameterList& parameters, AdamOptions options = {},
                std::optional<BlockPart> part = std::nullopt);

  std::vector<State> state() const override;
  std::string settings() const override;

  // First and second moments.
  Tensor m;
  Tensor v;

 protected:
  // For an optimiser that leaves to Adam what is not alone.
  Adam(const char* name, const ParameterList& parameters, AdamOptions options,
       std::optional<BlockPart> part, const Alone& alone);
  std::vector<double> rates(double lr) const override;
  void launch_update(const Run& run) override;
  Cost cost() const override;

 private:
  AdamOptions options_;
};

}  // namespace posetape
