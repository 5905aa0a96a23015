// Moving averages of a model's weights, which often do better than the weights themselves (Polyak
// and Juditsky 1992; Tarvainen and Valpola, arXiv 1703.01780).
#pragma once

#include "engine/parameters.hpp"

namespace posetape {

class Ema {
 public:
  // The averages begin as the weights of now.
  explicit Ema(const ParameterList& parameters);

  // After a step: average += (1 - decay) (weight - average), with a decay in [0, 1).
  void update(double decay);

  // Of all weights, laid out as masters() are: what a checkpoint keeps.
  Tensor average;

 private:
  Tensor masters_;
};

// While it lives, the parameters are the averages: for a validation, or for what is saved as best.
class Averaged {
 public:
  Averaged(const ParameterList& parameters, const Ema& ema);
  ~Averaged();
  Averaged(const Averaged&) = delete;
  Averaged& operator=(const Averaged&) = delete;

 private:
  const ParameterList* parameters_;
  Tensor weights_;
};

}  // namespace posetape
