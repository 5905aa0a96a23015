// The tensor side of elementwise functions of one tensor, shared by all ops of that kind.
#pragma once

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"

namespace posetape {

template <template <class> class Forward>
Tensor unary_op(Op op, const Tensor& x) {
  check_operands(op, {{"x", x}});
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where, Forward<T>{{x.data<T>(), y.data<T>(), x.size()}});
  });
  record(op, {x}, {y}, {x, y});
  return y;
}

template <template <class> class BackwardArgs>
void unary_rule(const Node& node, Backward& backward) {
  const Tensor& dy = backward.cotangent();
  dispatch(dy, [&]<class T>(auto where) {
    launch(where, BackwardArgs<T>{{node.saved[0].data<T>(), node.saved[1].data<T>(), dy.data<T>(),
                                   backward.gradient<T>(0), dy.size()}});
  });
}

// For flop counts of elementwise ops: `each` operations an output element.
template <int each>
double elementwise_flops(const Node& node) {
  return each * static_cast<double>(node.outputs[0].shape.size());
}

}  // namespace posetape
