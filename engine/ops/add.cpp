#include "engine/ops/add.hpp"

#include "engine/ops/binary.hpp"
#include "kernels/add/add.hpp"

namespace posetape {

Tensor add(const Tensor& a, const Tensor& b) {
  return binary_op<AddForward>(Op::add, a, b, Saves::nothing);
}

const Rule add_rule{binary_rule<AddBackward, true, true>, elementwise_flops<1>};

}  // namespace posetape
