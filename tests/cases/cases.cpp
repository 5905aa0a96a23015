#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> cases(Op op) {
  switch (op) {
#define POSETAPE_OP(op) \
  case Op::op:          \
    return op##_cases();
#include "kernels/ops.def"
#undef POSETAPE_OP
  }
  return {};
}

GradcheckOptions zero_gradient(std::vector<int> inputs, std::string reason) {
  GradcheckOptions options;
  options.zero = std::move(inputs);
  options.reason = std::move(reason);
  return options;
}

}  // namespace posetape
