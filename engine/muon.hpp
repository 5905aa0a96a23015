// Muon for the matrices of a model, and Adam for the rest of it, on its parameter block.
#pragma once

#include "engine/adam.hpp"

namespace posetape {

struct MuonOptions {
  double momentum = 0.95;  // Nesterov's
  // Matrices whose names match one of these patterns are Adam's, as is all that is no matrix:
  // embeddings, output layers.
  std::vector<std::string> adam = {};
  // Of what is Adam's. Weight decay, and what does not decay, are of all parameters.
  AdamOptions others = {};
};

// Each step moves a matrix along the orthogonal part of its momentum, U V^T where that is U S V^T
// (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024): Newton-Schulz
// iterations bring its singular values to 0.7 ... 1.2. Scaled by 0.2 sqrt(the larger extent), a
// step has the size of Adam's (Liu et al., arXiv 2502.16982), so that both have one learning rate.
// PyTorch's Muon with adjust_lr_fn="match_rms_adamw", in f32, or f64, instead of bf16.
class Muon : public Adam {
 public:
  explicit Muon(const ParameterList& parameters, MuonOptions options = {});

  std::vector<State> state() const override;
  std::string settings() const override;

 private:
  void launch_update(const Run& run) override;

  MuonOptions options_;
};

// Five Newton-Schulz iterations on x [m, n] over its Frobenius norm.
Tensor orthogonal_part(const Tensor& x);

}  // namespace posetape
