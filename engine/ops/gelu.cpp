#include "engine/ops/gelu.hpp"

#include "engine/ops/unary.hpp"
#include "kernels/gelu/gelu.hpp"

namespace posetape {

Tensor gelu(const Tensor& x) {
  return unary_op<GeluForward>(Op::gelu, x);
}

const Rule gelu_rule{unary_rule<GeluBackward>, elementwise_flops<10>};

}  // namespace posetape
