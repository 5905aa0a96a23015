#include "engine/ops/sub.hpp"

#include "engine/ops/binary.hpp"
#include "kernels/sub/sub.hpp"

namespace posetape {

Tensor sub(const Tensor& a, const Tensor& b) {
  return binary_op<SubForward>(Op::sub, a, b, Saves::nothing);
}

const Rule sub_rule{binary_rule<SubBackward, true, false>, elementwise_flops<1>};

}  // namespace posetape
