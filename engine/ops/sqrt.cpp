#include "engine/ops/sqrt.hpp"

#include "engine/ops/unary.hpp"
#include "kernels/sqrt/sqrt.hpp"

namespace posetape {

Tensor sqrt(const Tensor& x) {
  return unary_op<SqrtForward>(Op::sqrt, x);
}

const Rule sqrt_rule{unary_rule<SqrtBackward>, elementwise_flops<1>};

}  // namespace posetape
