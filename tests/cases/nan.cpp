#include "tests/cases/nan.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.hpp"
#include "engine/ops.hpp"
#include "engine/tape.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// NaN is tried in at most so many elements, and where a case is small enough to know every
// element's influence.
constexpr Index kNanElements = 24;
constexpr Index kNanSize = 2000;

// Which outputs (all of them, one after the other) have a derivative by element k of input i at
// `inputs` that is not zero.
std::vector<bool> dependent(const TensorFunction& f, const std::vector<Tensor>& inputs,
                            std::size_t i, Index k) {
  std::vector<Tensor> tangents(inputs.size());
  tangents[i] = Tensor::zeros(inputs[i].shape(), DType::f64);
  tangents[i].data<double>()[k] = 1;
  std::vector<bool> marks;
  for (const Tensor& d : jvp(f, inputs, tangents)) {
    for (Index n = 0; d.defined() && n < d.size(); ++n) marks.push_back(d.data<double>()[n] != 0);
  }
  return marks;
}

// What is wrong with NaN in input i; empty where nothing is.
std::string note_of(const Case& c, const std::vector<Tensor>& inputs, std::size_t i) {
  const bool in_form =
      c.cancels || std::ranges::find(c.options.zero, static_cast<int>(i)) != c.options.zero.end();
  const NoRecording off;
  const Index step = std::max<Index>(1, inputs[i].size() / kNanElements);
  for (Index k = 0; k < inputs[i].size(); k += step) {
    const std::vector<bool> here = dependent(c.f, inputs, i, k);
    // A slope may vanish at one place (below a relu's kink) and not at another.
    std::vector<Tensor> other = inputs;
    other[i] = scale(inputs[i], -1);
    const std::vector<bool> there = dependent(c.f, other, i, k);
    other[i] = inputs[i].clone();
    other[i].data<double>()[k] = kNaN;
    std::size_t at = 0;
    for (const Tensor& y : c.f(other)) {
      for (Index n = 0; y.defined() && n < y.size(); ++n, ++at) {
        const bool is_nan = std::isnan(y.data<double>()[n]);
        if (here[at] && !is_nan) {
          return fmt::format("NaN in element {} is lost in value {} of the outputs", k, at);
        }
        if (is_nan && !here[at] && !there[at] && !in_form) {
          return fmt::format("NaN in element {} leaks into value {} of the outputs", k, at);
        }
      }
    }
  }
  return {};
}

}  // namespace

std::vector<NanFinding> check_nan(const Case& c) {
  std::vector<NanFinding> findings;
  if (std::ranges::find(c.options.without, Oracle::adjoint) != c.options.without.end()) {
    return findings;  // nothing tells what depends on what
  }
  if (input_size(c) > kNanSize) return findings;
  const std::vector<bool> wanted = differentiated(c);
  std::vector<Tensor> inputs;
  for (const Tensor& x : c.inputs) inputs.push_back(converted(x, DType::f64));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (wanted[i] && inputs[i].size() > 0) {
      findings.push_back({static_cast<int>(i), note_of(c, inputs, i)});
    }
  }
  return findings;
}

}  // namespace posetape
