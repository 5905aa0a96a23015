#include "engine/ops/linear.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"

namespace posetape {
namespace {

enum Input { kX, kWeight, kBias };

Index rows_of(const Shape& shape) {
  return shape.outer(shape.rank() - 1);
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& x = node.saved[0];
  const Tensor& w = node.saved[1];
  const Tensor& z = node.saved[2];
  const Tensor& dy = backward.cotangent();
  const auto activation = node.attributes.as<Activation>();
  const Tensor dz = activation == Activation::none
                        ? Tensor()
                        : Tensor::empty(dy.shape(), dy.dtype(), dy.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where, LinearBackward<T>{x.data<T>(), w.data<T>(), z.data<T>(), dy.data<T>(),
                                    dz.data<T>(), backward.gradient<T>(kX),
                                    backward.gradient<T>(kWeight), backward.gradient<T>(kBias),
                                    rows_of(x.shape()), w.shape()[1], w.shape()[0], activation});
  });
}

double flops(const Node& node) {
  return 2.0 * static_cast<double>(node.inputs[kX].shape.size() * node.inputs[kWeight].shape[0]);
}

std::string mode(const Node& node) {
  constexpr const char* kNames[] = {"none", "gelu", "silu"};
  return kNames[static_cast<int>(node.attributes.as<Activation>())];
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation) {
  check_operands(Op::linear, {{"x", x}, {"weight", weight}, {"bias", bias, true}});
  if (x.shape().rank() < 1 || weight.shape().rank() != 2 || x.shape().back() != weight.shape()[1]) {
    fail("linear: x is {}, weight {}; weight must be [out, in] with in = x's last dimension",
         x.shape().text(), weight.shape().text());
  }
  const Index out = weight.shape()[0];
  if (bias.defined() && bias.shape() != Shape{out}) {
    fail("linear: bias is {}, weight {}; bias must be [{}]", bias.shape().text(),
         weight.shape().text(), out);
  }
  const Shape shape = x.shape().with(-1, out);
  const Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  const bool keep = activation != Activation::none && recording({x, weight, bias});
  const Tensor z = keep ? Tensor::empty(shape, x.dtype(), x.device()) : Tensor();
  if (keep || !skip_result({x, weight, bias})) {
    dispatch(x, [&]<class T>(auto where) {
      launch(where,
             LinearForward<T>{x.data<T>(), weight.data<T>(), bias.data<T>(), z.data<T>(),
                              y.data<T>(), rows_of(x.shape()), x.shape().back(), out, activation});
    });
  }
  record(Op::linear, {x, weight, bias}, {y}, {x, weight, z}, activation);
  return y;
}

const Rule linear_rule{backward_rule, flops, mode, /*products=*/true};

}  // namespace posetape
