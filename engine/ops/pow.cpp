#include "engine/ops/pow.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"
#include "kernels/pow/pow.hpp"

namespace posetape {
namespace {

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& x = node.saved[0];
  const Tensor& dy = backward.cotangent();
  dispatch(dy, [&]<class T>(auto where) {
    launch(where, PowBackward<T>{x.data<T>(), dy.data<T>(), backward.gradient<T>(0), dy.size(),
                                 node.attributes.as<double>()});
  });
}

double flops(const Node& node) {
  return 8 * static_cast<double>(node.outputs[0].shape.size());
}

}  // namespace

Tensor pow(const Tensor& x, double exponent) {
  check_operands(Op::pow, {{"x", x}});
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where, PowForward<T>{x.data<T>(), y.data<T>(), x.size(), exponent});
  });
  record(Op::pow, {x}, {y}, {x}, exponent);
  return y;
}

const Rule pow_rule{backward_rule, flops};

}  // namespace posetape
