#include "engine/ops/log_softmax.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"
#include "kernels/log_softmax/log_softmax.hpp"

namespace posetape {
namespace {

Index rows_of(const Shape& shape) {
  return shape.outer(shape.rank() - 1);
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& y = node.saved[0];
  const Tensor& dy = backward.cotangent();
  dispatch(dy, [&]<class T>(auto where) {
    launch(where, LogSoftmaxBackward<T>{y.data<T>(), dy.data<T>(), backward.gradient<T>(0),
                                        rows_of(y.shape()), y.shape().back()});
  });
}

double flops(const Node& node) {
  return 5.0 * static_cast<double>(node.outputs[0].shape.size());
}

}  // namespace

Tensor log_softmax(const Tensor& x) {
  check_operands(Op::log_softmax, {{"x", x}});
  if (x.shape().rank() < 1) fail("log_softmax: x is []; it must have at least one dimension");
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where,
           LogSoftmaxForward<T>{x.data<T>(), y.data<T>(), rows_of(x.shape()), x.shape().back()});
  });
  record(Op::log_softmax, {x}, {y}, {y});
  return y;
}

const Rule log_softmax_rule{backward_rule, flops};

}  // namespace posetape
