#include "engine/ops/sigmoid.hpp"

#include "engine/ops/unary.hpp"
#include "kernels/sigmoid/sigmoid.hpp"

namespace posetape {

Tensor sigmoid(const Tensor& x) {
  return unary_op<SigmoidForward>(Op::sigmoid, x);
}

const Rule sigmoid_rule{unary_rule<SigmoidBackward>, elementwise_flops<5>};

}  // namespace posetape
