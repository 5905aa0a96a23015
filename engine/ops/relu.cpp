#include "engine/ops/relu.hpp"

#include "engine/ops/unary.hpp"
#include "kernels/relu/relu.hpp"

namespace posetape {

Tensor relu(const Tensor& x) {
  return unary_op<ReluForward>(Op::relu, x);
}

const Rule relu_rule{unary_rule<ReluBackward>, elementwise_flops<1>};

}  // namespace posetape
