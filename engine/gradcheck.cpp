#include "engine/gradcheck.hpp"

#include <algorithm>
#include <cmath>

#include "engine/ridders.hpp"
#include "engine/rng.hpp"
#include "engine/tape.hpp"

namespace posetape {
namespace {

std::vector<Tensor> cotangents_for(const std::vector<Tensor>& outputs, std::uint64_t seed) {
  std::vector<Tensor> cotangents;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    cotangents.push_back(outputs[i].defined() ? random_normal(outputs[i].shape(), seed * 1000 + i)
                                              : Tensor());
  }
  return cotangents;
}

double dot(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (Index i = 0; i < a.size(); ++i) sum += a.data<double>()[i] * b.data<double>()[i];
  return sum;
}

double scalar(const TensorFunction& f, std::span<const Tensor> inputs,
              const std::vector<Tensor>& cotangents) {
  const std::vector<Tensor> outputs = f(inputs);
  double sum = 0;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].defined()) sum += dot(outputs[i], cotangents[i]);
  }
  return sum;
}

// Gradients of <cotangents, f(inputs)>, summed over f's outputs one backward each.
std::vector<Tensor> analytic_gradients(const TensorFunction& f, std::span<const Tensor> inputs,
                                       const std::vector<bool>& checked,
                                       std::vector<Tensor>& cotangents, std::uint64_t seed) {
  Tape tape;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (checked[i]) tape.watch(inputs[i]);
  }
  std::vector<Tensor> outputs;
  {
    Recording on(tape);
    outputs = f(inputs);
  }
  cotangents = cotangents_for(outputs, seed);
  std::vector<Tensor> sums(inputs.size());
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    if (!outputs[o].defined()) continue;
    Tape::Options options;
    options.cotangent = cotangents[o];
    const Gradients gradients = tape.backward(outputs[o], options);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!checked[i]) continue;
      const Tensor g = gradients.of(inputs[i]);
      if (sums[i].defined()) {
        accumulate(g, sums[i]);
      } else {
        sums[i] = g.clone();
      }
    }
  }
  return sums;
}

}  // namespace

Tensor random_normal(const Shape& shape, std::uint64_t seed, double scale, double shift) {
  Tensor t = Tensor::empty(shape, DType::f64);
  Random random(seed, Stream::test);
  for (double& v : t.values<double>()) v = shift + scale * random.normal();
  return t;
}

Tensor random_uniform(const Shape& shape, std::uint64_t seed, double low, double high) {
  Tensor t = Tensor::empty(shape, DType::f64);
  Random random(seed, Stream::test);
  for (double& v : t.values<double>()) v = random.uniform(low, high);
  return t;
}

bool GradcheckReport::passed() const {
  return !inputs.empty() &&
         std::all_of(inputs.begin(), inputs.end(), [](const auto& r) { return r.passed; });
}

std::string GradcheckReport::failures() const {
  std::string text;
  if (inputs.empty()) text = "nothing was checked: every input is constant\n";
  for (const InputReport& r : inputs) {
    if (r.passed) continue;
    text += fmt::format(
        "input {} at {}: analytic {:.12g}, numeric {:.12g}, relative error {:.2e} (the oracle's "
        "own error {:.1e}, gradient scale {:.2e})\n",
        r.input, r.where, r.analytic, r.numeric, r.worst_error, r.error_estimate, r.gradient_scale);
  }
  return text;
}

GradcheckReport gradcheck(const TensorFunction& f, std::span<const Tensor> inputs,
                          const GradcheckOptions& options) {
  std::vector<bool> checked;
  std::vector<Tensor> work;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const bool floating = inputs[i].defined() && inputs[i].dtype() != DType::i32;
    if (floating && inputs[i].dtype() != DType::f64) {
      fail("gradcheck: input {} is {}; differences need f64", i, name(inputs[i].dtype()));
    }
    const bool constant = std::find(options.constant.begin(), options.constant.end(),
                                    static_cast<int>(i)) != options.constant.end();
    checked.push_back(floating && !constant && inputs[i].size() > 0);
    // An undefined or repeated input must stay what it is: the function may depend on that.
    work.push_back(floating ? inputs[i].clone() : inputs[i]);
  }

  std::vector<Tensor> cotangents;
  const std::vector<Tensor> analytic =
      analytic_gradients(f, work, checked, cotangents, options.seed);

  GradcheckReport report;
  for (std::size_t i = 0; i < work.size(); ++i) {
    if (!checked[i]) continue;
    const Index size = work[i].size();
    const bool full = size <= options.full_up_to;
    const Index probes = full ? size : options.directions;
    const Tensor origin = work[i].clone();
    struct Probe {
      double analytic;
      Derivative numeric;
    };
    std::vector<Probe> results;
    double scale = 0;
    for (Index p = 0; p < probes; ++p) {
      Tensor direction = full ? Tensor::zeros(origin.shape(), DType::f64)
                              : random_normal(origin.shape(), options.seed * 7919 + p);
      if (full) direction.data<double>()[p] = 1;
      const double size_of_x = full ? std::fabs(origin.data<double>()[p]) : 1.0;
      const double norm = full ? 1.0 : std::sqrt(dot(direction, direction));
      const auto along = [&](double h) {
        for (Index k = 0; k < size; ++k) {
          work[i].data<double>()[k] =
              origin.data<double>()[k] + h / norm * direction.data<double>()[k];
        }
        return scalar(f, work, cotangents);
      };
      Derivative numeric = ridders(along, options.step * std::max(size_of_x, 1.0));
      numeric.value *= norm;
      numeric.error *= norm;
      results.push_back({dot(analytic[i], direction), numeric});
      scale = std::max(scale, std::fabs(numeric.value));
      copy(origin, work[i]);
    }
    InputReport r;
    r.input = static_cast<int>(i);
    r.gradient_scale = scale;
    r.worst_error = -1;
    for (std::size_t p = 0; p < results.size(); ++p) {
      const double difference = std::fabs(results[p].analytic - results[p].numeric.value);
      // A gradient of exactly zero is right where both say so.
      const double relative = difference == 0 ? 0 : difference / scale;
      if (std::isnan(relative) || relative > r.worst_error) {
        r.worst_error = relative;
        r.error_estimate = scale > 0 ? results[p].numeric.error / scale : 0;
        r.analytic = results[p].analytic;
        r.numeric = results[p].numeric.value;
        r.where = fmt::format("{} {}", full ? "element" : "direction", p);
        if (std::isnan(relative)) break;
      }
    }
    r.passed = r.worst_error <= options.tolerance;
    report.inputs.push_back(r);
  }
  return report;
}

}  // namespace posetape
