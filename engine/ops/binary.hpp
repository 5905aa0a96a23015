// The tensor side of elementwise functions of two tensors, shared by all ops of that kind.
#pragma once

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/broadcast.hpp"
#include "engine/ops/unary.hpp"
#include "engine/tape.hpp"

namespace posetape {

// What the backward rule needs beside the cotangent.
enum class Saves { nothing, operands };

template <template <class> class Forward>
Tensor binary_op(Op op, const Tensor& a, const Tensor& b, Saves saves) {
  check_operands(op, {{"a", a}, {"b", b}});
  const Shape shape = broadcast(name(op), a.shape(), b.shape());
  const Tensor y = Tensor::empty(shape, a.dtype(), a.device());
  dispatch(a, [&]<class T>(auto where) {
    launch(where, Forward<T>{{a.data<T>(), b.data<T>(), y.data<T>(),
                              broadcast_steps(shape, a.shape(), b.shape())}});
  });
  if (saves == Saves::operands) {
    record(op, {a, b}, {y}, {a, b});
  } else {
    record(op, {a, b}, {y}, {});
  }
  return y;
}

// pass_a says that a's slope is 1, so that its gradient is the cotangent itself where a is not
// repeated; pass_b likewise.
template <template <class> class BackwardArgs, bool pass_a, bool pass_b>
void binary_rule(const Node& node, Backward& backward) {
  const Tensor& dy = backward.cotangent();
  const Shape& a = node.inputs[0].shape;
  const Shape& b = node.inputs[1].shape;
  const bool passes[] = {pass_a && a.size() == dy.size(), pass_b && b.size() == dy.size()};
  bool left = false;
  for (int i = 0; i < 2; ++i) {
    if (passes[i]) {
      backward.pass(i, dy);
    } else {
      left = left || backward.wants(i);
    }
  }
  if (!left) return;
  const Tensor saved_a = node.saved.empty() ? Tensor() : Tensor(node.saved[0]);
  const Tensor saved_b = node.saved.empty() ? Tensor() : Tensor(node.saved[1]);
  dispatch(dy, [&]<class T>(auto where) {
    launch(where, BackwardArgs<T>{{saved_a.data<T>(), saved_b.data<T>(), dy.data<T>(),
                                   passes[0] ? GradientOut<T>{} : backward.gradient<T>(0),
                                   passes[1] ? GradientOut<T>{} : backward.gradient<T>(1),
                                   broadcast_steps(dy.shape(), a, b)}});
  });
}

}  // namespace posetape
