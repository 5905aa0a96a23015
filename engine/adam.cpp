#include "engine/adam.hpp"

#include <cmath>

#include "engine/dispatch.hpp"
#include "engine/profile.hpp"
#include "kernels/adam/adam.hpp"

namespace posetape {
namespace {

Tensor zeros_like(const Tensor& t) {
  return Tensor::zeros(t.shape(), t.dtype(), t.device());
}

}  // namespace

Adam::Adam(const ParameterList& parameters, AdamOptions options)
    : m(zeros_like(parameters.values())),
      v(zeros_like(parameters.values())),
      rates_(Tensor::zeros({3}, DType::f64, parameters.values().device())),
      values_(parameters.values()),
      gradients_(parameters.gradients()),
      options_(options) {}

void Adam::step(double lr) {
  prepare(lr);
  update();
}

void Adam::prepare(double lr) {
  ++steps;
  const double t = static_cast<double>(steps);
  const double rates[] = {lr, 1 - std::pow(options_.beta1, t), 1 - std::pow(options_.beta2, t)};
  copy(Tensor::of<double>({3}, rates), rates_);
}

void Adam::update() {
  Profile* profile = Profile::current();
  if (profile != nullptr) profile->begin();
  dispatch_real(values_, [&]<class T>(auto where) {
    launch(where, AdamUpdate<T>{values_.data<T>(), gradients_.data<T>(), m.data<T>(), v.data<T>(),
                                rates_.data<double>(), values_.size(), options_.beta1,
                                options_.beta2, options_.eps});
  });
  if (profile != nullptr) {
    // Reads p, g, m, v and writes all but g.
    profile->end("adam", {12.0 * static_cast<double>(values_.size()),
                          7.0 * static_cast<double>(values_.bytes())});
  }
}

}  // namespace posetape
