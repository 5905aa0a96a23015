#include "engine/module.hpp"

namespace posetape {

Tensor gradients(const ParameterList& parameters, const std::function<Tensor()>& f,
                 int recompute_level) {
  Tape tape(recompute_level);
  parameters.watch(tape);
  Tensor loss;
  {
    const Recording on(tape);
    loss = f();
  }
  Tape::Options options;
  options.destinations = parameters.destinations();
  options.release = true;
  tape.backward(loss, options);
  return loss;
}

}  // namespace posetape
