#pragma once

#include <span>
#include <utility>
#include <vector>

#include "engine/ops/norm_input.hpp"
#include "engine/tensor.hpp"
#include "kernels/linear/linear.hpp"

namespace posetape {

// f(x W^T + b): x [..., in], weight [out, in], bias [out] or left out -> [..., out].
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              Activation activation = Activation::none);

// Layers of one x, all of one size: a weight and a bias each, which all have or none.
struct LinearLayer {
  Tensor weight, bias;
};
std::vector<Tensor> linears(const Tensor& x, std::span<const LinearLayer> layers);

// f(z) on its way from one linear layer to the next, which takes z's gradient with the slope from
// its own product: that of f(z) is never in memory. It is for
// linear_of_activated() alone.
class Activated {
 public:
  const Shape& shape() const { return y_.shape(); }

 private:
  friend struct LinearCall;
  friend Tensor linear_of_activated(const Activated&, const Tensor&, const Tensor&);
  Activated(Tensor z, Tensor y, Activation activation)
      : z_(std::move(z)), y_(std::move(y)), activation_(activation) {}

  Tensor z_;  // undefined where nothing is recorded
  Tensor y_;  // f(z), a constant to the tape where z is defined
  Activation activation_;
};

// The same values as linear()'s of an activation, and of those.
Activated activated_linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
                           Activation activation);
Tensor linear_of_activated(const Activated& x, const Tensor& weight, const Tensor& bias = {});

// The same of n = layer_norm(x + residual + shift) (kernels/layer_norm/layer_norm.hpp), and the sum
// itself: x where nothing is added.
std::pair<Tensor, Tensor> norm_linear(const NormInput& x, const Tensor& weight,
                                      const Tensor& bias = {});
std::pair<Activated, Tensor> activated_norm_linear(const NormInput& x, const Tensor& weight,
                                                   const Tensor& bias, Activation activation);

}  // namespace posetape
