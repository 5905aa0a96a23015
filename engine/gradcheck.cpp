#include "engine/gradcheck.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "engine/ops.hpp"
#include "engine/oracles.hpp"
#include "engine/rng.hpp"
#include "engine/second_order.hpp"
#include "engine/structure.hpp"
#include "engine/trials.hpp"

namespace posetape {
namespace {

using Tensors = std::vector<Tensor>;

// The same computation twice: equal to the bit here, nearly so for an op of one's own that adds up
// in another order each time.
constexpr double kRepeatable = 1e-13;

bool is_oracle(Oracle oracle) {
  return oracle <= Oracle::composite;
}

void check_types(std::span<const Tensor> inputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!floating(inputs[i]) || inputs[i].dtype() == DType::f64) continue;
    fail(
        "gradcheck: input {} is {}, and differences and dual numbers need f64: give it as "
        "Tensor::of(x.shape(), x.to_doubles(), DType::f64)",
        i, name(inputs[i].dtype()));
  }
}

// f's outputs, on the CPU, where it leaves its inputs as they are.
Tensors run_once(const TensorFunction& f, std::span<const Tensor> inputs, Device device) {
  Tensors own;
  for (const Tensor& x : cloned(inputs)) own.push_back(x.to(device));
  const NoRecording off;
  Tensors outputs;
  for (const Tensor& y : f(own)) outputs.push_back(y.to(Device::cpu));
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (!own[i].defined() || same_bytes(own[i].to(Device::cpu), inputs[i])) continue;
    fail(
        "gradcheck: the function changes its input {} in place, where the tape can't see it; "
        "write to a clone() of it",
        i);
  }
  return outputs;
}

void check_repeatable(const Tensors& first, const Tensors& second) {
  const char* advice =
      "nothing can be checked while it depends on more than its inputs (random numbers, a counter, "
      "memory that was never written)";
  if (first.size() != second.size()) {
    fail("gradcheck: the function returns {} tensors, then {}; {}", first.size(), second.size(),
         advice);
  }
  for (std::size_t o = 0; o < first.size(); ++o) {
    const Tensor& a = first[o];
    const Tensor& b = second[o];
    if (a.defined() != b.defined() || (a.defined() && a.shape() != b.shape())) {
      fail("gradcheck: output {} of the function has another shape the second time; {}", o, advice);
    }
    if (!a.defined() || same_bytes(a, b)) continue;
    const double scale = largest(a);
    for (Index k = 0; k < a.size(); ++k) {
      const double x = a.data<double>()[k];
      const double y = b.data<double>()[k];
      if ((std::isnan(x) && std::isnan(y)) || x == y) continue;
      if (std::fabs(x - y) <= kRepeatable * scale) continue;
      fail("gradcheck: the function gives {:.6g}, then {:.6g} in element {} of output {}; {}", x, y,
           k, o, advice);
    }
  }
}

}  // namespace

TensorFunction used_twice(const TensorFunction& f) {
  return [f](std::span<const Tensor> in) {
    Tensors outputs = f(in);
    const Tensors again = f(in);
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      if (outputs[o].defined()) outputs[o] = add(outputs[o], again[o]);
    }
    return outputs;
  };
}

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
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

// The inputs of which no oracle could tell anything.
static std::set<int> untold(const std::vector<Finding>& findings) {
  std::set<int> inputs;
  for (const Finding& f : findings) {
    if (is_oracle(f.oracle)) inputs.insert(f.input);
  }
  for (const Finding& f : findings) {
    if (is_oracle(f.oracle) && f.confirmed > 0) inputs.erase(f.input);
  }
  return inputs;
}

bool GradcheckReport::passed() const {
  return !findings.empty() && untold(findings).empty() &&
         std::all_of(findings.begin(), findings.end(), [](const auto& f) { return f.passed; });
}

std::string GradcheckReport::failures() const {
  std::string text;
  if (findings.empty()) text = "nothing was checked: every input is constant or empty\n";
  for (const Finding& f : findings) {
    if (f.passed) continue;
    text += fmt::format("input {}: {} {}", f.input, name(f.oracle), name(f.verdict));
    if (!f.where.empty()) {
      text += fmt::format(
          " at {}: analytic {:.12g}, oracle {:.12g}, relative error {:.2e} (the oracle's own "
          "{:.1e}, gradient scale {:.2e})",
          f.where, f.analytic, f.numeric, f.error, f.trust, f.scale);
    }
    if (!f.note.empty()) text += ": " + f.note;
    if (f.where.empty() && f.error != 0) text += fmt::format(" (relative error {:.2e})", f.error);
    text += "\n";
  }
  if (!text.empty()) return text;
  for (const int i : untold(findings)) {
    text += fmt::format(
        "input {}: no oracle could tell anything; check it away from the kink, or leave fewer "
        "oracles out\n",
        i);
  }
  return text;
}

GradcheckReport gradcheck(const TensorFunction& f, std::span<const Tensor> inputs,
                          const GradcheckOptions& options, std::optional<Oracle> only) {
  if (inputs.empty()) fail("gradcheck: no inputs were given; there is nothing to differentiate");
  check_types(inputs);
  const Tensors outputs = run_once(f, inputs, options.device);
  Oracles oracles(f, inputs, options);
  check_repeatable(outputs, oracles.outputs());
  GradcheckReport report;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!oracles.checked(i)) continue;
    for (const Oracle oracle :
         {Oracle::differences, Oracle::adjoint, Oracle::complex_step, Oracle::composite}) {
      if (only && oracle != *only) continue;
      if (std::ranges::find(options.without, oracle) != options.without.end()) continue;
      if (oracle == Oracle::composite && !options.composite) continue;
      report.findings.push_back(oracles.check(oracle, i));
    }
  }
  if (options.device != Device::cpu || (only && is_oracle(*only))) return report;
  for (const auto check : {check_structure, check_trials, check_second_order}) {
    for (Finding& found : check(f, inputs, options, only)) {
      report.findings.push_back(std::move(found));
    }
  }
  return report;
}

}  // namespace posetape
