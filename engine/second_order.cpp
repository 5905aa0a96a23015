#include "engine/second_order.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "engine/hvp.hpp"
#include "engine/oracles.hpp"
#include "engine/ridders.hpp"
#include "engine/tape.hpp"

namespace posetape {
namespace {

using Tensors = std::vector<Tensor>;

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
// As those of the oracles of first order (oracles.cpp).
constexpr double kTrustFactor = 4;
constexpr double kUnresolved = 100;
constexpr double kRoundingFactor = 8;
// Of w' H u, relative to the sum of its terms' magnitudes.
constexpr double kDifferences = 1e-8;
constexpr double kSymmetry = 1e-12;

// A sum of products, and of their magnitudes.
struct Product {
  double value = 0;
  double magnitude = 0;

  void add(const Tensor& a, const Tensor& b) {
    if (!a.defined() || !b.defined()) return;
    for (Index k = 0; k < a.size(); ++k) {
      const double term = a.data<double>()[k] * b.data<double>()[k];
      value += term;
      magnitude += std::fabs(term);
    }
  }
};

Product product(const Tensors& a, const Tensors& b) {
  Product p;
  for (std::size_t i = 0; i < a.size(); ++i) p.add(a[i], b[i]);
  return p;
}

double length(const Tensors& direction) {
  return std::sqrt(product(direction, direction).value);
}

Tensors scaled(const Tensors& direction, double factor) {
  Tensors all = cloned(direction);
  for (const Tensor& u : all) {
    if (!u.defined()) continue;
    for (double& v : u.values<double>()) v *= factor;
  }
  return all;
}

class SecondOrder {
 public:
  SecondOrder(const TensorFunction& f, std::span<const Tensor> inputs,
              const GradcheckOptions& options)
      : inputs_(cloned(inputs)), options_(options), checked_(checked_inputs(inputs, options)) {
    Tensors cotangents;
    {
      const NoRecording off;
      for (const Tensor& y : f(inputs_)) {
        cotangents.push_back(y.defined()
                                 ? random_normal(y.shape(), options.seed * 1000 + cotangents.size())
                                 : Tensor());
      }
    }
    gradient_ = gradient_function(f, std::move(cotangents), options.constant);
    weights_ = direction(7901, [&](std::size_t i) { return checked_[i]; });
  }

  std::vector<Finding> run(std::optional<Oracle> only) {
    std::vector<Finding> findings;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (!checked_[i]) continue;
      for (const Oracle oracle : {Oracle::second_differences, Oracle::second_symmetry}) {
        if (only && oracle != *only) continue;
        if (std::ranges::find(options_.without, oracle) != options_.without.end()) continue;
        findings.push_back(timed(oracle, i));
      }
    }
    return findings;
  }

 private:
  Finding timed(Oracle oracle, std::size_t i) {
    const auto start = std::chrono::steady_clock::now();
    Finding finding;
    try {
      finding = check(oracle, i);
    } catch (const Error& error) {
      finding.verdict = Verdict::skipped;
      finding.note = error.what();
      // A refusal that the checks of first order meet, too, fails there.
      finding.passed = true;
    }
    finding.input = static_cast<int>(i);
    finding.oracle = oracle;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    finding.seconds = took.count();
    return finding;
  }

  template <class F>
  Tensors direction(std::uint64_t seed, const F& moves) const {
    Tensors all(inputs_.size());
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (moves(i)) all[i] = random_normal(inputs_[i].shape(), options_.seed * seed + i);
    }
    return all;
  }

  Tensors hessian(const Tensors& along) const { return jvp(gradient_, inputs_, along); }

  // <w, gradient> where the inputs have moved by h along u, whose length is 1.
  double weighted_gradient(const Tensors& u, double h) const {
    Tensors at = cloned(inputs_);
    for (std::size_t i = 0; i < at.size(); ++i) {
      for (Index k = 0; u[i].defined() && k < at[i].size(); ++k) {
        at[i].data<double>()[k] += h * u[i].data<double>()[k];
      }
    }
    return product(weights_, gradient_(at)).value;
  }

  Finding check(Oracle oracle, std::size_t i) {
    Tensors u = direction(7919, [&](std::size_t k) { return k == i; });
    u = scaled(u, 1 / length(u));
    const Product analytic = product(weights_, hessian(u));
    Finding finding;
    finding.analytic = analytic.value;
    finding.scale = analytic.magnitude;
    if (oracle == Oracle::second_symmetry) {
      const Product other = product(u, weights_hessian());
      finding.numeric = other.value;
      finding.scale = std::max(finding.scale, other.magnitude);
      finding.trust = kRoundingFactor * rounding(u, finding);
      return verdict(finding, kSymmetry * finding.scale);
    }
    const double step = options_.step * std::max(1.0, std::fabs(product(inputs_of(u), u).value));
    const auto moved = [&](double h) { return weighted_gradient(u, h); };
    const Derivative d = ridders(moved, step);
    const double first = product(weights_, gradient_(inputs_)).magnitude;
    finding.numeric = d.value;
    finding.trust = kTrustFactor * (d.error + kEpsilon * first / step);
    finding.scale = std::max(finding.scale, std::fabs(d.value));
    const double allowed = kDifferences * finding.scale;
    if (!(std::fabs(finding.analytic - d.value) <= allowed + finding.trust)) {
      // Differences over a kink of the gradient may agree with each other.
      if (sides(moved, step).apart) finding.trust = std::numeric_limits<double>::infinity();
    }
    return verdict(finding, allowed);
  }

  // The inputs that move along u, to learn how far away they are.
  Tensors inputs_of(const Tensors& u) const {
    Tensors all(u.size());
    for (std::size_t i = 0; i < u.size(); ++i) {
      if (u[i].defined()) all[i] = inputs_[i];
    }
    return all;
  }

  const Tensors& weights_hessian() {
    if (weights_hessian_.empty()) weights_hessian_ = hessian(weights_);
    return weights_hessian_;
  }

  // H is linear in its direction, right or wrong: three times u gives three times H u, but rounds
  // elsewhere.
  double rounding(const Tensors& u, const Finding& finding) const {
    double worst = 0;
    for (const double factor : {3.0, 0.7}) {
      const Product again = product(weights_, hessian(scaled(u, factor)));
      const Product other = product(u, hessian(scaled(weights_, factor)));
      worst = std::max({worst, std::fabs(again.value / factor - finding.analytic),
                        std::fabs(other.value / factor - finding.numeric)});
    }
    return worst;
  }

  Finding verdict(Finding finding, double allowed) const {
    const double difference = std::fabs(finding.analytic - finding.numeric);
    const bool finite = std::isfinite(finding.analytic) && std::isfinite(finding.numeric);
    const bool zero = finding.scale == 0 && finding.numeric == 0;
    const bool unsure = finding.trust > kUnresolved * allowed;
    finding.verdict = zero                                    ? Verdict::skipped
                      : !finite                               ? Verdict::unresolved
                      : unsure                                ? Verdict::unresolved
                      : difference <= allowed + finding.trust ? Verdict::agree
                                                              : Verdict::disagree;
    finding.confirmed = finding.verdict == Verdict::agree ? 1 : 0;
    finding.passed = finding.verdict != Verdict::disagree;
    if (finding.scale > 0) {
      finding.error = difference / finding.scale;
      finding.trust /= finding.scale;
    }
    if (zero) finding.note = "the second derivative is zero, by both: linear in this input";
    if (finding.verdict == Verdict::unresolved) {
      finding.note = "a kink or a pole is near, or rounding hides it";
    }
    return finding;
  }

  Tensors inputs_;
  const GradcheckOptions& options_;
  std::vector<bool> checked_;
  TensorFunction gradient_;
  Tensors weights_;
  Tensors weights_hessian_;
};

}  // namespace

std::vector<Finding> check_second_order(const TensorFunction& f, std::span<const Tensor> inputs,
                                        const GradcheckOptions& options,
                                        std::optional<Oracle> only) {
  if (options.intercept) return {};  // dual numbers would not meet the planted error as it was made
  return SecondOrder(f, inputs, options).run(only);
}

}  // namespace posetape
