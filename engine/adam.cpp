#include "engine/adam.hpp"

#include <cmath>

#include "engine/dispatch.hpp"
#include "kernels/adam/adam.hpp"

namespace posetape {

Adam::Adam(const ParameterList& parameters, AdamOptions options)
    : m(Tensor::zeros(parameters.values().shape(), parameters.values().dtype())),
      v(Tensor::zeros(parameters.values().shape(), parameters.values().dtype())),
      values_(parameters.values()),
      gradients_(parameters.gradients()),
      options_(options) {}

void Adam::step(double lr) {
  ++steps;
  const double t = static_cast<double>(steps);
  dispatch_real(values_, [&]<class T>(auto where) {
    launch(where, AdamUpdate<T>{values_.data<T>(), gradients_.data<T>(), m.data<T>(), v.data<T>(),
                                values_.size(), lr, options_.beta1, options_.beta2, options_.eps,
                                1 - std::pow(options_.beta1, t), 1 - std::pow(options_.beta2, t)});
  });
}

}  // namespace posetape
