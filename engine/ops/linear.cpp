#include "engine/ops/linear.hpp"

#include <optional>

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/attributes.hpp"

namespace posetape {
namespace {

enum Input { kX, kWeight, kBias, kGamma };
// What the norm has saved comes fourth, or z of an x that is Activated.
enum Saved { kLeft, kSavedWeight, kZ, kMore };

Index rows_of(const Shape& shape) {
  return shape.outer(shape.rank() - 1);
}

int layers_of(const Node& node) {
  return node.attributes.as<LinearAttributes>().layers;
}

bool begins_with_norm(const Node& node) {
  return layers_of(node) == 1 && node.inputs.size() > kGamma;
}

void run(Cpu where, const auto& several) {
  in_turn(several, [&](const auto& one) { launch(where, one); });
}
void run(Cuda where, const auto& several) {
  launch(where, several);
}

// The cotangent of an output, zeros where nothing depends on it.
Tensor cotangent_of(const Node& node, const Backward& backward, int output) {
  const Tensor& dy = backward.cotangent(output);
  if (dy.defined()) return dy;
  const Value& y = node.outputs[static_cast<std::size_t>(output)];
  return Tensor::zeros(y.shape, y.dtype, y.device);
}

// Of several layers: dx comes from the last one first.
void linears_backward_rule(const Node& node, Backward& backward) {
  const Tensor& x = node.saved[kLeft];
  const int count = layers_of(node);
  std::vector<Tensor> dys;
  for (int i = 0; i < count; ++i) dys.push_back(cotangent_of(node, backward, i));
  dispatch(x, [&]<class T>(auto where) {
    LinearsBackward<T> all{};
    all.count = count;
    const GradientOut<T> dx = backward.gradient<T>(kX);
    for (int i = 0; i < count; ++i) {
      const Tensor& w = node.saved[static_cast<std::size_t>(1 + i)];
      const int weight = 1 + 2 * i;
      all.of[i] = {x.data<T>(),
                   w.data<T>(),
                   nullptr,
                   dys[static_cast<std::size_t>(i)].template data<T>(),
                   nullptr,
                   {dx.data, i == count - 1 ? dx.into : Into::add},
                   backward.gradient<T>(weight),
                   backward.gradient<T>(weight + 1),
                   rows_of(x.shape()),
                   w.shape()[1],
                   w.shape()[0],
                   Activation::none};
    }
    run(where, all);
  });
}

void backward_rule(const Node& node, Backward& backward) {
  if (layers_of(node) > 1) return linears_backward_rule(node, backward);
  const Tensor& x = node.saved[kLeft];
  const Tensor& w = node.saved[kSavedWeight];
  const auto of = node.attributes.as<LinearAttributes>();
  const Tensor dy = cotangent_of(node, backward, 0);
  const Tensor& z = node.saved[kZ];
  const Tensor dz = z.defined() ? Tensor::empty(dy.shape(), dy.dtype(), dy.device()) : Tensor();

  std::optional<NormBackward> norm;
  if (begins_with_norm(node)) norm.emplace(node, backward, kGamma, kMore);
  const bool to_norm = norm && norm->wanted();
  // The gradient of the product's left side, where it goes on to something else.
  Tensor dx;
  const bool follows = of.before != Activation::none;
  std::pair<Tensor, Into> dz_of_x;
  if (follows) dz_of_x = backward.target(kX);
  const bool adds = dz_of_x.first.defined() && dz_of_x.second == Into::add;
  if (to_norm || adds) dx = Tensor::empty(x.shape(), x.dtype(), x.device());

  dispatch(x, [&]<class T>(auto where) {
    const auto to = [&]() -> GradientOut<T> {
      if (norm || adds) return {dx.data<T>(), Into::write};
      if (follows) return {dz_of_x.first.data<T>(), Into::write};
      return backward.gradient<T>(kX);
    };
    const LinearBackward<T> product{x.data<T>(),
                                    w.data<T>(),
                                    z.data<T>(),
                                    dy.data<T>(),
                                    dz.data<T>(),
                                    to(),
                                    backward.gradient<T>(kWeight),
                                    backward.gradient<T>(kBias),
                                    rows_of(x.shape()),
                                    w.shape()[1],
                                    w.shape()[0],
                                    z.defined() ? of.activation : Activation::none,
                                    follows ? node.saved[kMore].template data<T>() : nullptr,
                                    of.before};
    if (!to_norm) return launch(where, product);
    run(where, NormLinearBackward<T>{product, norm->arguments<T>(dx)});
  });
  if (norm) norm->pass();
  if (adds) accumulate(dx, dz_of_x.first);
}

double flops(const Node& node) {
  const Index elements = node.inputs[kX].shape.size();
  const double norm = begins_with_norm(node) ? norm_flops(elements) : 0;
  return 2.0 * static_cast<double>(elements * node.inputs[kWeight].shape[0] * layers_of(node)) +
         norm;
}

std::string mode(const Node& node) {
  if (layers_of(node) > 1) return "several";
  constexpr const char* kNames[] = {"none", "gelu", "silu"};
  const std::string activation =
      kNames[static_cast<int>(node.attributes.as<LinearAttributes>().activation)];
  return begins_with_norm(node) ? "norm." + activation : activation;
}

void check(const Tensor& x, const Tensor& weight, const Tensor& bias) {
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
}

template <class T>
LinearForward<T> forward_arguments(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                   const Tensor& z, const Tensor& y, Activation activation) {
  return {x.data<T>(),        weight.data<T>(), bias.data<T>(),    z.data<T>(), y.data<T>(),
          rows_of(x.shape()), x.shape().back(), weight.shape()[0], activation};
}

}  // namespace

// A call, from its inputs to its results and the node.
struct LinearCall {
  Tensor x, weight, bias;
  Activation activation;
  Tensor z = {}, y = {};

  void make(bool keep_z) {
    const Shape shape = x.shape().with(-1, weight.shape()[0]);
    y = Tensor::empty(shape, x.dtype(), x.device());
    if (keep_z) z = Tensor::empty(shape, x.dtype(), x.device());
  }
  void compute() {
    dispatch(x, [&]<class T>(auto where) {
      launch(where, forward_arguments<T>(x, weight, bias, z, y, activation));
    });
  }
  // Of an activation that is open gradients flow into z.
  const Tensor& recorded() const { return z.defined() ? z : y; }
  Activated activated() const { return {z, y, activation}; }
};

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation) {
  check(x, weight, bias);
  LinearCall call{x, weight, bias, activation};
  const bool keep = activation != Activation::none && recording({x, weight, bias});
  call.make(keep);
  if (keep || !skip_result({x, weight, bias})) call.compute();
  record(Op::linear, {x, weight, bias}, {call.y}, {x, weight, call.z},
         LinearAttributes{activation});
  return call.y;
}

std::vector<Tensor> linears(const Tensor& x, std::span<const LinearLayer> layers) {
  std::vector<Tensor> outputs;
  const auto count = static_cast<int>(layers.size());
  if (count < 2 || count > kMostLayers) {
    for (const LinearLayer& l : layers) outputs.push_back(linear(x, l.weight, l.bias));
    return outputs;
  }
  std::vector<Tensor> inputs{x}, saved{x};
  for (const LinearLayer& l : layers) {
    check(x, l.weight, l.bias);
    const LinearLayer& first = layers.front();
    if (l.weight.shape() != first.weight.shape() || l.bias.defined() != first.bias.defined()) {
      fail("linears: weights {} and {}; layers must be of one size, all with a bias or all without",
           first.weight.shape().text(), l.weight.shape().text());
    }
    outputs.push_back(
        Tensor::empty(x.shape().with(-1, l.weight.shape()[0]), x.dtype(), x.device()));
    inputs.insert(inputs.end(), {l.weight, l.bias});
    saved.push_back(l.weight);
  }
  dispatch(x, [&]<class T>(auto where) {
    LinearsForward<T> all{};
    all.count = count;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      all.of[i] = forward_arguments<T>(x, layers[i].weight, layers[i].bias, {}, outputs[i],
                                       Activation::none);
    }
    run(where, all);
  });
  record(Op::linear, inputs, outputs, saved,
         LinearAttributes{Activation::none, Activation::none, count});
  return outputs;
}

Activated activated_linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
                           Activation activation) {
  check(x, weight, bias);
  LinearCall call{x, weight, bias, activation};
  call.make(recording({x, weight, bias}));
  call.compute();
  record(Op::linear, {x, weight, bias}, {call.recorded()}, {x, weight, {}},
         LinearAttributes{activation});
  return call.activated();
}

Tensor linear_of_activated(const Activated& x, const Tensor& weight, const Tensor& bias) {
  if (!x.z_.defined()) return linear(x.y_, weight, bias);
  check(x.y_, weight, bias);
  LinearCall call{x.y_, weight, bias, Activation::none};
  call.make(false);
  if (!skip_result({x.z_, weight, bias})) call.compute();
  record(Op::linear, {x.z_, weight, bias}, {call.y}, {x.y_, weight, {}, x.z_},
         LinearAttributes{Activation::none, x.activation_});
  return call.y;
}

namespace {

// Both of a norm: the call, computed and recorded, and the sum.
std::pair<LinearCall, Tensor> call_of(const NormInput& in, const Tensor& weight, const Tensor& bias,
                                      Activation activation) {
  check_norm_input(Op::linear, in);
  check(in.x, weight, bias);
  const NormOutput norm(in);
  LinearCall call{norm.y, weight, bias, activation};
  const bool recorded = recording({in.x, weight, bias, in.gamma, in.beta, in.residual, in.shift});
  call.make(activation != Activation::none && recorded);
  dispatch(in.x, [&]<class T>(auto where) {
    run(where, NormLinearForward<T>{
                   forward_arguments<T>(in, norm),
                   forward_arguments<T>(norm.y, weight, bias, call.z, call.y, activation)});
  });
  std::vector<Tensor> outputs{call.recorded()};
  if (in.summed()) outputs.push_back(norm.s);
  const Tensor inputs[] = {in.x, weight, bias, in.gamma, in.beta, in.residual, in.shift};
  const Tensor saved[] = {norm.y, weight, {}, norm.s, in.gamma, norm.mean, norm.rstd};
  record(Op::linear, inputs, outputs, saved, LinearAttributes{activation});
  return {call, norm.s};
}

}  // namespace

std::pair<Tensor, Tensor> norm_linear(const NormInput& x, const Tensor& weight,
                                      const Tensor& bias) {
  const auto [call, sum] = call_of(x, weight, bias, Activation::none);
  return {call.y, sum};
}

std::pair<Activated, Tensor> activated_norm_linear(const NormInput& x, const Tensor& weight,
                                                   const Tensor& bias, Activation activation) {
  const auto [call, sum] = call_of(x, weight, bias, activation);
  return {call.activated(), sum};
}

const Rule linear_rule{backward_rule, flops, mode, /*products=*/true};

}  // namespace posetape
