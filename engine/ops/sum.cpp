#include "engine/ops/sum.hpp"

#include <fmt/format.h>

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/broadcast.hpp"
#include "engine/ops/scale.hpp"
#include "engine/tape.hpp"
#include "kernels/sum/sum.hpp"

namespace posetape {
namespace {

// x's shape with the summed dimensions as 1.
Shape kept_shape(const Shape& shape, std::span<const int> axes) {
  Shape kept = shape;
  for (int i = 0; i < shape.rank() && axes.empty(); ++i) kept = kept.with(i, 1);
  std::array<bool, kMaxRank> seen{};
  for (int axis : axes) {
    if (axis < 0) axis += shape.rank();
    if (axis < 0 || axis >= shape.rank() || seen[static_cast<std::size_t>(axis)]) {
      fail("sum: axes [{}] of {}; each must be below the rank {} and named once",
           fmt::join(axes, ", "), shape.text(), shape.rank());
    }
    seen[static_cast<std::size_t>(axis)] = true;
    kept = kept.with(axis, 1);
  }
  return kept;
}

Shape without(const Shape& shape, std::span<const int> axes) {
  std::vector<Index> dims;
  for (int i = 0; i < shape.rank() && !axes.empty(); ++i) {
    const bool summed = std::any_of(axes.begin(), axes.end(), [&](int axis) {
      return (axis < 0 ? axis + shape.rank() : axis) == i;
    });
    if (!summed) dims.push_back(shape[i]);
  }
  return Shape(dims);
}

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
  const Shape kept = kept_shape(shape, options.axes);
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
  const Shape kept = kept_shape(x.shape(), options.axes);
  double terms = 1;
  for (int i = 0; i < kept.rank(); ++i) {
    if (kept[i] != x.shape()[i]) terms *= static_cast<double>(x.shape()[i]);
  }
  return scale(sum(x, options), 1 / terms);
}

const Rule sum_rule{backward_rule, flops};

}  // namespace posetape
