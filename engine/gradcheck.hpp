// Gradients against finite differences: for the ops here and for any function of yours.
//
//   GradcheckReport report = gradcheck([](std::span<const Tensor> in) {
//     return std::vector{layer_norm(in[0], in[1], in[2]).y};
//   }, {x, gamma, beta});
//
// The oracle is central differences in f64 with Ridders' extrapolation (engine/ridders.hpp). Every
// output is multiplied by a random cotangent first: the plain sum of a softmax is constant, and a
// gradient of zero would pass.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/tensor.hpp"

namespace posetape {

// A differentiable function of f64 tensors; undefined outputs are ignored.
using TensorFunction = std::function<std::vector<Tensor>(std::span<const Tensor>)>;

struct GradcheckOptions {
  std::uint64_t seed = 1;
  // Largest relative error |analytic - numeric| / max(|numeric|, scale of the input's gradient).
  double tolerance = 1e-7;
  // Inputs with at most this many elements are checked one by one, larger ones along this many
  // random directions.
  Index full_up_to = 256;
  int directions = 8;
  // Step that Ridders' scheme starts from, relative to max(|x|, 1).
  double step = 0.05;
  // Inputs that take part as constants, by index.
  std::vector<int> constant;
};

struct InputReport {
  int input = 0;
  double worst_error = 0;     // relative, see tolerance
  double error_estimate = 0;  // the oracle's own, at that place, relative
  double gradient_scale = 0;  // largest |numeric|
  std::string where;          // "element 17" or "direction 3"
  double analytic = 0;
  double numeric = 0;
  bool passed = false;
};

struct GradcheckReport {
  std::vector<InputReport> inputs;
  bool passed() const;
  // One line an input that failed; empty where all passed.
  std::string failures() const;
};

GradcheckReport gradcheck(const TensorFunction& f, std::span<const Tensor> inputs,
                          const GradcheckOptions& options = {});

// One gradient-check case of an op; tests/cases/<op>.cpp returns a list of them.
struct Case {
  std::string name;
  std::vector<Tensor> inputs;  // f64 (or i32, which are constants)
  TensorFunction f;
  GradcheckOptions options = {};
};

// Standard normal numbers, shifted and scaled; and uniform in (low, high). For cases and tests.
Tensor random_normal(const Shape& shape, std::uint64_t seed, double scale = 1, double shift = 0);
Tensor random_uniform(const Shape& shape, std::uint64_t seed, double low, double high);

}  // namespace posetape
