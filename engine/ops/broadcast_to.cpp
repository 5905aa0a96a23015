#include "engine/ops/broadcast_to.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/broadcast.hpp"
#include "engine/tape.hpp"
#include "kernels/broadcast_to/broadcast_to.hpp"

namespace posetape {
namespace {

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& dy = backward.cotangent();
  const Shape& shape = node.inputs[0].shape;
  if (shape.size() == dy.size() && dy.size() > 0) return backward.pass(0, dy);
  dispatch(dy, [&]<class T>(auto where) {
    launch(where, BroadcastToBackward<T>{dy.data<T>(), backward.gradient<T>(0),
                                         broadcast_steps(dy.shape(), shape, dy.shape())});
  });
}

double flops(const Node&) {
  return 0;
}

}  // namespace

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  check_operands(Op::broadcast_to, {{"x", x}});
  if (broadcast("broadcast_to", x.shape(), shape) != shape) {
    fail("broadcast_to: {} to {}; only dimensions of 1 are repeated", x.shape().text(),
         shape.text());
  }
  const Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where, BroadcastToForward<T>{x.data<T>(), y.data<T>(),
                                        broadcast_steps(shape, x.shape(), shape)});
  });
  record(Op::broadcast_to, {x}, {y}, {});
  return y;
}

const Rule broadcast_to_rule{backward_rule, flops};

}  // namespace posetape
