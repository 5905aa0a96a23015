#include "engine/ops/mul.hpp"

#include "engine/ops/binary.hpp"
#include "kernels/mul/mul.hpp"

namespace posetape {

Tensor mul(const Tensor& a, const Tensor& b) {
  return binary_op<MulForward>(Op::mul, a, b, Saves::operands);
}

const Rule mul_rule{binary_rule<MulBackward, false, false>, elementwise_flops<1>};

}  // namespace posetape
