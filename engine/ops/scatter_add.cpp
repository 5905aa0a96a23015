#include "engine/ops/scatter_add.hpp"

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
           TakeAlongAxis<T>{dy.data<T>(), index.data<std::int32_t>(), backward.gradient<T>(kX),
                            shape.outer(axis), dy.shape()[axis], shape[axis], shape.inner(axis)});
  });
}

double flops(const Node& node) {
  return static_cast<double>(node.inputs[kX].shape.size());
}

}  // namespace

Tensor scatter_add(const Tensor& x, const Tensor& index, int axis, Index extent) {
  check_operands(Op::scatter_add, {{"x", x}});
  check_index(Op::scatter_add, {"index", index}, {"x", x});
  const Shape& shape = x.shape();
  axis = axis_of("scatter_add", shape, axis);
  if (index.shape() != shape || extent < 0) {
    fail("scatter_add: x is {}, index {}, extent {}; expected one shape, and 0 at least",
         shape.text(), index.shape().text(), extent);
  }
  check_range(Op::scatter_add, index, extent);
  const Tensor y = Tensor::empty(shape.with(axis, extent), x.dtype(), x.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where, ScatterAdd<T>{x.data<T>(),
                                index.data<std::int32_t>(),
                                {y.data<T>(), Into::write},
                                shape.outer(axis),
                                extent,
                                shape[axis],
                                shape.inner(axis)});
  });
  record(Op::scatter_add, {x, index}, {y}, {index}, axis);
  return y;
}

const Rule scatter_add_rule{backward_rule, flops};

}  // namespace posetape
