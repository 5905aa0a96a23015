#include "engine/ops/silu.hpp"

#include "engine/ops/unary.hpp"
#include "kernels/silu/silu.hpp"

namespace posetape {

Tensor silu(const Tensor& x) {
  return unary_op<SiluForward>(Op::silu, x);
}

const Rule silu_rule{unary_rule<SiluBackward>, elementwise_flops<6>};

}  // namespace posetape
