// What is done to a model's gradients between the backward pass and the optimiser.
#pragma once

#include <string>
#include <vector>

#include "engine/parameters.hpp"

namespace posetape {

// The Euclidean norm of all gradients as one vector: one element, f32 for bf16, else of their type,
// on their device.
Tensor global_norm(const ParameterList& parameters);

// The names of parameters whose gradients are zero in every element, frozen ones left out: after a
// backward pass those that the loss does not depend on, such as a layer that was forgotten, or of
// which nothing comes through. No training moves them, and nothing else says so.
std::vector<std::string> without_gradient(const ParameterList& parameters);

// Scales all gradients by min(1, most / (norm + 1e-6)), and returns the norm that they had
// (Pascanu, Mikolov and Bengio, arXiv 1211.5063). A norm that is NaN makes all of them NaN.
Tensor clip_gradients(const ParameterList& parameters, double most);

// The mean of several passes' gradients, for batches that do not fit at once:
//
//   GradientSum sum(net);
//   ...
//   sum.clear();
//   for (const Batch& b : parts) {
//     gradients(net, [&] { return loss(b); });
//     sum.add();
//   }
//   sum.mean(parts.size());
//   adam.step(1e-3);
//
// It is held in f32 for bf16.
class GradientSum {
 public:
  explicit GradientSum(const ParameterList& parameters);

  void clear();
  // Adds the list's gradients.
  void add();
  // Puts 1 / passes of the sum in the place of the list's gradients.
  void mean(int passes);

 private:
  Tensor gradients_;
  Tensor sum_;
};

}  // namespace posetape
