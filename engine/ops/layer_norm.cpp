#include "engine/ops/layer_norm.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/attributes.hpp"
#include "engine/ops/norm_input.hpp"

namespace posetape {
namespace {

enum Input { kX, kGamma, kBeta, kResidual, kShift };

// The mean's type: that of long sums.
DType mean_type(DType dtype) {
  return dtype == DType::dual || dtype == DType::complex ? dtype : DType::f64;
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& s = node.saved[0];
  Tensor dy = backward.cotangent(0);
  if (!dy.defined()) dy = Tensor::zeros(s.shape(), s.dtype(), s.device());
  NormBackward norm(node, backward, kGamma, 0);
  dispatch(s, [&]<class T>(auto where) { launch(where, norm.arguments<T>(dy)); });
  norm.pass();
}

double flops(const Node& node) {
  return norm_flops(node.inputs[kX].shape.size());
}

}  // namespace

void check_norm_input(Op op, const NormInput& in) {
  check_operands(op, {{"x", in.x},
                      {"gamma", in.gamma},
                      {"beta", in.beta},
                      {"residual", in.residual, true},
                      {"shift", in.shift, true}});
  const Shape& shape = in.x.shape();
  if (shape.rank() < 1) fail("{}: x must have at least one dimension", name(op));
  const Shape width{shape.back()};
  if (in.gamma.shape() != width || in.beta.shape() != width) {
    fail("{}: x is {}, so gamma and beta must be {}; they are {} and {}", name(op), shape.text(),
         width.text(), in.gamma.shape().text(), in.beta.shape().text());
  }
  if (in.residual.defined() && in.residual.shape() != shape) {
    fail("{}: residual is {}, x {}", name(op), in.residual.shape().text(), shape.text());
  }
  if (in.shift.defined()) {
    const Shape& s = in.shift.shape();
    const Index rows = in.rows();
    if (s.rank() != 2 || s[1] != shape.back() || s[0] == 0 || rows % s[0] != 0) {
      fail("{}: shift is {}; it must be [G, {}] with G a divisor of the {} rows of x {}", name(op),
           s.text(), shape.back(), rows, shape.text());
    }
  }
}

NormOutput::NormOutput(const NormInput& in)
    : y(Tensor::empty(in.x.shape(), in.x.dtype(), in.x.device())),
      s(in.summed() ? Tensor::empty(in.x.shape(), in.x.dtype(), in.x.device()) : in.x),
      mean(Tensor::empty({in.rows()}, mean_type(in.x.dtype()), in.x.device())),
      rstd(Tensor::empty({in.rows()}, accumulator_of(in.x.dtype()), in.x.device())) {}

NormBackward::NormBackward(const Node& node, Backward& backward, std::size_t first_input,
                           std::size_t first_saved)
    : node_(node), backward_(backward), first_input_(first_input), first_saved_(first_saved) {}

// Whether the sum's gradient is that of several inputs.
bool NormBackward::shared() const {
  return summed() &&
         (backward_.wants(kX) || backward_.wants(input(2)) || backward_.wants(input(3)));
}

bool NormBackward::wanted() const {
  return backward_.wants(kX) || shared() || backward_.wants(input(0)) || backward_.wants(input(1));
}

void NormBackward::pass() {
  if (!shared()) return;
  backward_.pass(kX, ds_);
  if (of(2).given) backward_.pass(input(2), ds_);
}

Normalized layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps,
                      const Tensor& residual, const Tensor& shift) {
  const NormInput in{x, gamma, beta, eps, residual, shift};
  check_norm_input(Op::layer_norm, in);
  const NormOutput out(in);
  dispatch(x, [&]<class T>(auto where) { launch(where, forward_arguments<T>(in, out)); });
  const LayerNormAttributes attributes{eps};
  if (in.summed()) {
    record(Op::layer_norm, {x, gamma, beta, residual, shift}, {out.y, out.s},
           {out.s, gamma, out.mean, out.rstd}, attributes);
  } else {
    record(Op::layer_norm, {x, gamma, beta, residual, shift}, {out.y},
           {x, gamma, out.mean, out.rstd}, attributes);
  }
  return {out.y, out.s};
}

const Rule layer_norm_rule{backward_rule, flops};

}  // namespace posetape
