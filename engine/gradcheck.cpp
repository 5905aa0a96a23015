#include "engine/gradcheck.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "engine/ridders.hpp"
#include "engine/rng.hpp"

namespace posetape {
namespace {

using Tensors = std::vector<Tensor>;

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
// Ridders' own estimate is a difference of two neighbours in its tableau; the truth is within a few
// of them.
constexpr double kTrustFactor = 4;
// A gradient must stand out this far from the oracle's error, or nothing was tested.
constexpr double kVacuous = 100;
// What a gradient of zero may be made of: rounding beside numbers of the order of 1.
constexpr double kZero = 1e-12;

bool contains(const std::vector<int>& list, std::size_t i) {
  return std::find(list.begin(), list.end(), static_cast<int>(i)) != list.end();
}

bool floating(const Tensor& t) {
  return t.defined() && t.dtype() != DType::i32;
}

double dot(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (Index i = 0; i < a.size(); ++i) sum += a.data<double>()[i] * b.data<double>()[i];
  return sum;
}

// What a dot product is made of.
double magnitude(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (Index i = 0; i < a.size(); ++i) {
    sum += std::fabs(a.data<double>()[i] * b.data<double>()[i]);
  }
  return sum;
}

// Bound of the rounding in a dot product of terms that were rounded themselves.
double rounding(const Tensor& a, const Tensor& b) {
  return 8 * kEpsilon * magnitude(a, b);
}

double largest(const Tensor& t) {
  double most = 0;
  for (const double v : t.values<double>()) {
    if (!(std::fabs(v) <= most)) most = std::fabs(v);  // a NaN is the largest
  }
  return most;
}

Tensors moved(std::span<const Tensor> tensors, Device device) {
  Tensors all;
  for (const Tensor& t : tensors) all.push_back(t.to(device));
  return all;
}

// On the CPU.
struct Evaluated {
  Tensors outputs;
  Tensors cotangents;
  Tensors gradients;  // undefined for inputs that are not checked
};

// f's outputs, random cotangents (the given ones where there are some), and the gradients of
// <cotangents, outputs>: one backward for each output, added up.
Evaluated evaluate(const TensorFunction& f, std::span<const Tensor> on_host,
                   const std::vector<bool>& checked, std::uint64_t seed, Device device,
                   const Intercept& intercept = {}, const Tensors& cotangents = {}) {
  const Tensors inputs = moved(on_host, device);
  Evaluated e;
  Tape tape;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (checked[i]) tape.watch(inputs[i]);
  }
  Tensors outputs;
  {
    Recording on(tape);
    outputs = f(inputs);
  }
  e.outputs = moved(outputs, Device::cpu);
  e.gradients.resize(inputs.size());
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    const Tensor& y = outputs[o];
    if (!y.defined()) {
      e.cotangents.emplace_back();
      continue;
    }
    e.cotangents.push_back(o < cotangents.size() ? cotangents[o]
                                                 : random_normal(y.shape(), seed * 1000 + o));
    Tape::Options options;
    options.cotangent = e.cotangents[o].to(device);
    options.intercept = intercept;
    const Gradients gradients = tape.backward(y, options);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!checked[i]) continue;
      const Tensor g = gradients.of(inputs[i]).to(Device::cpu);
      if (e.gradients[i].defined()) {
        accumulate(g, e.gradients[i]);
      } else {
        e.gradients[i] = g.clone();
      }
    }
  }
  return e;
}

double weighted(const Tensors& outputs, const Tensors& cotangents) {
  double sum = 0;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].defined()) sum += dot(outputs[i], cotangents[i]);
  }
  return sum;
}

// A place or a direction in which a gradient is checked.
struct Probe {
  Tensor direction;
  double length = 1;
  std::string where;
};

std::vector<Probe> probes(const Tensor& x, const GradcheckOptions& options) {
  std::vector<Probe> all;
  for (Index k = 0; x.size() <= options.full_up_to && k < x.size(); ++k) {
    const Tensor unit = Tensor::zeros(x.shape(), DType::f64);
    unit.data<double>()[k] = 1;
    all.push_back({unit, 1, fmt::format("element {}", k)});
  }
  for (int d = 0; d < options.directions; ++d) {
    const Tensor random =
        random_normal(x.shape(), options.seed * 7919 + static_cast<std::uint64_t>(d));
    all.push_back({random, std::sqrt(dot(random, random)), fmt::format("direction {}", d)});
  }
  return all;
}

struct Measured {
  double analytic = 0;
  double numeric = 0;
  double trust = 0;
  double length = 1;
  std::string where;
};

// The verdict over all probes of one input.
// `noise`: a gradient below it cannot be told from rounding in the function's values.
Finding judge(int input, Oracle oracle, const std::vector<Measured>& all, double scale,
              double noise, double tolerance, const GradcheckOptions& options) {
  Finding finding;
  finding.input = input;
  finding.oracle = oracle;
  finding.scale = scale;
  finding.verdict = Verdict::agree;
  const bool zero = contains(options.zero, static_cast<std::size_t>(input));
  double worst = -1;
  double least_trust = std::numeric_limits<double>::infinity();
  for (const Measured& m : all) {
    // A gradient of zero has nothing to be relative to: it has to vanish beside 1, and the oracle
    // has nothing to add.
    const double numeric = zero ? 0 : m.numeric;
    const double difference = std::fabs(m.analytic - numeric);
    const double allowed = (zero ? kZero : tolerance * scale) * m.length;
    const double trust = zero ? 0 : m.trust;
    least_trust = std::min(least_trust, trust / m.length);
    const bool differs = !(difference <= allowed + trust);
    // An oracle that is off by more than what it is to tell cannot confirm anything.
    const bool unsure = !differs && trust > 100 * allowed;
    const double excess = difference / (allowed + trust);
    if (differs) finding.verdict = Verdict::disagree;
    if (unsure && finding.verdict == Verdict::agree) finding.verdict = Verdict::unresolved;
    if (worst >= 0 && !(excess > worst) && !std::isnan(excess)) continue;
    worst = std::isnan(excess) ? std::numeric_limits<double>::infinity() : excess;
    const double unit = scale > 0 && !zero ? scale * m.length : m.length;
    finding.error = difference == 0 ? 0 : difference / unit;
    finding.trust = trust / unit;
    finding.where = m.where;
    finding.analytic = m.analytic;
    finding.numeric = m.numeric;
    if (std::isnan(difference)) break;
  }
  const bool stands_out = scale > noise || std::isnan(scale);
  if (!zero && (!stands_out ||
                (finding.verdict != Verdict::disagree && !(scale > kVacuous * least_trust)))) {
    finding.verdict = Verdict::vacuous;
  }
  finding.passed =
      finding.verdict == Verdict::agree || (finding.verdict == Verdict::unresolved && options.kink);
  return finding;
}

class Checker {
 public:
  Checker(const TensorFunction& f, std::span<const Tensor> inputs, const GradcheckOptions& options)
      : f_(f), options_(options) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (floating(inputs[i]) && inputs[i].dtype() != DType::f64) {
        fail("gradcheck: input {} is {}; the oracles need f64", i, name(inputs[i].dtype()));
      }
      checked_.push_back(floating(inputs[i]) && inputs[i].size() > 0 &&
                         !contains(options.constant, i));
      inputs_.push_back(floating(inputs[i]) ? inputs[i].clone() : inputs[i]);
    }
    plain_ = evaluate(f_, inputs_, checked_, options_.seed, options_.device, options_.intercept);
    for (std::size_t o = 0; o < plain_.outputs.size(); ++o) {
      if (!plain_.outputs[o].defined()) continue;
      noise_ += kEpsilon * magnitude(plain_.outputs[o], plain_.cotangents[o]);
    }
  }

  std::size_t inputs() const { return inputs_.size(); }
  bool checked(std::size_t i) const { return checked_[i]; }

  Finding check(Oracle oracle, std::size_t i) {
    const auto start = std::chrono::steady_clock::now();
    Finding finding;
    try {
      finding = oracle == Oracle::differences ? differences(i)
                : oracle == Oracle::composite ? composite(i)
                                              : exact(oracle, i);
    } catch (const Error& error) {
      finding.input = static_cast<int>(i);
      finding.oracle = oracle;
      finding.verdict = Verdict::skipped;
      finding.note = error.what();
    }
    finding.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return finding;
  }

 private:
  Finding differences(std::size_t i) {
    const Tensor origin = inputs_[i].clone();
    std::vector<Measured> all;
    double scale = largest(plain_.gradients[i]);
    for (const Probe& p : probes(origin, options_)) {
      const double size = std::max(1.0, std::fabs(dot(origin, p.direction)) / p.length);
      const auto along = [&](double h) {
        for (Index k = 0; k < origin.size(); ++k) {
          inputs_[i].data<double>()[k] =
              origin.data<double>()[k] + h / p.length * p.direction.data<double>()[k];
        }
        const NoRecording off;
        const Tensors outputs = f_(moved(inputs_, options_.device));
        return weighted(moved(outputs, Device::cpu), plain_.cotangents);
      };
      const Derivative d = ridders(along, options_.step * size);
      all.push_back({dot(plain_.gradients[i], p.direction), d.value * p.length,
                     kTrustFactor * d.error * p.length, p.length, p.where});
      scale = std::max(scale, std::fabs(d.value));
      copy(origin, inputs_[i]);
    }
    // A difference is that much rounding over a step.
    return judge(static_cast<int>(i), Oracle::differences, all, scale, kVacuous * noise_,
                 options_.tolerance, options_);
  }

  Finding exact(Oracle oracle, std::size_t i) {
    std::vector<Measured> all;
    double scale = largest(plain_.gradients[i]);
    for (const Probe& p : probes(inputs_[i], options_)) {
      Tensors tangents(inputs_.size());
      tangents[i] = p.direction;
      const Tensors derivative = oracle == Oracle::adjoint ? jvp(f_, inputs_, tangents)
                                                           : complex_step(f_, inputs_, tangents);
      double numeric = 0;
      double trust = rounding(plain_.gradients[i], p.direction);
      for (std::size_t o = 0; o < derivative.size(); ++o) {
        if (!derivative[o].defined()) continue;
        numeric += dot(plain_.cotangents[o], derivative[o]);
        trust += rounding(plain_.cotangents[o], derivative[o]);
      }
      all.push_back({dot(plain_.gradients[i], p.direction), numeric, trust, p.length, p.where});
      scale = std::max(scale, std::fabs(numeric) / p.length);
    }
    return judge(static_cast<int>(i), oracle, all, scale, noise_, options_.exact_tolerance,
                 options_);
  }

  Finding composite(std::size_t i) {
    if (!composite_) {
      composite_ = evaluate(options_.composite, inputs_, checked_, options_.seed, Device::cpu, {},
                            plain_.cotangents);
    }
    const Evaluated& other = *composite_;
    for (std::size_t o = 0; o < plain_.outputs.size(); ++o) {
      const Tensor& y = plain_.outputs[o];
      if (o >= other.outputs.size() || y.defined() != other.outputs[o].defined() ||
          (y.defined() && y.shape() != other.outputs[o].shape())) {
        fail("composite: output {} is missing or of another shape", o);
      }
      if (!y.defined()) continue;
      const double scale = largest(y);
      for (Index k = 0; k < y.size(); ++k) {
        const double a = y.data<double>()[k];
        const double b = other.outputs[o].data<double>()[k];
        if (std::fabs(a - b) <= options_.exact_tolerance * scale) continue;
        Finding finding;
        finding.input = static_cast<int>(i);
        finding.oracle = Oracle::composite;
        finding.verdict = Verdict::disagree;
        finding.scale = scale;
        finding.error = std::fabs(a - b) / scale;
        finding.where = fmt::format("value {} of output {}", k, o);
        finding.analytic = a;
        finding.numeric = b;
        return finding;
      }
    }
    const Tensor& g = plain_.gradients[i];
    const Tensor& h = other.gradients[i];
    std::vector<Measured> all;
    for (Index k = 0; k < g.size(); ++k) {
      all.push_back({g.data<double>()[k], h.data<double>()[k], 0, 1, fmt::format("element {}", k)});
    }
    return judge(static_cast<int>(i), Oracle::composite, all, std::max(largest(g), largest(h)),
                 noise_, options_.exact_tolerance, options_);
  }

  const TensorFunction& f_;
  const GradcheckOptions& options_;
  Tensors inputs_;
  std::vector<bool> checked_;
  Evaluated plain_;
  double noise_ = 0;  // rounding in <cotangents, f(inputs)>
  std::optional<Evaluated> composite_;
};

}  // namespace

const char* name(Oracle oracle) {
  constexpr const char* kNames[] = {"differences", "adjoint", "complex-step", "composite"};
  return kNames[static_cast<int>(oracle)];
}

const char* name(Verdict verdict) {
  constexpr const char* kNames[] = {"agree", "disagree", "unresolved", "vacuous", "skipped"};
  return kNames[static_cast<int>(verdict)];
}

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
  return !findings.empty() &&
         std::all_of(findings.begin(), findings.end(), [](const auto& f) { return f.passed; });
}

std::string GradcheckReport::failures() const {
  std::string text;
  if (findings.empty()) text = "nothing was checked: every input is constant or empty\n";
  for (const Finding& f : findings) {
    if (f.passed) continue;
    text += fmt::format("input {}: {} {}", f.input, name(f.oracle), name(f.verdict));
    if (f.verdict == Verdict::skipped) {
      text += fmt::format(": {}\n", f.note);
      continue;
    }
    text += fmt::format(
        " at {}: analytic {:.12g}, oracle {:.12g}, relative error {:.2e} (the oracle's own {:.1e}, "
        "gradient scale {:.2e})\n",
        f.where, f.analytic, f.numeric, f.error, f.trust, f.scale);
  }
  return text;
}

GradcheckReport gradcheck(const TensorFunction& f, std::span<const Tensor> inputs,
                          const GradcheckOptions& options, std::optional<Oracle> only) {
  Checker checker(f, inputs, options);
  GradcheckReport report;
  for (std::size_t i = 0; i < checker.inputs(); ++i) {
    if (!checker.checked(i)) continue;
    for (const Oracle oracle :
         {Oracle::differences, Oracle::adjoint, Oracle::complex_step, Oracle::composite}) {
      if (only && oracle != *only) continue;
      if (std::ranges::find(options.without, oracle) != options.without.end()) continue;
      if (oracle == Oracle::composite && !options.composite) continue;
      report.findings.push_back(checker.check(oracle, i));
    }
  }
  return report;
}

}  // namespace posetape
