// The small building blocks: parameters with their names, shapes and start values, and one call.
// What a block computes goes by its own name (engine/taps.hpp).
#pragma once

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "engine/ops.hpp"
#include "engine/parameters.hpp"
#include "engine/recompute.hpp"
#include "engine/taps.hpp"

namespace posetape::model {

enum class Bias : bool { no = false, yes = true };

// x in another type, where it has another one; differentiable. What carries derivatives stays as it
// is.
inline Tensor as(const Tensor& x, DType dtype) {
  return x.dtype() == dtype ? x : cast(x, dtype);
}

// x [B, N, J, C] at each frame but the first, less the frame before.
inline Tensor frame_differences(const Tensor& x) {
  const Index frames = x.shape()[1];
  return sub(slice(x, 1, 1, frames), slice(x, 1, 0, frames - 1));
}
// The mean distance of accelerations, in units of x a frame², of [B, N, J, 3] with N >= 3: that of
// positions says nothing of jitter.
inline Tensor acceleration_loss(const Tensor& x, const Tensor& truth) {
  return joint_distance_loss(frame_differences(frame_differences(x)),
                             frame_differences(frame_differences(truth)));
}

// y = f(x W^T + b). W and b start uniform in +-1/sqrt(in).
struct Linear {
  Linear(ParameterList& list, const std::string& name, Index in, Index out, Bias with = Bias::yes)
      : path(name) {
    const Init init{Init::uniform, 1 / std::sqrt(static_cast<double>(in))};
    weight = list.add(name + ".weight", {out, in}, init);
    if (with == Bias::yes) bias = list.add(name + ".bias", {out}, init);
  }
  Tensor operator()(const Tensor& x, Activation activation = Activation::none) const {
    return tap(path, linear(x, weight, bias, activation));
  }
  std::string path;
  Tensor weight, bias;
};

// The second layer of the first one's result, activated.
inline Tensor after(const Linear& first, Activation activation, const Linear& second,
                    const Tensor& x) {
  if (Observer::parts_wanted()) return second(first(x, activation));
  return linear_of_activated(activated_linear(x, first.weight, first.bias, activation),
                             second.weight, second.bias);
}

// Layers of one x, of one size.
inline std::vector<Tensor> each_of(std::span<const Linear* const> layers, const Tensor& x) {
  std::vector<LinearLayer> all;
  std::vector<Tensor> results;
  for (const Linear* layer : layers) {
    all.push_back({layer->weight, layer->bias});
    if (Observer::parts_wanted()) results.push_back((*layer)(x));
  }
  return Observer::parts_wanted() ? results : linears(x, all);
}

// Layer norm of x + residual + shift: see layer_norm(). The sum goes by the name of "<name>.sum".
struct LayerNorm {
  LayerNorm(ParameterList& list, const std::string& name, Index width, double with_eps = 1e-5)
      : path(name),
        gamma(list.add(name + ".weight", {width}, {Init::constant, 1})),
        beta(list.add(name + ".bias", {width}, {Init::constant, 0})),
        eps(with_eps) {}
  Normalized operator()(const Tensor& x, const Tensor& residual = {},
                        const Tensor& shift = {}) const {
    Normalized out = layer_norm(x, gamma, beta, eps, residual, shift);
    out.y = tap(path, std::move(out.y));
    const Scope scope(path);
    show("sum", out.s);
    return out;
  }
  NormInput input(const Tensor& x, const Tensor& residual, const Tensor& shift) const {
    return {x, gamma, beta, eps, residual, shift};
  }
  std::string path;
  Tensor gamma, beta;
  double eps;
};

// Linear, GELU, Linear. The first two are one op where nobody looks between them.
struct Mlp {
  Mlp(ParameterList& list, const std::string& name, Index width, Index hidden, Bias with)
      : fc1(list, name + ".fc1", width, hidden, with),
        fc2(list, name + ".fc2", hidden, width, with) {}
  Tensor operator()(const Tensor& x) const { return after(fc1, Activation::gelu, fc2, x); }
  Linear fc1, fc2;
};

// What is computed again in the backward pass at a level of recompute(), and at those above it.
inline constexpr int kRecomputeMlp = 1;    // each MLP and the norm before it
inline constexpr int kRecomputeBlock = 2;  // each block

// The residual stream h + update, which the layer norm that follows sums up.
struct Residual {
  Tensor h, update;
  Tensor sum() const { return update.defined() ? add(h, update) : h; }
};

// Gives the sum a name before anybody has made it. Returns the stream, or what stands for it.
[[nodiscard]] inline Residual tap(std::string_view name, const Residual& stream) {
  const auto sum = [&] {
    std::vector<double> values = stream.h.to_doubles();
    if (!stream.update.defined()) return values;
    const std::vector<double> update = stream.update.to_doubles();
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += update[i];
    return values;
  };
  Tensor instead = tap(name, stream.h.shape(), stream.h, sum);
  return instead.defined() ? Residual{std::move(instead), {}} : stream;
}

// h = x + residual + shift and layer(LN(h)).
inline Residual normed(const LayerNorm& norm, const Linear& layer, const Tensor& x,
                       const Tensor& residual = {}, const Tensor& shift = {}) {
  if (Observer::parts_wanted()) {
    const Normalized h = norm(x, residual, shift);
    return {h.s, layer(h.y)};
  }
  auto [y, h] = norm_linear(norm.input(x, residual, shift), layer.weight, layer.bias);
  return {std::move(h), std::move(y)};
}

// h = x + residual and MLP(LN(h)).
inline Residual feed_forward(const LayerNorm& norm, const Mlp& mlp, const Tensor& x,
                             const Tensor& residual) {
  const auto layers = [n = &norm, m = &mlp](const Tensor& a, const Tensor& b) {
    if (Observer::parts_wanted()) {
      const Normalized h = (*n)(a, b);
      return Residual{h.s, (*m)(h.y)};
    }
    auto [hidden, h] =
        activated_norm_linear(n->input(a, b, {}), m->fc1.weight, m->fc1.bias, Activation::gelu);
    return Residual{std::move(h), linear_of_activated(hidden, m->fc2.weight, m->fc2.bias)};
  };
  return recompute(kRecomputeMlp, layers, x, residual);
}

}  // namespace posetape::model
