#include "engine/ops/take_along_axis.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/index_along_axis.hpp"
#include "engine/ops/reduced_shape.hpp"
#include "engine/tape.hpp"
#include "kernels/scatter_add/scatter_add.hpp"
#include "kernels/take_along_axis/take_along_axis.hpp"

namespace posetape {
namespace {

enum Input { kX, kIndex };

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& index = node.saved[0];
  const Tensor& dy = backward.cotangent();
  const Shape& shape = node.inputs[kX].shape;
  const int axis = node.attributes.as<int>();
  dispatch(dy, [&]<class T>(auto where) {
    launch(where,
           ScatterAdd<T>{dy.data<T>(), index.data<std::int32_t>(), backward.gradient<T>(kX),
                         shape.outer(axis), shape[axis], dy.shape()[axis], shape.inner(axis)});
  });
}

double flops(const Node&) {
  return 0;
}

}  // namespace

Tensor take_along_axis(const Tensor& x, const Tensor& index, int axis) {
  check_operands(Op::take_along_axis, {{"x", x}});
  check_index(Op::take_along_axis, {"index", index}, {"x", x});
  const Shape& shape = x.shape();
  axis = axis_of("take_along_axis", shape, axis);
  if (index.shape().rank() != shape.rank() || index.shape().with(axis, shape[axis]) != shape) {
    fail("take_along_axis: x is {}, index {}; expected one shape but for axis {}", shape.text(),
         index.shape().text(), axis);
  }
  check_range(Op::take_along_axis, index, shape[axis]);
  const Tensor y = Tensor::empty(index.shape(), x.dtype(), x.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where, TakeAlongAxis<T>{x.data<T>(),
                                   index.data<std::int32_t>(),
                                   {y.data<T>(), Into::write},
                                   shape.outer(axis),
                                   shape[axis],
                                   y.shape()[axis],
                                   shape.inner(axis)});
  });
  record(Op::take_along_axis, {x, index}, {y}, {index}, axis);
  return y;
}

const Rule take_along_axis_rule{backward_rule, flops};

}  // namespace posetape
