#include "engine/ops/reshape.hpp"

#include "engine/operands.hpp"
#include "engine/tape.hpp"

namespace posetape {
namespace {

void backward_rule(const Node&, Backward& backward) {
  backward.pass(0, backward.cotangent());
}

double flops(const Node&) {
  return 0;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  check_given(Op::reshape, {"x", x});
  if (shape.size() != x.size()) {
    fail("reshape: {} to {}: {} elements to {}; sizes must be equal", x.shape().text(),
         shape.text(), x.size(), shape.size());
  }
  const Tensor y = x.alias(shape);
  record(Op::reshape, {x}, {y}, {});
  return y;
}

const Rule reshape_rule{backward_rule, flops};

}  // namespace posetape
