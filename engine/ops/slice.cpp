#include "engine/ops/slice.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/attributes.hpp"
#include "engine/ops/reduced_shape.hpp"
#include "engine/tape.hpp"
#include "kernels/slice/slice.hpp"

namespace posetape {
namespace {

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& dy = backward.cotangent();
  const auto [axis, begin] = node.attributes.as<SliceAttributes>();
  const Shape& shape = node.inputs[0].shape;
  const Index inner = shape.inner(axis);
  dispatch(dy, [&]<class T>(auto where) {
    launch(where, SliceBackward<T>{dy.data<T>(), backward.gradient<T>(0), shape.outer(axis),
                                   dy.shape()[axis] * inner, shape[axis] * inner, begin * inner});
  });
}

double flops(const Node&) {
  return 0;
}

}  // namespace

Tensor slice(const Tensor& x, int axis, Index begin, Index end) {
  check_operands(Op::slice, {{"x", x}});
  const Shape& shape = x.shape();
  axis = axis_of("slice", shape, axis);
  if (begin < 0 || begin > end || end > shape[axis]) {
    fail("slice: {} to {} along axis {} of {}; expected 0 <= begin <= end <= {}", begin, end, axis,
         shape.text(), shape[axis]);
  }
  const Index inner = shape.inner(axis);
  const Tensor y = Tensor::empty(shape.with(axis, end - begin), x.dtype(), x.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where, SliceForward<T>{x.data<T>(), y.data<T>(), shape.outer(axis),
                                  (end - begin) * inner, shape[axis] * inner, begin * inner});
  });
  record(Op::slice, {x}, {y}, {}, SliceAttributes{axis, begin});
  return y;
}

const Rule slice_rule{backward_rule, flops};

}  // namespace posetape
