#include "engine/ops/div.hpp"

#include "engine/ops/binary.hpp"
#include "kernels/div/div.hpp"

namespace posetape {

Tensor div(const Tensor& a, const Tensor& b) {
  return binary_op<DivForward>(Op::div, a, b, Saves::operands);
}

const Rule div_rule{binary_rule<DivBackward, false, false>, elementwise_flops<1>};

}  // namespace posetape
