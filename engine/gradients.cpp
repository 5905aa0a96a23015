#include "engine/gradients.hpp"

#include <algorithm>

#include "engine/dispatch.hpp"
#include "engine/ops/cast.hpp"
#include "engine/ops/elementwise.hpp"
#include "engine/ops/scale.hpp"
#include "engine/ops/sum.hpp"
#include "engine/tape.hpp"
#include "kernels/clip/clip.hpp"

namespace posetape {
namespace {

Tensor wide(const Tensor& gradients) {
  return cast(gradients, accumulator_of(gradients.dtype()));
}

}  // namespace

Tensor global_norm(const ParameterList& parameters) {
  const NoRecording off;
  const Tensor g = wide(parameters.gradients());
  return sqrt(sum(mul(g, g)));
}

std::vector<std::string> without_gradient(const ParameterList& parameters) {
  std::vector<std::string> names;
  for (const ParameterList::Entry& e : parameters.entries()) {
    if (e.frozen || e.value.size() == 0) continue;
    const std::vector<double> gradient = e.gradient.to_doubles();
    if (std::ranges::all_of(gradient, [](double v) { return v == 0; })) names.push_back(e.name);
  }
  return names;
}

Tensor clip_gradients(const ParameterList& parameters, double most) {
  if (!(most > 0)) fail("clip_gradients: the largest norm is {}; it must be above 0", most);
  const Tensor norm = global_norm(parameters);
  const Tensor& g = parameters.gradients();
  dispatch_real(g, [&]<class T>(auto where) {
    launch(where, ClipByNorm<T>{g.data<T>(), norm.data<Accumulator<T>>(), g.size(), most});
  });
  g.mark_written();
  return norm;
}

GradientSum::GradientSum(const ParameterList& parameters)
    : gradients_(parameters.gradients()),
      sum_(Tensor::zeros(gradients_.shape(), accumulator_of(gradients_.dtype()),
                         gradients_.device())) {}

void GradientSum::clear() {
  fill(sum_, 0);
}

void GradientSum::add() {
  const NoRecording off;
  accumulate(wide(gradients_), sum_);
}

void GradientSum::mean(int passes) {
  if (passes < 1) fail("GradientSum: the mean of {} passes", passes);
  const NoRecording off;
  copy(scale(sum_, 1.0 / passes), gradients_);
}

}  // namespace posetape
