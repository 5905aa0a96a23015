#include "engine/sgd.hpp"

#include <fmt/format.h>

#include "engine/dispatch.hpp"
#include "kernels/sgd/sgd.hpp"

namespace posetape {

Sgd::Sgd(const ParameterList& parameters, SgdOptions options, std::optional<BlockPart> part)
    : Optimiser("sgd", parameters, options.weight_decay, options.undecayed, part),
      velocity(zeros_of_part()),
      options_(std::move(options)) {}

std::vector<Optimiser::State> Sgd::state() const {
  return {{"velocity", "SGD's velocity", velocity}};
}

std::string Sgd::settings() const {
  return fmt::format("momentum {}, weight decay {} but for [{}]", options_.momentum,
                     options_.weight_decay, fmt::join(options_.undecayed, ", "));
}

std::vector<double> Sgd::rates(double lr) const {
  return {lr};
}

void Sgd::launch_update(const Run& run) {
  dispatch_real(gradients_, [&]<class T>(auto where) {
    using A = Accumulator<T>;
    launch(where, SgdUpdate<T>{masters_.data<A>() + run.begin,
                               std::is_same_v<A, T> ? nullptr : values_.data<T>() + run.begin,
                               gradients_.data<T>() + run.begin, velocity.data<A>() + run.state,
                               rates_.data<double>(), rates_.data<double>() + kLoss, run.size,
                               options_.momentum, run.weight_decay});
  });
}

Cost Sgd::cost() const {
  // Reads p, g, velocity and writes p, velocity.
  return {6.0 * static_cast<double>(values_.size()),
          4.0 * static_cast<double>(masters_.bytes()) + static_cast<double>(gradients_.bytes())};
}

}  // namespace posetape
