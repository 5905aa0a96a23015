#include "engine/ops/scale.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/attributes.hpp"
#include "engine/tape.hpp"
#include "kernels/scale/scale.hpp"

namespace posetape {
namespace {

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& dy = backward.cotangent();
  dispatch(dy, [&]<class T>(auto where) {
    launch(where, ScaleBackward<T>{dy.data<T>(), backward.gradient<T>(0), dy.size(),
                                   node.attributes.as<ScaleAttributes>().factor});
  });
}

double flops(const Node& node) {
  return 2 * static_cast<double>(node.outputs[0].shape.size());
}

}  // namespace

Tensor scale(const Tensor& x, double factor, double offset) {
  check_operands(Op::scale, {{"x", x}});
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where, ScaleForward<T>{x.data<T>(), y.data<T>(), x.size(), factor, offset});
  });
  record(Op::scale, {x}, {y}, {}, ScaleAttributes{factor, offset});
  return y;
}

const Rule scale_rule{backward_rule, flops};

}  // namespace posetape
