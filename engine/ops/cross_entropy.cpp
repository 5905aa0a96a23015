#include "engine/ops/cross_entropy.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"
#include "kernels/cross_entropy/cross_entropy.hpp"

namespace posetape {
namespace {

enum Input { kLogits, kClasses };

void check(const Tensor& logits, const Tensor& classes, Index ignored) {
  const Shape& shape = logits.shape();
  const Shape& rows = classes.shape();
  bool fits = shape.rank() == rows.rank() + 1;
  for (int i = 0; fits && i < rows.rank(); ++i) fits = rows[i] == shape[i];
  if (!fits) {
    fail("cross_entropy: logits are {}, classes {}; expected [..., C] and [...]", shape.text(),
         rows.text());
  }
  // The kernel gives NaN for classes that the host cannot look at.
  const bool on_host = classes.device() == Device::cpu;
  const auto given = on_host ? classes.values<std::int32_t>() : std::span<std::int32_t>();
  bool counts = given.empty();
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (given[i] == ignored) continue;
    if (given[i] < 0 || given[i] >= shape.back()) {
      fail("cross_entropy: class {} (element {} of {}) is out of range for logits {}", given[i], i,
           rows.text(), shape.text());
    }
    counts = true;
  }
  if (!counts) {
    fail("cross_entropy: all classes {} are {}, which is ignored; leave such a batch out",
         rows.text(), ignored);
  }
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& x = node.saved[kLogits];
  const Tensor& classes = node.saved[kClasses];
  const Tensor& row = node.saved[2];
  const Tensor& counted = node.saved[3];
  const Tensor& dloss = backward.cotangent();
  dispatch(x, [&]<class T>(auto where) {
    using A = Accumulator<T>;
    launch(where, CrossEntropyBackward<T>{x.data<T>(), classes.data<std::int32_t>(), row.data<A>(),
                                          counted.data<A>(), dloss.data<A>(),
                                          backward.gradient<T>(kLogits), classes.size(),
                                          x.shape().back(), node.attributes.as<Index>()});
  });
}

double flops(const Node& node) {
  return 6.0 * static_cast<double>(node.inputs[kLogits].shape.size());
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& classes,
                     std::optional<std::int32_t> ignored) {
  check_operands(Op::cross_entropy, {{"logits", logits}});
  check_index(Op::cross_entropy, {"classes", classes}, {"logits", logits});
  const Index left_out = ignored ? Index{*ignored} : kNoClass;
  check(logits, classes, left_out);
  const DType dtype = accumulator_of(logits.dtype());
  const Tensor loss = Tensor::empty({}, dtype, logits.device());
  const Tensor row = Tensor::empty({classes.size(), 2}, dtype, logits.device());
  const Tensor counted = Tensor::empty({}, dtype, logits.device());
  dispatch(logits, [&]<class T>(auto where) {
    using A = Accumulator<T>;
    launch(where, CrossEntropyForward<T>{logits.data<T>(), classes.data<std::int32_t>(),
                                         row.data<A>(), counted.data<A>(), loss.data<A>(),
                                         classes.size(), logits.shape().back(), left_out});
  });
  record(Op::cross_entropy, {logits, classes}, {loss}, {logits, classes, row, counted}, left_out);
  return loss;
}

const Rule cross_entropy_rule{backward_rule, flops};

}  // namespace posetape
