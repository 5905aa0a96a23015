#include "engine/ops/max.hpp"

#include <limits>

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/reduced_shape.hpp"
#include "engine/ops/reshape.hpp"
#include "engine/ops/scale.hpp"
#include "engine/tape.hpp"
#include "kernels/max/max.hpp"

namespace posetape {
namespace {

struct Extents {
  Index outer;
  Index count;
  Index inner;
};

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& place = node.saved[0];
  const Tensor& dy = backward.cotangent();
  const auto e = node.attributes.as<Extents>();
  dispatch(dy, [&]<class T>(auto where) {
    launch(where, MaxBackward<T>{place.data<std::int32_t>(), dy.data<T>(), backward.gradient<T>(0),
                                 e.outer, e.count, e.inner});
  });
}

double flops(const Node& node) {
  return static_cast<double>(node.inputs[0].shape.size());
}

struct Largest {
  Tensor value;
  Tensor place;
};

// Along one axis, counted from 0, which stays as 1.
Largest largest(const Tensor& x, int axis) {
  const Shape& shape = x.shape();
  const Extents e{shape.outer(axis), shape[axis], shape.inner(axis)};
  const Shape kept = shape.with(axis, 1);
  const bool fits = e.count <= std::numeric_limits<std::int32_t>::max();
  if ((e.count == 0 && kept.size() > 0) || !fits) {
    fail("max: axis {} of {}; there must be an element to choose, and fewer than 2^31", axis,
         shape.text());
  }
  const Largest found{Tensor::empty(kept, x.dtype(), x.device()),
                      Tensor::empty(kept, DType::i32, x.device())};
  dispatch(x, [&]<class T>(auto where) {
    launch(where, MaxForward<T>{x.data<T>(), found.value.data<T>(),
                                found.place.data<std::int32_t>(), e.outer, e.count, e.inner});
  });
  record(Op::max, {x}, {found.value}, {found.place}, e);
  return found;
}

}  // namespace

// Axis by axis from the last on, so that of equal ones the first in row-major order is left.
Tensor max(const Tensor& x, const SumOptions& options) {
  check_operands(Op::max, {{"x", x}});
  const Shape kept = kept_shape("max", x.shape(), options.axes);
  Tensor y = x;
  for (int axis = x.shape().rank(); axis-- > 0;) {
    if (is_reduced(x.shape(), options.axes, axis)) y = largest(y, axis).value;
  }
  return reshape(y, options.keepdims ? kept : without(x.shape(), options.axes));
}

Tensor min(const Tensor& x, const SumOptions& options) {
  return scale(max(scale(x, -1), options), -1);
}

Tensor argmax(const Tensor& x, int axis) {
  check_operands(Op::max, {{"x", x}});
  const NoRecording off;
  const int axes[] = {axis_of("argmax", x.shape(), axis)};
  return largest(x, axes[0]).place.alias(without(x.shape(), axes));
}

const Rule max_rule{backward_rule, flops};

}  // namespace posetape
