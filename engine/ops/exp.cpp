#include "engine/ops/exp.hpp"

#include "engine/ops/unary.hpp"
#include "kernels/exp/exp.hpp"

namespace posetape {

Tensor exp(const Tensor& x) {
  return unary_op<ExpForward>(Op::exp, x);
}

const Rule exp_rule{unary_rule<ExpBackward>, elementwise_flops<4>};

}  // namespace posetape
