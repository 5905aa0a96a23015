// Training runs with a number that is not finite in their third step, on any device: on a GPU that
// step is replayed.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "engine/taps.hpp"
#include "engine/trainer.hpp"

namespace posetape::test {

struct Spoiled {
  const char* name;
  // From the weight, ones of [2, 3], and the batch, twos.
  Tensor (*loss)(const Tensor& w, const Tensor& x);
  // What the third step has in element [1, 1] of the batch, or else of the weight.
  double value;
  bool in_weight;
  bool check_finite;  // the loss is finite, and only a gradient is not
  const char* said;
  DType dtype = DType::f32;
};

inline const std::vector<Spoiled>& spoiled() {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  static const std::vector<Spoiled> all{
      {"a log of 0",
       [](const Tensor& w, const Tensor& x) {
         const Scope scope("part", 4);
         return sum(log(tap("y", mul(w, x))));
       },
       0, false, false,
       ": log in part.4, forward: output 0: f32 [2, 3] is -inf at [1, 1]; "
       "input 0: part.4.y f32 [2, 3], 0 there;"},
      {"a division by 0", [](const Tensor& w, const Tensor& x) { return sum(div(w, x)); }, 0, false,
       false, ": div, forward: output 0: f32 [2, 3] is inf at [1, 1]; input 0: w f32 [2, 3], "},
      {"a weight", [](const Tensor& w, const Tensor& x) { return sum(mul(w, x)); }, kNaN, true,
       false, ": mul, forward: input 0: w f32 [2, 3] is nan at [1, 1];"},
      {"an input", [](const Tensor& w, const Tensor& x) { return sum(mul(w, x)); }, kNaN, false,
       false, ": mul, forward: input 1: f32 [2, 3] is nan at [1, 1];"},
      {"an overflow in bf16",
       [](const Tensor& w, const Tensor& x) { return sum(mul(mul(w, x), x)); }, 0x1p120, false,
       false,
       ": mul, forward: output 0: bf16 [2, 3] is inf at [1, 1]; input 0: bf16 [2, 3], "
       "1.32404e+36 there; input 1: bf16 [2, 3], 1.32923e+36 there;",
       DType::bf16},
      {"a gradient alone", [](const Tensor& w, const Tensor& x) { return sum(sqrt(mul(w, x))); }, 0,
       false, true,
       ": sqrt, backward: the gradient of input 0: f32 [2, 3] is inf at [1, 1]; "
       "cotangent f32 [2, 3], 1 there; saved f32 [2, 3], 0 there;"},
  };
  return all;
}

// Weights, moments and counters as they are.
inline std::vector<Tensor> state_of(const ParameterList& parameters, const Trainer& trainer) {
  TensorFile file;
  trainer.save(file);
  std::vector<Tensor> all{parameters.values(), parameters.masters()};
  for (const auto& [name, tensor] : file.tensors) all.push_back(tensor);
  for (Tensor& t : all) t = t.to(Device::cpu).clone();
  return all;
}

// The run ends in its third step with a line that says why, and nothing has moved.
inline void check_spoiled(const Spoiled& s, Device device) {
  CAPTURE(std::string(s.name));
  ParameterList parameters(16, s.dtype, 1, device);
  const Tensor w = parameters.add("w", {2, 3}, {Init::constant, 1});
  Trainer trainer(parameters, {.epochs = 1, .steps_per_epoch = 4, .check_finite = s.check_finite});
  std::vector<Tensor> before;
  Trainer::Hooks hooks;
  hooks.batch = [&](int, int step) -> Trainer::Batch {
    const auto values = [&](double start) {
      std::vector<double> v(6, start);
      if (step == 2) v[4] = s.value;
      return Tensor::of({2, 3}, v, s.dtype);
    };
    if (step == 2 && s.in_weight) copy(values(1), w);
    if (step == 2) before = state_of(parameters, trainer);
    return {{s.in_weight ? Tensor::full({2, 3}, 2, s.dtype) : values(2)}};
  };
  hooks.loss = [&](std::span<const Tensor> in, int) { return s.loss(w, in[0]); };
  hooks.validate = [] { return 1.0; };
  std::string message;
  try {
    trainer.run(hooks);
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK_MESSAGE(message.find("epoch 1, step 3") != std::string::npos, message);
  CHECK_MESSAGE(message.find(s.said) != std::string::npos, message);
  const std::vector<Tensor> after = state_of(parameters, trainer);
  REQUIRE(after.size() == before.size());
  for (std::size_t i = 0; i < after.size(); ++i) CHECK(same_bytes(after[i], before[i]));
}

}  // namespace posetape::test
