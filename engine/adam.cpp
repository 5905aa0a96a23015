#include "engine/adam.hpp"

#include <cmath>

#include "engine/dispatch.hpp"
#include "engine/observer.hpp"
#include "kernels/adam/adam.hpp"

namespace posetape {
namespace {

Tensor zeros_like(const Tensor& t) {
  return Tensor::zeros(t.shape(), t.dtype(), t.device());
}

}  // namespace

Adam::Adam(const ParameterList& parameters, AdamOptions options)
    : m(zeros_like(parameters.masters())),
      v(zeros_like(parameters.masters())),
      rates_(Tensor::zeros({4}, DType::f64, parameters.values().device())),
      masters_(parameters.masters()),
      values_(parameters.values()),
      gradients_(parameters.gradients()),
      options_(options) {}

void Adam::step(double lr) {
  check_gradients();
  prepare(lr);
  update();
}

void Adam::prepare(double lr) {
  ++steps;
  const double t = static_cast<double>(steps);
  const double rates[] = {lr, 1 - std::pow(options_.beta1, t), 1 - std::pow(options_.beta2, t), 0};
  copy(Tensor::of<double>({4}, rates), rates_);
}

void Adam::check_gradients() const {
  if (!gradients_.storage().gradient_is_used()) return;
  fail(
      "Adam: no gradient was written since the last step (or ever); give backward() the places of "
      "the list that is optimised: options.destinations = parameters.destinations()");
}

void Adam::update(const Tensor& loss) {
  check_gradients();
  Observer::each([](Observer& o) { o.before_update(); });
  if (loss.defined()) copy(loss, rates_.part({1}, 3));
  dispatch_real(gradients_, [&]<class T>(auto where) {
    using A = Accumulator<T>;
    launch(where,
           AdamUpdate<T>{masters_.data<A>(), std::is_same_v<A, T> ? nullptr : values_.data<T>(),
                         gradients_.data<T>(), m.data<A>(), v.data<A>(), rates_.data<double>(),
                         masters_.size(), options_.beta1, options_.beta2, options_.eps,
                         options_.weight_decay});
  });
  masters_.mark_written();
  values_.mark_written();
  gradients_.storage().gradient_used();
  // Reads p, g, m, v and writes p, m, v.
  const Cost cost{
      12.0 * static_cast<double>(values_.size()),
      6.0 * static_cast<double>(masters_.bytes()) + static_cast<double>(gradients_.bytes())};
  Observer::each([&](Observer& o) { o.after_update("adam", cost); });
}

}  // namespace posetape
