#include "engine/ops/tanh.hpp"

#include "engine/ops/unary.hpp"
#include "kernels/tanh/tanh.hpp"

namespace posetape {

Tensor tanh(const Tensor& x) {
  return unary_op<TanhForward>(Op::tanh, x);
}

const Rule tanh_rule{unary_rule<TanhBackward>, elementwise_flops<6>};

}  // namespace posetape
