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

}  // namespace posetape
