#include "engine/ops/sum.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/broadcast.hpp"
#include "engine/ops/elementwise.hpp"
#include "engine/ops/reduced_shape.hpp"
#include "engine/ops/scale.hpp"
#include "engine/tape.hpp"
#include "kernels/sum/sum.hpp"

namespace posetape {
namespace {

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& dy = backward.cotangent();
  const Shape& shape = node.inputs[0].shape;
  const auto kept = node.attributes.as<Shape>();
  dispatch(dy, [&]<class T>(auto where) {
    launch(where, SumBackward<T>{dy.data<T>(), backward.gradient<T>(0),
                                 broadcast_steps(shape, kept, shape)});
  });
}

double flops(const Node& node) {
  return static_cast<double>(node.inputs[0].shape.size());
}

}  // namespace

Tensor sum(const Tensor& x, const SumOptions& options) {
  check_operands(Op::sum, {{"x", x}});
  const Shape& shape = x.shape();
  const Shape kept = kept_shape("sum", shape, options.axes);
  const Tensor y =
      Tensor::empty(options.keepdims ? kept : without(shape, options.axes), x.dtype(), x.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where, SumForward<T>{x.data<T>(), y.data<T>(), broadcast_steps(shape, kept, shape)});
  });
  record(Op::sum, {x}, {y}, {}, kept);
  return y;
}

Tensor mean(const Tensor& x, const SumOptions& options) {
  check_operands(Op::sum, {{"x", x}});
  const Shape kept = kept_shape("sum", x.shape(), options.axes);
  double terms = 1;
  for (int i = 0; i < kept.rank(); ++i) {
    if (kept[i] != x.shape()[i]) terms *= static_cast<double>(x.shape()[i]);
  }
  return scale(sum(x, options), 1 / terms);
}

Tensor var(const Tensor& x, const SumOptions& options) {
  const Tensor d = sub(x, mean(x, {options.axes, true}));
  return mean(mul(d, d), options);
}

const Rule sum_rule{backward_rule, flops};

}  // namespace posetape
