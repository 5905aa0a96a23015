#include "engine/adam.hpp"

#include <cmath>

#include "engine/dispatch.hpp"
#include "engine/profile.hpp"
#include "kernels/adam/adam.hpp"

namespace posetape {

Adam::Adam(const ParameterList& parameters, AdamOptions options)
    : m(Tensor::zeros(parameters.values().shape(), parameters.values().dtype())),
      v(Tensor::zeros(parameters.values().shape(), parameters.values().dtype())),
      values_(parameters.values()),
      gradients_(parameters.gradients()),
      options_(options) {}

void Adam::step(double lr) {
  Profile* profile = Profile::current();
  if (profile != nullptr) profile->begin();
  ++steps;
  const double t = static_cast<double>(steps);
  dispatch_real(values_, [&]<class T>(auto where) {
    launch(where, AdamUpdate<T>{values_.data<T>(), gradients_.data<T>(), m.data<T>(), v.data<T>(),
                                values_.size(), lr, options_.beta1, options_.beta2, options_.eps,
                                1 - std::pow(options_.beta1, t), 1 - std::pow(options_.beta2, t)});
  });
  if (profile != nullptr) {
    // Reads p, g, m, v and writes all but g.
    profile->end("adam", {12.0 * static_cast<double>(values_.size()),
                          7.0 * static_cast<double>(values_.bytes())});
  }
}

}  // namespace posetape
