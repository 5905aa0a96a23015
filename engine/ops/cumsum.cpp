#include "engine/ops/cumsum.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/reduced_shape.hpp"
#include "engine/tape.hpp"
#include "kernels/cumsum/cumsum.hpp"

namespace posetape {
namespace {

template <class T>
Cumsum<T> arguments(const Tensor& x, GradientOut<T> y, int axis, bool reversed) {
  const Shape& shape = x.shape();
  return {x.data<T>(), y, shape.outer(axis), shape[axis], shape.inner(axis), Index{reversed}};
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& dy = backward.cotangent();
  dispatch(dy, [&]<class T>(auto where) {
    launch(where, arguments<T>(dy, backward.gradient<T>(0), node.attributes.as<int>(), true));
  });
}

double flops(const Node& node) {
  return static_cast<double>(node.inputs[0].shape.size());
}

}  // namespace

Tensor cumsum(const Tensor& x, int axis) {
  check_operands(Op::cumsum, {{"x", x}});
  axis = axis_of("cumsum", x.shape(), axis);
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where, arguments<T>(x, {y.data<T>(), Into::write}, axis, false));
  });
  record(Op::cumsum, {x}, {y}, {}, axis);
  return y;
}

const Rule cumsum_rule{backward_rule, flops};

}  // namespace posetape
