#include "engine/structure.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "engine/ops.hpp"
#include "engine/oracles.hpp"
#include "engine/tape.hpp"

namespace posetape {
namespace {

using Tensors = std::vector<Tensor>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// Two ways of adding the same numbers.
constexpr double kRounding = 1e-13;
// Of a gradient whose terms cancel, beside the rounding that was drawn.
constexpr double kDrawn = 8;

// What a claim compared: |a - factor b - c| relative to the largest |b|.
struct Difference {
  double worst = 0;
  double scale = 0;
  double relative() const { return scale > 0 ? worst / scale : worst; }
};

// c may be undefined.
Difference difference(const Tensor& a, double factor, const Tensor& b, const Tensor& c) {
  Difference d;
  for (Index i = 0; i < a.size(); ++i) {
    const double expected =
        factor * b.data<double>()[i] + (c.defined() ? c.data<double>()[i] : 0.0);
    const double error = std::fabs(a.data<double>()[i] - expected);
    d.worst =
        std::isnan(error) ? std::numeric_limits<double>::infinity() : std::max(d.worst, error);
    d.scale = std::max({d.scale, std::fabs(b.data<double>()[i]), std::fabs(expected)});
  }
  return d;
}

class Structure {
 public:
  Structure(const TensorFunction& f, std::span<const Tensor> inputs,
            const GradcheckOptions& options)
      : f_(f),
        given_(inputs),
        options_(options),
        wanted_(checked_inputs(inputs, options)),
        plain_(gradients(wanted_)) {}

  std::vector<Finding> run(std::optional<Oracle> only) {
    for (std::size_t i = 0; i < wanted_.size(); ++i) {
      if (!wanted_[i]) continue;
      for (const auto& [oracle, claim] : {std::pair{Oracle::alone, &Structure::alone},
                                          std::pair{Oracle::added, &Structure::added},
                                          std::pair{Oracle::twice, &Structure::twice},
                                          std::pair{Oracle::destination, &Structure::destination},
                                          std::pair{Oracle::pure, &Structure::pure}}) {
        if (only && *only != oracle) continue;
        if (std::ranges::find(options_.without, oracle) != options_.without.end()) continue;
        const bool sums = oracle == Oracle::added || oracle == Oracle::twice;
        if (sums && !finite(std::span(&plain_[i], 1))) continue;
        const auto start = std::chrono::steady_clock::now();
        Finding finding;
        try {
          (this->*claim)(i, finding);
        } catch (const Error& error) {
          finding.note = error.what();
        }
        finding.input = static_cast<int>(i);
        finding.oracle = oracle;
        finding.passed = finding.note.empty();
        finding.verdict = finding.passed ? Verdict::agree : Verdict::disagree;
        finding.seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        findings_.push_back(std::move(finding));
      }
    }
    return std::move(findings_);
  }

 private:
  Tensor cotangent(const Tensor& y, std::size_t output) const {
    return random_normal(y.shape(), options_.seed * 5000 + output);
  }

  // What is recorded of one pass.
  struct Recorded {
    Tensors inputs;
    Tape tape;
    std::size_t own = 0;  // nodes of f; those after them are this file's
    Tensor loss;          // undefined where nothing depends on what is watched
  };

  // <cotangents, f(inputs) + ...>, f called `times` times, and once more <before, inputs[i]> where
  // that is given. Watches the wanted inputs.
  void record(Recorded& r, const std::vector<bool>& wanted, int times = 1, std::size_t i = 0,
              const Tensor& before = {}) const {
    r.inputs = cloned(given_);
    for (std::size_t k = 0; k < r.inputs.size(); ++k) {
      if (wanted[k]) r.tape.watch(r.inputs[k]);
    }
    const Recording on(r.tape);
    std::vector<Tensors> results;
    for (int n = 0; n < times; ++n) results.push_back(f_(r.inputs));
    r.own = r.tape.nodes().size();
    Tensor total;
    const auto put = [&](const Tensor& term) { total = total.defined() ? add(total, term) : term; };
    for (std::size_t o = 0; o < results[0].size(); ++o) {
      if (!results[0][o].defined()) continue;
      Tensor y = results[0][o];
      for (int n = 1; n < times; ++n) y = add(y, results[static_cast<std::size_t>(n)][o]);
      put(sum(mul(y, cotangent(y, o))));
    }
    if (before.defined()) put(sum(mul(r.inputs[i], before)));
    if (recording({total})) r.loss = total;
  }

  // The caller's intercept sees the nodes of f alone.
  Gradients backward(Recorded& r, const Tape::Options& options = {}) const {
    Intercept own;
    if (options_.intercept) {
      own = [&](const Node& node, int input, const Tensor& g, Into& into) {
        if (&node < r.tape.nodes().data() + r.own) options_.intercept(node, input, g, into);
      };
    }
    const Interception on(own);
    return r.tape.backward(r.loss, options);
  }

  // Undefined for inputs that are not wanted.
  Tensors gradients(const std::vector<bool>& wanted, int times = 1) const {
    Recorded r;
    record(r, wanted, times);
    Tensors all(r.inputs.size());
    for (std::size_t i = 0; i < r.inputs.size(); ++i) {
      if (wanted[i]) all[i] = Tensor::zeros(r.inputs[i].shape(), DType::f64);
    }
    if (!r.loss.defined()) return all;
    const Gradients g = backward(r);
    for (std::size_t i = 0; i < r.inputs.size(); ++i) {
      if (wanted[i]) all[i] = g.of(r.inputs[i]);
    }
    return all;
  }

  std::vector<bool> only(std::size_t i) const {
    std::vector<bool> wanted(wanted_.size());
    wanted[i] = true;
    return wanted;
  }

  void alone(std::size_t i, Finding& finding) {
    const Tensor g = gradients(only(i))[i];
    finding.error = difference(g, 1, plain_[i], {}).relative();
    if (!same_bytes(g, plain_[i])) {
      finding.note = "another gradient where the other inputs need none";
    }
  }

  // The term that comes last in forward comes first in backward.
  void added(std::size_t i, Finding& finding) {
    const Tensor before = random_normal(given_[i].shape(), options_.seed * 6000 + i);
    Recorded r;
    record(r, only(i), 1, i, before);
    const Tensor g = backward(r).of(r.inputs[i]);
    finding.error = difference(g, 1, plain_[i], before).relative();
    if (!(finding.error <= kRounding)) finding.note = "not the sum of what was there and its own";
  }

  void destination(std::size_t i, Finding& finding) {
    Recorded r;
    record(r, only(i));
    if (!r.loss.defined()) return;
    const Tensor memory = Tensor::full(given_[i].shape(), kNaN, DType::f64);
    const std::pair<Tensor, Tensor> place{r.inputs[i], memory};
    Tape::Options options;
    options.destinations = std::span(&place, 1);
    backward(r, options);
    const Tensor expected = backward(r).of(r.inputs[i]);
    finding.error = difference(memory, 1, expected, {}).relative();
    if (!same_bytes(memory, expected)) finding.note = "another gradient in the caller's memory";
  }

  void twice(std::size_t i, Finding& finding) {
    if (twice_.empty()) twice_ = gradients(wanted_, 2);
    const Difference d = difference(twice_[i], 2, plain_[i], {});
    finding.error = d.relative();
    if (d.worst <= kRounding * d.scale) return;
    // The terms of both uses are added up in another order, and may cancel.
    Oracles oracles(f_, given_, options_);
    if (d.worst <= kRounding * d.scale + kDrawn * largest(oracles.rounding(i))) return;
    finding.note = "two uses do not give twice the gradient";
  }

  // One pass over the tape for all inputs.
  void pure(std::size_t, Finding& finding) {
    if (!pure_) pure_ = pure_note();
    finding.note = *pure_;
  }

  std::string pure_note() const {
    const Tensors inputs = cloned(given_);
    Tape tape;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (wanted_[i]) tape.watch(inputs[i]);
    }
    Tensors outputs;
    {
      const Recording on(tape);
      outputs = f_(inputs);
      std::erase_if(outputs, [](const Tensor& y) { return !recording({y}); });
    }
    std::vector<std::pair<Tensor, Tensor>> kept;  // what must not change, and its copy
    const auto keep = [&](const Tensor& t) {
      if (t.defined()) kept.emplace_back(t, t.clone());
    };
    for (const Tensor& t : inputs) keep(t);
    for (const Node& node : tape.nodes()) {
      for (const Tensor& t : node.saved) keep(t);
    }
    Tensors first;
    Tensors second;
    for (Tensors* result : {&first, &second}) {
      for (std::size_t o = 0; o < outputs.size(); ++o) {
        Tape::Options options;
        options.cotangent = cotangent(outputs[o], o);
        keep(options.cotangent);
        const Interception on(options_.intercept);
        const Gradients g = tape.backward(outputs[o], options);
        for (std::size_t i = 0; i < inputs.size(); ++i) {
          if (wanted_[i]) result->push_back(g.of(inputs[i]).clone());
        }
      }
    }
    if (!std::equal(first.begin(), first.end(), second.begin(), second.end(), same_bytes)) {
      return "a second backward gives another gradient";
    }
    const bool unchanged =
        std::ranges::all_of(kept, [](const auto& k) { return same_bytes(k.first, k.second); });
    return unchanged ? ""
                     : "an input, a cotangent or a saved tensor was changed by a backward rule";
  }

  const TensorFunction& f_;
  std::span<const Tensor> given_;
  const GradcheckOptions& options_;
  std::vector<bool> wanted_;
  Tensors plain_;
  Tensors twice_;
  std::optional<std::string> pure_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> check_structure(const TensorFunction& f, std::span<const Tensor> inputs,
                                     const GradcheckOptions& options, std::optional<Oracle> only) {
  return Structure(f, inputs, options).run(only);
}

}  // namespace posetape
