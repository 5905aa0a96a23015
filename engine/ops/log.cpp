#include "engine/ops/log.hpp"

#include "engine/ops/unary.hpp"
#include "kernels/log/log.hpp"

namespace posetape {

Tensor log(const Tensor& x) {
  return unary_op<LogForward>(Op::log, x);
}

const Rule log_rule{unary_rule<LogBackward>, elementwise_flops<4>};

}  // namespace posetape
