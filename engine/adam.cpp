#include "engine/adam.hpp"

#include <cmath>

#include <fmt/format.h>

#include "engine/dispatch.hpp"
#include "kernels/adam/adam.hpp"

namespace posetape {

Adam::Adam(const ParameterList& parameters, AdamOptions options, std::optional<BlockPart> part)
    : Adam("adam", parameters, std::move(options), part, {}) {}

Adam::Adam(const char* name, const ParameterList& parameters, AdamOptions options,
           std::optional<BlockPart> part, const Alone& alone)
    : Optimiser(name, parameters, options.weight_decay, options.undecayed, part, alone),
      m(zeros_of_part()),
      v(zeros_of_part()),
      options_(std::move(options)) {}

std::vector<Optimiser::State> Adam::state() const {
  return {{"m", "Adam's first moment", m}, {"v", "Adam's second moment", v}};
}

std::string Adam::settings() const {
  return fmt::format("beta1 {}, beta2 {}, eps {}, weight decay {} but for [{}]", options_.beta1,
                     options_.beta2, options_.eps, options_.weight_decay,
                     fmt::join(options_.undecayed, ", "));
}

std::vector<double> Adam::rates(double lr) const {
  const double t = static_cast<double>(steps);
  return {lr, 1 - std::pow(options_.beta1, t), 1 - std::pow(options_.beta2, t)};
}

void Adam::launch_update(const Run& run) {
  dispatch_real(gradients_, [&]<class T>(auto where) {
    using A = Accumulator<T>;
    launch(where, AdamUpdate<T>{masters_.data<A>() + run.begin,
                                std::is_same_v<A, T> ? nullptr : values_.data<T>() + run.begin,
                                gradients_.data<T>() + run.begin, m.data<A>() + run.state,
                                v.data<A>() + run.state, rates_.data<double>(), run.size,
                                options_.beta1, options_.beta2, options_.eps, run.weight_decay});
  });
}

Cost Adam::cost() const {
  // Reads p, g, m, v and writes p, m, v.
  return {12.0 * static_cast<double>(values_.size()),
          6.0 * static_cast<double>(masters_.bytes()) + static_cast<double>(gradients_.bytes())};
}

}  // namespace posetape
