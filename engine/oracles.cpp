#include "engine/oracles.hpp"

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
constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Ridders' own estimate is a difference of two neighbours in its tableau; the truth is within a few
// of them.
constexpr double kTrustFactor = 4;
// A gradient must stand out this far from the oracle's error, or nothing was tested.
constexpr double kVacuous = 100;
// An oracle whose own error is that many times the tolerance can neither confirm nor refute.
constexpr double kUnresolved = 100;
// What a gradient of zero may be made of: rounding beside numbers of the order of 1.
constexpr double kZero = 1e-12;
// Rounding is drawn three times; the worst of more draws is within a few of them.
constexpr double kRoundingFactor = 8;
// What differs by more than so many roundings of the function's value, or of the largest gradient
// on the way, is none.
constexpr double kMostRounding = 1e4;
// At a kink a slope may be so much of the jump outside of both sides, which are differences.
constexpr double kJumpSlack = 0.02;

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
double rounding_of_dot(const Tensor& a, const Tensor& b) {
  return 8 * kEpsilon * magnitude(a, b);
}

Tensors moved_to(std::span<const Tensor> tensors, Device device) {
  Tensors all;
  for (const Tensor& t : tensors) all.push_back(t.to(device));
  return all;
}

void check_outputs(std::span<const Tensor> outputs) {
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    if (outputs[o].defined() && outputs[o].dtype() != DType::f64) {
      fail(
          "gradcheck: output {} of the function is {}; the inputs are f64, so leave out casts to "
          "other types",
          o, name(outputs[o].dtype()));
    }
  }
}

// <cotangents, outputs>
double weighted(const Tensors& outputs, const Tensors& cotangents) {
  if (outputs.size() != cotangents.size()) {
    fail("gradcheck: the function returned {} tensors, {} before; it must do the same each time",
         outputs.size(), cotangents.size());
  }
  double sum = 0;
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    if (outputs[o].defined() != cotangents[o].defined() ||
        (outputs[o].defined() && outputs[o].shape() != cotangents[o].shape())) {
      fail(
          "gradcheck: output {} of the function is of another shape than before; it must do the "
          "same each time",
          o);
    }
    if (outputs[o].defined()) sum += dot(outputs[o], cotangents[o]);
  }
  return sum;
}

}  // namespace

bool floating(const Tensor& t) {
  return t.defined() && t.dtype() != DType::i32;
}

bool contains(const std::vector<int>& list, std::size_t i) {
  return std::find(list.begin(), list.end(), static_cast<int>(i)) != list.end();
}

double largest(const Tensor& t) {
  double most = 0;
  for (const double v : t.values<double>()) {
    if (!(std::fabs(v) <= most)) most = std::fabs(v);
  }
  return most;
}

bool finite(std::span<const Tensor> tensors) {
  return std::ranges::all_of(tensors, [](const Tensor& t) {
    return !floating(t) ||
           std::ranges::all_of(t.values<double>(), [](double v) { return std::isfinite(v); });
  });
}

std::vector<bool> checked_inputs(std::span<const Tensor> inputs, const GradcheckOptions& options) {
  std::vector<bool> checked;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    checked.push_back(floating(inputs[i]) && inputs[i].size() > 0 &&
                      !contains(options.constant, i));
  }
  return checked;
}

Tensors cloned(std::span<const Tensor> inputs) {
  Tensors all;
  for (const Tensor& t : inputs) all.push_back(floating(t) ? t.clone() : t);
  return all;
}

Oracles::Oracles(const TensorFunction& f, std::span<const Tensor> inputs,
                 const GradcheckOptions& options)
    : f_(f),
      options_(options),
      inputs_(cloned(inputs)),
      checked_(checked_inputs(inputs, options)),
      plain_(evaluate(f, inputs_, options.device, options.intercept, {}, 1)) {
  bool empty = true;
  for (std::size_t o = 0; o < plain_.outputs.size(); ++o) {
    if (!plain_.outputs[o].defined()) continue;
    empty = empty && plain_.outputs[o].size() == 0;
    noise_ += kEpsilon * magnitude(plain_.outputs[o], plain_.cotangents[o]);
  }
  for (std::size_t i = 0; empty && i < checked_.size(); ++i) {
    if (!checked_[i] || contains(options.zero, i)) continue;
    fail(
        "gradcheck: the function returned {}, so there is nothing to differentiate; return its "
        "result, as in std::vector{{y}}",
        plain_.outputs.empty() ? "no tensor" : "only empty tensors");
  }
}

// f's outputs, random cotangents times `factor` (the given ones where there are some), and the
// gradients of <cotangents, outputs> by that factor: one backward for each output, added up.
Oracles::Evaluated Oracles::evaluate(const TensorFunction& f, const Tensors& at, Device device,
                                     const Intercept& intercept, const Tensors& cotangents,
                                     double factor) const {
  const Tensors inputs = moved_to(cloned(at), device);
  Evaluated e;
  Tape tape;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (checked_[i]) tape.watch(inputs[i]);
  }
  Tensors outputs;
  std::vector<bool> tracked;
  {
    const Recording on(tape);
    outputs = f(inputs);
    for (const Tensor& y : outputs) tracked.push_back(recording({y}));
  }
  check_outputs(outputs);
  // An output that is an input would share what a spoiling rule writes to.
  for (const Tensor& y : outputs) e.outputs.push_back(y.defined() ? y.clone().to(Device::cpu) : y);
  e.gradients.resize(inputs.size());
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    const Tensor& y = outputs[o];
    if (!y.defined()) {
      e.cotangents.emplace_back();
      continue;
    }
    Tensor cotangent = o < cotangents.size() ? cotangents[o].clone()
                                             : random_normal(y.shape(), options_.seed * 1000 + o);
    for (double& v : cotangent.values<double>()) v *= factor;
    e.cotangents.push_back(cotangent);
    if (!tracked[o]) continue;
    Tape::Options options;
    options.cotangent = cotangent.clone().to(device);
    const Interception on(intercept);
    const Gradients gradients = tape.backward(y, options);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!checked_[i]) continue;
      const Tensor g = gradients.of(inputs[i]).to(Device::cpu);
      if (e.gradients[i].defined()) {
        accumulate(g, e.gradients[i]);
      } else {
        e.gradients[i] = g.clone();
      }
    }
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!checked_[i]) continue;
    if (!e.gradients[i].defined()) e.gradients[i] = Tensor::zeros(inputs[i].shape(), DType::f64);
    if (factor == 1) continue;
    for (double& v : e.gradients[i].values<double>()) v /= factor;
  }
  return e;
}

std::vector<Probe> Oracles::probes(std::size_t i) const {
  const Tensor& x = inputs_[i];
  std::vector<Probe> all;
  const auto put = [&](const Tensor& direction, std::string where) -> Probe& {
    Probe p{Tensors(inputs_.size()), std::sqrt(dot(direction, direction)), std::move(where)};
    p.direction[i] = direction;
    all.push_back(std::move(p));
    return all.back();
  };
  for (Index k = 0; x.size() <= options_.full_up_to && k < x.size(); ++k) {
    const Tensor unit = Tensor::zeros(x.shape(), DType::f64);
    unit.data<double>()[k] = 1;
    put(unit, fmt::format("element {}", k)).element = static_cast<int>(k);
  }
  for (int d = 0; d < options_.directions; ++d) {
    put(random_normal(x.shape(), options_.seed * 7919 + static_cast<std::uint64_t>(d)),
        fmt::format("direction {}", d));
  }
  for (Probe& p : together(i)) all.push_back(std::move(p));
  return all;
}

std::vector<Probe> Oracles::together(std::size_t i) const {
  constexpr int kDirections = 2;
  const Tensor& x = inputs_[i];
  if (!finite(std::span(&x, 1))) return {};
  std::vector<double> values(x.values<double>().begin(), x.values<double>().end());
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  const auto groups = static_cast<Index>(values.size());
  if (groups == x.size()) return {};
  std::vector<Probe> all;
  for (int d = 0; d < kDirections; ++d) {
    const Tensor amounts =
        random_normal({groups}, options_.seed * 7907 + static_cast<std::uint64_t>(d));
    const Tensor direction = Tensor::empty(x.shape(), DType::f64);
    for (Index k = 0; k < x.size(); ++k) {
      const auto group = std::ranges::lower_bound(values, x.data<double>()[k]) - values.begin();
      direction.data<double>()[k] = amounts.data<double>()[group];
    }
    Probe p{Tensors(inputs_.size()), std::sqrt(dot(direction, direction)),
            fmt::format("equal elements together, direction {}", d)};
    p.direction[i] = direction;
    all.push_back(std::move(p));
  }
  return all;
}

void Oracles::draw_rounding() {
  if (!rounding_.empty()) return;
  rounding_.resize(inputs_.size());
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (checked_[i]) rounding_[i] = Tensor::zeros(inputs_[i].shape(), DType::f64);
  }
  // Terms that cancel are seen on the way: no rounding is larger than theirs.
  double on_the_way = 0;
  const Intercept seen = [&](const Node& node, int input, const Tensor& gradient, Into& into) {
    if (options_.intercept) options_.intercept(node, input, gradient, into);
    const double most = largest(gradient.to(Device::cpu));
    if (std::isfinite(most)) on_the_way = std::max(on_the_way, most);
  };
  evaluate(f_, inputs_, options_.device, seen, plain_.cotangents, 1);
  most_rounding_ = kMostRounding * (noise_ + kEpsilon * on_the_way);

  const double value = weighted(plain_.outputs, plain_.cotangents);
  const auto draw = [&](const Tensors& at, double factor) {
    const Evaluated e =
        evaluate(f_, at, options_.device, options_.intercept, plain_.cotangents, factor);
    const double change = std::fabs(weighted(e.outputs, plain_.cotangents) - value);
    if (change <= most_rounding_) value_rounding_ = std::max(value_rounding_, change);
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (!checked_[i]) continue;
      const Tensor off = e.gradients[i];
      for (Index k = 0; k < off.size(); ++k) {
        off.data<double>()[k] -= plain_.gradients[i].data<double>()[k];
      }
      if (!(largest(off) <= most_rounding_)) continue;
      for (Index k = 0; k < off.size(); ++k) {
        double& worst = rounding_[i].data<double>()[k];
        worst = std::max(worst, std::fabs(off.data<double>()[k]));
      }
    }
  };
  for (const double factor : {3.0, 0.7, 1.0 / 3}) draw(inputs_, factor);
  for (const std::uint64_t number : {1, 2}) {
    Tensors at = cloned(inputs_);
    Random random(options_.seed * 7893 + number, Stream::test);
    for (const Tensor& x : at) {
      if (!floating(x)) continue;
      for (double& v : x.values<double>()) v *= 1 + 2 * kEpsilon * random.uniform(-1, 1);
    }
    draw(at, 3);
  }
}

const Tensor& Oracles::rounding(std::size_t i) {
  draw_rounding();
  return rounding_[i];
}

double Oracles::analytic(const Probe& p) const {
  double sum = 0;
  for (std::size_t i = 0; i < p.direction.size(); ++i) {
    if (p.direction[i].defined()) sum += dot(plain_.gradients[i], p.direction[i]);
  }
  return sum;
}

// <cotangents, f> at inputs that have moved by h along p.
double Oracles::moved(const Probe& p, double h) const {
  Tensors inputs = inputs_;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!p.direction[i].defined()) continue;
    inputs[i] = inputs_[i].clone();
    for (Index k = 0; k < inputs[i].size(); ++k) {
      inputs[i].data<double>()[k] += h / p.length * p.direction[i].data<double>()[k];
    }
  }
  const NoRecording off;
  const Tensors outputs = moved_to(f_(moved_to(inputs, options_.device)), Device::cpu);
  check_outputs(outputs);
  return weighted(outputs, plain_.cotangents);
}

// The first step of the differences.
double Oracles::step_of(const Probe& p) const {
  double along = 0;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (p.direction[i].defined()) along += dot(inputs_[i], p.direction[i]);
  }
  return options_.step * std::max(1.0, std::fabs(along) / p.length);
}

// The largest entry of the gradients of what moves.
double Oracles::scale_of(const Probe& p) const {
  double scale = 0;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (!p.direction[i].defined()) continue;
    const double own = largest(plain_.gradients[i]);
    if (!(own <= scale)) scale = own;
  }
  return scale;
}

std::vector<Measured> Oracles::differences(const std::vector<Probe>& probes) {
  std::vector<Measured> all;
  double scale = 0;  // as the differences see it
  for (const Probe& p : probes) {
    const double step = step_of(p);
    const Derivative d = ridders([&](double h) { return moved(p, h); }, step);
    // The table doesn't know what rounding the values have in common.
    all.push_back(
        {analytic(p), d.value * p.length, kTrustFactor * (d.error + noise_ / step) * p.length});
    if (std::isfinite(d.value)) scale = std::max(scale, std::fabs(d.value));
  }
  // A table of differences over a kink or a pole may agree with itself. Where the answer is another
  // one, the slopes to both sides have to come together as well.
  for (std::size_t k = 0; k < probes.size(); ++k) {
    const Probe& p = probes[k];
    Measured& m = all[k];
    if (std::fabs(m.analytic - m.numeric) <= m.trust + options_.tolerance * scale * p.length) {
      continue;
    }
    const Sides s = sides([&](double h) { return moved(p, h); }, step_of(p));
    const double gap = std::fabs(s.right - s.left);
    const bool stands_out =
        gap > kVacuous * noise_ / s.step && gap > kUnresolved * options_.tolerance * scale;
    if (s.apart && (stands_out || std::isnan(gap))) m.trust = kInfinity;
  }
  return all;
}

// J u
Tensors Oracles::derivative_along(Oracle oracle, const Tensors& direction) const {
  return oracle == Oracle::adjoint ? jvp(f_, inputs_, direction)
                                   : complex_step(f_, inputs_, direction);
}

// How far rounding may have put <v, J u> off: see rounding().
double Oracles::rounding_along(Oracle oracle, const Probe& p, double numeric) const {
  double worst = 0;
  for (const double factor : {3.0, 0.7}) {
    Tensors direction = cloned(p.direction);
    for (const Tensor& u : direction) {
      if (!u.defined()) continue;
      for (double& v : u.values<double>()) v *= factor;
    }
    const double other = weighted(derivative_along(oracle, direction), plain_.cotangents) / factor;
    worst = std::max(worst, std::fabs(other - numeric));
  }
  return worst <= most_rounding_ * p.length ? worst : 0;
}

Measured Oracles::exact(Oracle oracle, const Probe& p) const {
  const Tensors derivative = derivative_along(oracle, p.direction);
  Measured m{analytic(p), weighted(derivative, plain_.cotangents), 0};
  for (std::size_t i = 0; i < p.direction.size(); ++i) {
    if (p.direction[i].defined()) m.trust += rounding_of_dot(plain_.gradients[i], p.direction[i]);
  }
  for (std::size_t o = 0; o < derivative.size(); ++o) {
    if (derivative[o].defined()) m.trust += rounding_of_dot(plain_.cotangents[o], derivative[o]);
  }
  return m;
}

// At a kink there are as many gradients as conventions, and numbers that carry derivatives know the
// forward code's alone: the rule may have another one, if its slope is between those of both sides.
bool Oracles::excused_by_kink(const Probe& p, const Measured& m) const {
  const Sides s = sides([&](double h) { return moved(p, h); }, step_of(p));
  const double jump = std::fabs(s.right - s.left);
  if (!s.apart || !(jump > kVacuous * noise_ / s.step)) return false;
  if (p.element < 0) return true;  // the kinks of several elements add up to anything
  const double slope = m.analytic / p.length;
  const auto [low, high] = std::minmax(s.left, s.right);
  return slope >= low - kJumpSlack * jump && slope <= high + kJumpSlack * jump;
}

// Elements on a kink are left out of the directions, so that these still tell of the others.
std::vector<Measured> Oracles::exact(Oracle oracle, std::vector<Probe>& probes) {
  const auto differs = [&](const Probe& p, const Measured& m) {
    const double scale = std::max(scale_of(p), std::fabs(m.numeric) / p.length);
    return std::fabs(m.analytic - m.numeric) >
           m.trust + options_.exact_tolerance * scale * p.length;
  };
  std::vector<Measured> all;
  std::vector<Probe> kept;
  std::vector<int> left_out;
  for (Probe& p : probes) {
    const bool keeps_ties = p.where.starts_with("equal");
    if (p.element < 0 && !keeps_ties && !left_out.empty()) {
      double squares = 0;
      for (Tensor& u : p.direction) {
        if (!u.defined()) continue;
        for (const int k : left_out) u.data<double>()[k] = 0;
        squares += dot(u, u);
      }
      if (squares == 0) continue;
      p.length = std::sqrt(squares);
    }
    Measured m = exact(oracle, p);
    if ((p.element >= 0 || (keeps_ties && !left_out.empty())) && differs(p, m)) {
      m.kink = excused_by_kink(p, m);
      if (m.kink && p.element >= 0) left_out.push_back(p.element);
    }
    all.push_back(m);
    kept.push_back(std::move(p));
  }
  probes = std::move(kept);
  return all;
}

namespace {

// One probe's measurement beside what is allowed. A gradient of zero (`zero`) has nothing to be
// relative to: it has to vanish beside 1, and the oracle has nothing to add.
struct Comparison {
  Comparison(const Measured& m, double most, bool exact, bool zero)
      : numeric(zero ? 0 : m.numeric),
        difference(std::fabs(m.analytic - numeric)),
        trust(zero ? 0 : m.trust),
        allowed(most),
        broken(!std::isfinite(m.analytic) || (exact && !std::isfinite(numeric))),
        unsure(!broken && ((!zero && m.kink) || trust > kUnresolved * allowed)),
        differs(broken || (!unsure && !(difference <= allowed + trust))) {}

  Verdict verdict() const {
    if (differs) return Verdict::disagree;
    return unsure ? Verdict::unresolved : Verdict::agree;
  }
  // Worse verdicts first, then the one that exceeds what is allowed by most.
  std::pair<int, double> rank() const {
    const double excess = broken ? kInfinity : difference / (allowed + trust);
    return {differs ? 2 : unsure ? 1 : 0, std::isnan(excess) ? 0 : excess};
  }

  double numeric, difference, trust, allowed;
  bool broken, unsure, differs;
};

std::string unresolved_note(bool exact, bool kinks_alone, double step) {
  if (!exact) {
    return fmt::format(
        "a kink, a pole or the end of the domain is near: try a smaller options.step than {:g}, or "
        "declare options.kink",
        step);
  }
  if (kinks_alone) return "on a kink, between the slopes of its two sides: declare options.kink";
  return "rounding hides it, for the gradient's terms cancel: where it is zero by the mathematics, "
         "declare options.zero";
}

}  // namespace

// The verdict over all probes. A gradient below the noise cannot be told from rounding in the
// function's values.
Finding Oracles::verdict(std::size_t i, Oracle oracle, const std::vector<Probe>& probes,
                         const std::vector<Measured>& all, double scale) const {
  const bool exact = oracle != Oracle::differences;
  const bool zero = contains(options_.zero, i);
  const double allowed =
      zero ? kZero : (exact ? options_.exact_tolerance : options_.tolerance) * scale;
  Finding finding;
  finding.input = static_cast<int>(i);
  finding.oracle = oracle;
  finding.scale = scale;
  finding.verdict = Verdict::agree;
  std::pair<int, double> worst{-1, 0};
  double least_trust = kInfinity;
  bool kinks_alone = true;
  for (std::size_t k = 0; k < all.size(); ++k) {
    const double length = probes[k].length;
    const Comparison c(all[k], allowed * length, exact, zero);
    least_trust = std::min(least_trust, c.trust / length);
    if (c.unsure && exact && !all[k].kink) kinks_alone = false;
    if (!c.unsure && !c.differs) ++finding.confirmed;
    if (c.rank() <= worst) continue;
    worst = c.rank();
    const double unit = scale > 0 && std::isfinite(scale) && !zero ? scale * length : length;
    finding.verdict = c.verdict();
    finding.error = c.difference == 0 ? 0 : c.difference / unit;
    finding.trust = c.trust / unit;
    finding.where = probes[k].where;
    finding.analytic = all[k].analytic;
    finding.numeric = c.numeric;
  }
  const bool stands_out =
      scale > (exact ? kRoundingFactor : kVacuous) * noise_ || std::isnan(scale);
  if (!zero &&
      (!stands_out || (finding.verdict == Verdict::agree && !(scale > kVacuous * least_trust)))) {
    finding.verdict = Verdict::vacuous;
  }
  finding.passed = finding.verdict == Verdict::agree ||
                   (finding.verdict == Verdict::unresolved && options_.kink && kinks_alone);
  if (finding.verdict == Verdict::unresolved) {
    finding.note = unresolved_note(exact, kinks_alone, options_.step);
  } else if (finding.verdict == Verdict::vacuous) {
    finding.note =
        "no gradient stands out from rounding: where it is zero by the mathematics, declare "
        "options.zero";
  } else if (worst.second == kInfinity) {
    finding.note = "a derivative is not finite";
  }
  return finding;
}

// Adds to each measurement's trust what the terms of a gradient that cancel leave of their
// rounding.
void Oracles::add_rounding(std::size_t i, Oracle oracle, const std::vector<Probe>& probes,
                           std::vector<Measured>& all) {
  for (std::size_t k = 0; k < all.size(); ++k) {
    const Probe& p = probes[k];
    for (std::size_t n = 0; n < p.direction.size(); ++n) {
      if (!p.direction[n].defined()) continue;
      all[k].trust += kRoundingFactor * magnitude(rounding(n), p.direction[n]);
    }
    if (oracle == Oracle::composite) {
      all[k].trust += kRoundingFactor * rounding(i).data<double>()[p.element];
    } else if (oracle == Oracle::differences) {
      all[k].trust += kTrustFactor * value_rounding_ / step_of(p) * p.length;
    } else {
      all[k].trust += kRoundingFactor * rounding_along(oracle, p, all[k].numeric);
    }
  }
}

Finding Oracles::judge(std::size_t i, Oracle oracle, const std::vector<Probe>& probes,
                       std::vector<Measured> all, double scale) {
  const Finding finding = verdict(i, oracle, probes, all, scale);
  if (finding.verdict != Verdict::disagree || contains(options_.zero, i) || !std::isfinite(scale)) {
    return finding;
  }
  add_rounding(i, oracle, probes, all);
  return verdict(i, oracle, probes, all, scale);
}

Finding Oracles::check(Oracle oracle, std::size_t i, const std::vector<Probe>& given) {
  const auto start = std::chrono::steady_clock::now();
  Finding finding;
  try {
    if (oracle == Oracle::composite) {
      finding = composite(i);
    } else {
      std::vector<Probe> probes = given;
      const std::vector<Measured> all =
          oracle == Oracle::differences ? differences(probes) : exact(oracle, probes);
      double scale = 0;
      for (std::size_t k = 0; k < all.size(); ++k) {
        for (const double s : {scale_of(probes[k]), std::fabs(all[k].numeric) / probes[k].length}) {
          if (!(s <= scale) && !std::isnan(scale)) scale = s;
        }
      }
      finding = judge(i, oracle, probes, all, scale);
    }
  } catch (const Error& error) {
    finding.input = static_cast<int>(i);
    finding.oracle = oracle;
    finding.verdict = Verdict::skipped;
    finding.note = error.what();
    const bool numbers = oracle == Oracle::adjoint || oracle == Oracle::complex_step;
    if (numbers && finding.note.find("holds f64") != std::string::npos) {
      finding.note +=
          "; every tensor that takes part must be an input of the function (list "
          "constants in options.constant)";
    }
  }
  finding.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return finding;
}

Finding Oracles::check(Oracle oracle, std::size_t i) {
  return check(oracle, i, probes(i));
}

Finding Oracles::composite(std::size_t i) {
  if (!composite_) {
    composite_ = evaluate(options_.composite, inputs_, Device::cpu, {}, plain_.cotangents, 1);
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
  std::vector<Probe> probes;
  std::vector<Measured> all;
  for (Index k = 0; k < g.size(); ++k) {
    probes.push_back({{}, 1, fmt::format("element {}", k), static_cast<int>(k)});
    all.push_back({g.data<double>()[k], h.data<double>()[k]});
  }
  return judge(i, Oracle::composite, probes, std::move(all), std::max(largest(g), largest(h)));
}

}  // namespace posetape
