#include "tests/cases/structure.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.hpp"
#include "engine/ops.hpp"
#include "engine/tape.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

using Tensors = std::vector<Tensor>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// Two ways of adding the same numbers.
constexpr double kRounding = 1e-13;
// NaN is tried in at most so many elements, and where a case is small enough to know every
// element's influence.
constexpr Index kNanElements = 24;
constexpr Index kNanSize = 2000;

// |a - factor b - c| relative to the largest |b|; c may be undefined.
double difference(const Tensor& a, double factor, const Tensor& b, const Tensor& c) {
  double worst = 0;
  double scale = 0;
  for (Index i = 0; i < a.size(); ++i) {
    const double expected =
        factor * b.data<double>()[i] + (c.defined() ? c.data<double>()[i] : 0.0);
    const double error = std::fabs(a.data<double>()[i] - expected);
    worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : std::max(worst, error);
    scale = std::max({scale, std::fabs(b.data<double>()[i]), std::fabs(expected)});
  }
  return scale > 0 ? worst / scale : worst;
}

class Structure {
 public:
  explicit Structure(const Case& c) : case_(c), wanted_(differentiated(c)) {
    for (std::size_t i = 0; i < c.inputs.size(); ++i) {
      inputs_.push_back(converted(c.inputs[i], DType::f64));
      wanted_[i] = wanted_[i] && inputs_[i].size() > 0;
    }
    plain_ = gradients(case_.f, wanted_);
  }

  std::vector<StructureFinding> run() {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (!wanted_[i]) continue;
      alone(i);
      added(i);
      destination(i);
      nan(i);
    }
    twice();
    pure();
    return std::move(findings_);
  }

 private:
  Tensor cotangent(const Tensor& y, std::size_t output) const {
    return random_normal(y.shape(), case_.options.seed * 5000 + output);
  }

  // <cotangents, f(inputs)>, recorded.
  Tensor weighted(const TensorFunction& f) const {
    Tensor total;
    const Tensors outputs = f(inputs_);
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      if (!outputs[o].defined()) continue;
      const Tensor term = sum(mul(outputs[o], cotangent(outputs[o], o)));
      total = total.defined() ? add(total, term) : term;
    }
    return total;
  }

  // Undefined for inputs that are not wanted.
  Tensors gradients(const TensorFunction& f, const std::vector<bool>& wanted) const {
    Tape tape;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (wanted[i]) tape.watch(inputs_[i]);
    }
    Tensor loss;
    {
      Recording on(tape);
      loss = weighted(f);
    }
    const Gradients g = tape.backward(loss);
    Tensors all(inputs_.size());
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (wanted[i]) all[i] = g.of(inputs_[i]);
    }
    return all;
  }

  void put(const char* check, std::size_t i, double error, bool holds, std::string note) {
    findings_.push_back(
        {check, static_cast<int>(i), error, holds ? std::string() : std::move(note)});
  }

  void alone(std::size_t i) {
    std::vector<bool> only(inputs_.size());
    only[i] = true;
    const Tensor g = gradients(case_.f, only)[i];
    put("alone", i, difference(g, 1, plain_[i], {}), same_bytes(g, plain_[i]),
        "another gradient where the other inputs need none");
  }

  // The term that comes last in forward comes first in backward.
  void added(std::size_t i) {
    Tape tape;
    tape.watch(inputs_[i]);
    const Tensor before = random_normal(inputs_[i].shape(), case_.options.seed * 6000 + i);
    Tensor loss;
    {
      Recording on(tape);
      loss = weighted(case_.f);
      loss = add(loss, sum(mul(inputs_[i], before)));
    }
    const double error = difference(tape.backward(loss).of(inputs_[i]), 1, plain_[i], before);
    put("added", i, error, error <= kRounding, "not the sum of what was there and its own");
  }

  void destination(std::size_t i) {
    Tape tape;
    tape.watch(inputs_[i]);
    Tensor loss;
    {
      Recording on(tape);
      loss = weighted(case_.f);
    }
    const Tensor memory = Tensor::full(inputs_[i].shape(), kNaN, DType::f64);
    const std::pair<Tensor, Tensor> place{inputs_[i], memory};
    Tape::Options options;
    options.destinations = std::span(&place, 1);
    tape.backward(loss, options);
    const Tensor expected = tape.backward(loss).of(inputs_[i]);
    put("destination", i, difference(memory, 1, expected, {}), same_bytes(memory, expected),
        "another gradient in the caller's memory");
  }

  void twice() {
    const Tensors g = gradients(used_twice(case_.f), wanted_);
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (!wanted_[i]) continue;
      const double error = difference(g[i], 2, plain_[i], {});
      put("twice", i, error, error <= kRounding, "two uses do not give twice the gradient");
    }
  }

  void pure() {
    Tape tape;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (wanted_[i]) tape.watch(inputs_[i]);
    }
    Tensors outputs;
    {
      Recording on(tape);
      outputs = case_.f(inputs_);
    }
    std::vector<std::pair<Tensor, Tensor>> kept;  // what must not change, and its copy
    const auto keep = [&](const Tensor& t) {
      if (t.defined()) kept.emplace_back(t, t.clone());
    };
    for (const Tensor& t : inputs_) keep(t);
    for (const Node& node : tape.nodes()) {
      for (const Tensor& t : node.saved) keep(t);
    }
    Tensors first;
    Tensors second;
    for (Tensors* result : {&first, &second}) {
      for (std::size_t o = 0; o < outputs.size(); ++o) {
        if (!outputs[o].defined()) continue;
        Tape::Options options;
        options.cotangent = cotangent(outputs[o], o);
        keep(options.cotangent);
        const Gradients g = tape.backward(outputs[o], options);
        for (std::size_t i = 0; i < inputs_.size(); ++i) {
          if (wanted_[i]) result->push_back(g.of(inputs_[i]).clone());
        }
      }
    }
    const bool equal =
        std::equal(first.begin(), first.end(), second.begin(), second.end(), same_bytes);
    const bool unchanged =
        std::ranges::all_of(kept, [](const auto& k) { return same_bytes(k.first, k.second); });
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (!wanted_[i]) continue;
      put("pure", i, 0, equal && unchanged,
          equal ? "an input, a cotangent or a saved tensor was changed"
                : "a second backward gives another gradient");
    }
  }

  // Which outputs (all of them, one after the other) have a derivative by element k of input i at
  // `inputs` that is not zero.
  std::vector<bool> dependent(const Tensors& inputs, std::size_t i, Index k) const {
    Tensors tangents(inputs.size());
    tangents[i] = Tensor::zeros(inputs[i].shape(), DType::f64);
    tangents[i].data<double>()[k] = 1;
    std::vector<bool> marks;
    for (const Tensor& d : jvp(case_.f, inputs, tangents)) {
      for (Index n = 0; d.defined() && n < d.size(); ++n) marks.push_back(d.data<double>()[n] != 0);
    }
    return marks;
  }

  void nan(std::size_t i) {
    if (std::ranges::find(case_.options.without, Oracle::adjoint) != case_.options.without.end()) {
      return;  // nothing tells what depends on what
    }
    if (input_size(case_) > kNanSize) return;
    const bool in_form =
        case_.cancels ||
        std::ranges::find(case_.options.zero, static_cast<int>(i)) != case_.options.zero.end();
    const NoRecording off;
    std::string note;
    const Index step = std::max<Index>(1, inputs_[i].size() / kNanElements);
    for (Index k = 0; k < inputs_[i].size() && note.empty(); k += step) {
      const std::vector<bool> here = dependent(inputs_, i, k);
      // A slope may vanish at one place (below a relu's kink) and not at another.
      Tensors other = inputs_;
      other[i] = scale(inputs_[i], -1);
      const std::vector<bool> there = dependent(other, i, k);
      other[i] = inputs_[i].clone();
      other[i].data<double>()[k] = kNaN;
      std::size_t at = 0;
      for (const Tensor& y : case_.f(other)) {
        for (Index n = 0; y.defined() && n < y.size(); ++n, ++at) {
          const bool is_nan = std::isnan(y.data<double>()[n]);
          if (here[at] && !is_nan) {
            note = fmt::format("NaN in element {} is lost in value {} of the outputs", k, at);
          }
          if (is_nan && !here[at] && !there[at] && !in_form) {
            note = fmt::format("NaN in element {} leaks into value {} of the outputs", k, at);
          }
        }
      }
    }
    put("nan", i, 0, note.empty(), note);
  }

  const Case& case_;
  Tensors inputs_;
  std::vector<bool> wanted_;
  Tensors plain_;
  std::vector<StructureFinding> findings_;
};

}  // namespace

std::vector<StructureFinding> check_structure(const Case& c) {
  return Structure(c).run();
}

}  // namespace posetape
