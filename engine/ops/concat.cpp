#include "engine/ops/concat.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"
#include "kernels/concat/concat.hpp"

namespace posetape {
namespace {

Shape joined(std::span<const Tensor> inputs, int axis) {
  const Shape& first = inputs[0].shape();
  Index total = 0;
  for (const Tensor& x : inputs) {
    const Shape& shape = x.shape();
    if (shape.rank() != first.rank() || shape.with(axis, first[axis]) != first) {
      fail("concat: {} and {} along axis {}; all other dimensions must be equal", first.text(),
           shape.text(), axis);
    }
    total += shape[axis];
  }
  return first.with(axis, total);
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& dy = backward.cotangent();
  const int axis = node.attributes.as<int>();
  const Index inner = dy.shape().inner(axis);
  dispatch(dy, [&]<class T>(auto where) {
    Index offset = 0;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const Index width = node.inputs[i].shape[axis] * inner;
      if (backward.wants(static_cast<int>(i))) {
        launch(where,
               ConcatBackward<T>{dy.data<T>(), backward.gradient<T>(static_cast<int>(i)),
                                 dy.shape().outer(axis), width, dy.shape()[axis] * inner, offset});
      }
      offset += width;
    }
  });
}

double flops(const Node&) {
  return 0;
}

}  // namespace

Tensor concat(std::span<const Tensor> inputs, int axis) {
  if (inputs.empty()) fail("concat: no inputs; at least one is expected");
  std::vector<Operand> operands;
  for (const Tensor& x : inputs) {
    operands.push_back({"input", x, false, static_cast<int>(operands.size())});
  }
  check_operands(Op::concat, operands);
  const int rank = inputs[0].shape().rank();
  if (axis < -rank || axis >= rank) {
    fail("concat: axis {} of {}; it must be below the rank {}", axis, inputs[0].shape().text(),
         rank);
  }
  if (axis < 0) axis += rank;
  const Shape shape = joined(inputs, axis);
  const Tensor y = Tensor::empty(shape, inputs[0].dtype(), inputs[0].device());
  dispatch(y, [&]<class T>(auto where) {
    using Args = ConcatForward<T>;
    Index offset = 0;
    for (std::size_t first = 0; first < inputs.size(); first += Args::kMost) {
      Args args{{}, {}, y.data<T>(), shape.outer(axis), shape[axis] * shape.inner(axis), offset};
      for (std::size_t k = 0; k < Args::kMost && first + k < inputs.size(); ++k) {
        const Tensor& x = inputs[first + k];
        args.x[k] = x.data<T>();
        args.widths[k] = x.shape()[axis] * shape.inner(axis);
        offset += args.widths[k];
      }
      launch(where, args);
    }
  });
  record(Op::concat, inputs, std::span(&y, 1), {}, axis);
  return y;
}

const Rule concat_rule{backward_rule, flops};

}  // namespace posetape
