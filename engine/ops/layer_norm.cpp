#include "engine/ops/layer_norm.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/attributes.hpp"
#include "engine/tape.hpp"
#include "kernels/layer_norm/layer_norm.hpp"

namespace posetape {
namespace {

enum Input { kX, kGamma, kBeta, kResidual, kShift };

// The mean's type: that of long sums.
DType mean_type(DType dtype) {
  return dtype == DType::dual || dtype == DType::complex ? dtype : DType::f64;
}

void check(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& residual,
           const Tensor& shift) {
  check_operands(Op::layer_norm, {{"x", x},
                                  {"gamma", gamma},
                                  {"beta", beta},
                                  {"residual", residual, true},
                                  {"shift", shift, true}});
  const Shape& shape = x.shape();
  if (shape.rank() < 1) fail("layer_norm: x must have at least one dimension");
  const Shape width{shape.back()};
  if (gamma.shape() != width || beta.shape() != width) {
    fail("layer_norm: x is {}, so gamma and beta must be {}; they are {} and {}", shape.text(),
         width.text(), gamma.shape().text(), beta.shape().text());
  }
  if (residual.defined() && residual.shape() != shape) {
    fail("layer_norm: residual is {}, x {}", residual.shape().text(), shape.text());
  }
  if (shift.defined()) {
    const Shape& s = shift.shape();
    const Index rows = shape.outer(shape.rank() - 1);
    if (s.rank() != 2 || s[1] != shape.back() || s[0] == 0 || rows % s[0] != 0) {
      fail("layer_norm: shift is {}; it must be [G, {}] with G a divisor of the {} rows of x {}",
           s.text(), shape.back(), rows, shape.text());
    }
  }
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& s = node.saved[0];
  const Tensor& gamma = node.saved[1];
  const Tensor& mean = node.saved[2];
  const Tensor& rstd = node.saved[3];
  const bool summed = node.inputs[kResidual].given || node.inputs[kShift].given;
  const Index width = s.shape().back();
  const Index rows = s.shape().outer(s.shape().rank() - 1);
  const Index groups = node.inputs[kShift].given ? node.inputs[kShift].shape[0] : 1;
  const Tensor ds_out = summed ? backward.cotangent(1) : Tensor();
  Tensor dy = backward.cotangent(0);
  if (!dy.defined()) dy = Tensor::zeros(s.shape(), s.dtype(), s.device());

  const bool shared =
      summed && (backward.wants(kX) || backward.wants(kResidual) || backward.wants(kShift));
  const Tensor ds = shared ? Tensor::empty(s.shape(), s.dtype(), s.device()) : Tensor();
  dispatch(s, [&]<class T>(auto where) {
    const GradientOut<T> out =
        summed ? GradientOut<T>{ds.data<T>(), Into::write} : backward.gradient<T>(kX);
    launch(where,
           LayerNormBackward<T>{s.data<T>(), gamma.data<T>(), mean.data<LongSum<Accumulator<T>>>(),
                                rstd.data<Accumulator<T>>(), dy.data<T>(), ds_out.data<T>(), out,
                                backward.gradient<T>(kGamma), backward.gradient<T>(kBeta),
                                backward.gradient<T>(kShift), rows, width, groups});
  });
  if (!shared) return;
  backward.pass(kX, ds);
  if (node.inputs[kResidual].given) backward.pass(kResidual, ds);
}

double flops(const Node& node) {
  return 8.0 * static_cast<double>(node.inputs[kX].shape.size());
}

}  // namespace

Normalized layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps,
                      const Tensor& residual, const Tensor& shift) {
  check(x, gamma, beta, residual, shift);
  const Index width = x.shape().back();
  const Index rows = x.shape().outer(x.shape().rank() - 1);
  const bool summed = residual.defined() || shift.defined();
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const Tensor s = summed ? Tensor::empty(x.shape(), x.dtype(), x.device()) : Tensor();
  const Tensor mean = Tensor::empty({rows}, mean_type(x.dtype()), x.device());
  const Tensor rstd = Tensor::empty({rows}, accumulator_of(x.dtype()), x.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where,
           LayerNormForward<T>{x.data<T>(), residual.data<T>(), shift.data<T>(), gamma.data<T>(),
                               beta.data<T>(), s.data<T>(), y.data<T>(),
                               mean.data<LongSum<Accumulator<T>>>(), rstd.data<Accumulator<T>>(),
                               rows, width, shift.defined() ? rows / shift.shape()[0] : 1, eps});
  });
  if (!summed) {
    record(Op::layer_norm, {x, gamma, beta, residual, shift}, {y}, {x, gamma, mean, rstd},
           LayerNormAttributes{eps});
    return {y, x};
  }
  record(Op::layer_norm, {x, gamma, beta, residual, shift}, {y, s}, {s, gamma, mean, rstd},
         LayerNormAttributes{eps});
  return {y, s};
}

const Rule layer_norm_rule{backward_rule, flops};

}  // namespace posetape
