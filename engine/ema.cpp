#include "engine/ema.hpp"

#include "engine/ops/elementwise.hpp"
#include "engine/ops/scale.hpp"
#include "engine/tape.hpp"

namespace posetape {

Ema::Ema(const ParameterList& parameters) : masters_(parameters.masters()) {
  const NoRecording off;
  average = masters_.clone();
}

void Ema::update(double decay) {
  if (!(decay >= 0 && decay < 1)) fail("Ema: the decay is {}; it must be in [0, 1)", decay);
  const NoRecording off;
  // In this form a weight that stays is its own average, to the bit.
  accumulate(scale(sub(masters_, average), 1 - decay), average);
}

Averaged::Averaged(const ParameterList& parameters, const Ema& ema) : parameters_(&parameters) {
  const NoRecording off;
  weights_ = parameters.masters().clone();
  copy(ema.average, parameters.masters());
  parameters.masters_changed();
}

Averaged::~Averaged() {
  copy(weights_, parameters_->masters());
  parameters_->masters_changed();
}

}  // namespace posetape
