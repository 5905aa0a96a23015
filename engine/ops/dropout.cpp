#include "engine/ops/dropout.hpp"

#include <cmath>

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"
#include "kernels/dropout/dropout.hpp"

namespace posetape {
namespace {

struct Key {
  double rate;
  std::uint64_t seed;
  std::uint64_t subsequence;
};

template <class T>
Dropout<T> arguments(const Tensor& x, GradientOut<T> y, const Key& key, const Tensor& step) {
  return {x.data<T>(),
          y,
          x.size(),
          key.seed,
          key.subsequence,
          step.data<double>(),
          static_cast<std::uint64_t>(std::llround(key.rate * 0x1p32)),
          1 / (1 - key.rate)};
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& dy = backward.cotangent();
  const Tensor step = node.saved.empty() ? Tensor() : Tensor(node.saved[0]);
  dispatch(dy, [&]<class T>(auto where) {
    launch(where, arguments<T>(dy, backward.gradient<T>(0), node.attributes.as<Key>(), step));
  });
}

double flops(const Node& node) {
  return static_cast<double>(node.outputs[0].shape.size());
}

Tensor dropped(const Tensor& x, const Key& key, const Tensor& step) {
  check_operands(Op::dropout, {{"x", x}});
  if (!(key.rate >= 0 && key.rate < 1)) {
    fail("dropout: the rate is {}; it must be in [0, 1)", key.rate);
  }
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where, arguments<T>(x, {y.data<T>(), Into::write}, key, step));
  });
  if (step.defined()) {
    record(Op::dropout, {x}, {y}, {step}, key);
  } else {
    record(Op::dropout, {x}, {y}, {}, key);
  }
  return y;
}

}  // namespace

Tensor dropout(const Tensor& x, double rate, std::uint64_t seed, Stream stream,
               std::uint64_t step) {
  return dropped(x, {rate, seed, subsequence(stream, step)}, {});
}

Tensor dropout(const Tensor& x, double rate, std::uint64_t seed, Stream stream,
               const Tensor& step) {
  if (!step.defined() || step.size() != 1 || step.dtype() != DType::f64) {
    fail("dropout: the step must be one element of f64");
  }
  return dropped(x, {rate, seed, subsequence(stream, 0)}, step);
}

const Rule dropout_rule{backward_rule, flops};

}  // namespace posetape
