#include "engine/ops/transpose.hpp"

#include <fmt/format.h>

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/attributes.hpp"
#include "engine/tape.hpp"
#include "kernels/transpose/transpose.hpp"

namespace posetape {
namespace {

static_assert(kMaxPermuted == kMaxRank);

using Axes = TransposeAttributes;

Axes checked(const Shape& shape, std::span<const int> axes) {
  Axes result{};
  std::array<bool, kMaxRank> seen{};
  bool good = static_cast<int>(axes.size()) == shape.rank();
  for (std::size_t i = 0; i < axes.size() && good; ++i) {
    const int axis = axes[i] < 0 ? axes[i] + shape.rank() : axes[i];
    good = axis >= 0 && axis < shape.rank() && !seen[static_cast<std::size_t>(axis)];
    if (!good) break;
    seen[static_cast<std::size_t>(axis)] = true;
    result[i] = axis;
  }
  if (!good) {
    fail("transpose: axes [{}] for shape {}; each of its {} axes must be named once",
         fmt::join(axes, ", "), shape.text(), shape.rank());
  }
  return result;
}

Shape permuted_shape(const Shape& shape, const Axes& axes) {
  Shape result = shape;
  for (int i = 0; i < shape.rank(); ++i) {
    result = result.with(i, shape[axes[static_cast<std::size_t>(i)]]);
  }
  return result;
}

Permuted permuted(const Shape& source, const Axes& axes) {
  Permuted p;
  for (int i = 0; i < source.rank(); ++i) {
    const int axis = axes[static_cast<std::size_t>(i)];
    if (source[axis] == 1) continue;
    const Index step = source.inner(axis);
    const bool merge = p.rank > 0 && p.steps[p.rank - 1] == step * source[axis];
    const int at = merge ? p.rank - 1 : p.rank++;
    p.extents[at] = (merge ? p.extents[at] : 1) * source[axis];
    p.steps[at] = step;
  }
  if (p.rank == 0) {
    p.rank = 1;
    p.extents[0] = p.steps[0] = 1;
  }
  return p;
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& dy = backward.cotangent();
  const auto axes = node.attributes.as<Axes>();
  Axes inverse{};
  for (int i = 0; i < dy.shape().rank(); ++i) {
    inverse[static_cast<std::size_t>(axes[static_cast<std::size_t>(i)])] = i;
  }
  dispatch(dy, [&]<class T>(auto where) {
    launch(where, TransposeBackward<T>{dy.data<T>(), backward.gradient<T>(0),
                                       permuted(dy.shape(), inverse)});
  });
}

double flops(const Node&) {
  return 0;
}

}  // namespace

Tensor transpose(const Tensor& x, std::span<const int> axes) {
  check_operands(Op::transpose, {{"x", x}});
  const Axes order = checked(x.shape(), axes);
  const Tensor y = Tensor::empty(permuted_shape(x.shape(), order), x.dtype(), x.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where, TransposeForward<T>{x.data<T>(), y.data<T>(), permuted(x.shape(), order)});
  });
  record(Op::transpose, {x}, {y}, {}, order);
  return y;
}

const Rule transpose_rule{backward_rule, flops};

}  // namespace posetape
