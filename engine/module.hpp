// A network with its parameters, and the short step: two statements to set up, two a step.
//
//   Module<Layers> net(config, DType::f32, /*seed=*/1);
//   Adam adam(net);
//   ...
//   loss = gradients(net, [&] { return mse_loss(net(x), y); });
//   adam.step(1e-3);
#pragma once

#include <functional>
#include <utility>

#include "engine/parameters.hpp"

namespace posetape {

// `Layers` is made of (ParameterList&, config), adds its parameters to the list and is called as
// Layers::operator() is. Copies share their memory, as those of tensors do.
template <class Layers>
class Module : public ParameterList {
 public:
  template <class Config>
  explicit Module(const Config& config, DType dtype, std::uint64_t seed,
                  Device device = Device::cpu)
      : ParameterList(make_parameters<Layers>(config, dtype, seed, device)),
        layers_(*this, config) {}

  template <class... Inputs>
  auto operator()(Inputs&&... inputs) const {
    return layers_(std::forward<Inputs>(inputs)...);
  }
  const Layers& layers() const { return layers_; }

 private:
  Layers layers_;
};

// The loss that `f` computes from the parameters, one element; its gradients stand in
// parameters.gradients(), where an optimiser looks for them. The tape is made for the call, and
// lets go of what recompute() computes up to this level. Throws what Tape::backward does: also
// where nobody has read the gradients of the call before. Whoever wants other gradients, or to see
// the tape, has Tape (engine/tape.hpp).
Tensor gradients(const ParameterList& parameters, const std::function<Tensor()>& f,
                 int recompute_level = 0);

}  // namespace posetape
