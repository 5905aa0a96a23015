#include "engine/hvp.hpp"

#include "engine/error.hpp"
#include "engine/module.hpp"
#include "engine/ops/reshape.hpp"
#include "engine/oracles.hpp"
#include "engine/tape.hpp"

namespace posetape {
namespace {

using Tensors = std::vector<Tensor>;

// Numbers of f64 in another type, without slopes.
Tensor in_type(const Tensor& x, DType dtype) {
  return Tensor::of(x.shape(), x.values<double>(), dtype);
}

}  // namespace

TensorFunction gradient_function(TensorFunction f, std::vector<Tensor> cotangents,
                                 std::vector<int> constant) {
  return [f = std::move(f), cotangents = std::move(cotangents),
          constant = std::move(constant)](std::span<const Tensor> inputs) {
    const auto moves = [&](std::size_t i) { return floating(inputs[i]) && !contains(constant, i); };
    Tape tape;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (moves(i)) tape.watch(inputs[i]);
    }
    Tensors outputs;
    std::vector<bool> tracked;
    {
      const Recording on(tape);
      outputs = f(inputs);
      for (const Tensor& y : outputs) tracked.push_back(recording({y}));
    }
    Tensors sums(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (moves(i)) sums[i] = Tensor::zeros(inputs[i].shape(), inputs[i].dtype());
    }
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      if (!tracked[o] || o >= cotangents.size() || !cotangents[o].defined()) continue;
      Tape::Options options;
      options.cotangent = in_type(cotangents[o], outputs[o].dtype());
      const Gradients gradients = tape.backward(outputs[o], options);
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (moves(i)) accumulate(gradients.of(inputs[i]), sums[i]);
      }
    }
    return sums;
  };
}

std::vector<Tensor> hvp(const TensorFunction& f, std::span<const Tensor> inputs,
                        std::span<const Tensor> tangents) {
  const TensorFunction loss = [&f](std::span<const Tensor> in) {
    Tensors outputs = f(in);
    if (outputs.size() != 1 || !outputs[0].defined() || outputs[0].size() != 1) {
      fail("hvp: the function returned {}; expected one tensor of one element",
           outputs.size() == 1 && outputs[0].defined() ? "a tensor " + outputs[0].shape().text()
                                                       : fmt::format("{} tensors", outputs.size()));
    }
    return Tensors{reshape(outputs[0], {1})};
  };
  return jvp(gradient_function(loss, {Tensor::full({1}, 1.0, DType::f64)}), inputs, tangents);
}

Tensor network_hvp(const ParameterList& parameters, const std::function<Tensor()>& loss,
                   const Tensor& direction) {
  const Tensor& values = parameters.values();
  if (values.dtype() != DType::dual) {
    fail(
        "network_hvp: the parameters are {}; make the network in DType::dual, and load() its "
        "weights",
        name(values.dtype()));
  }
  if (!direction.defined() || direction.dtype() != DType::f64 ||
      direction.size() != values.size()) {
    fail("network_hvp: the direction must be f64 and have {} elements, as parameters.values()",
         values.size());
  }
  const auto put_slopes = [&](const std::function<double(Index)>& slope) {
    for (Index i = 0; i < values.size(); ++i) values.data<Dual>()[i].slope = slope(i);
    values.mark_written();
  };
  put_slopes([&](Index i) { return direction.data<double>()[i]; });
  gradients(parameters, loss);
  Tensor product = Tensor::zeros(values.shape(), DType::f64);
  for (const ParameterList::Entry& e : parameters.entries()) {
    for (Index i = 0; i < e.value.size(); ++i) {
      product.data<double>()[e.begin + i] = e.gradient.data<Dual>()[i].slope;
    }
  }
  fill(parameters.gradients(), 0);
  put_slopes([](Index) { return 0.0; });
  return product;
}

}  // namespace posetape
