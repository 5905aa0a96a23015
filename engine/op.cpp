#include "engine/op.hpp"

namespace posetape {

const char* name(Op op) {
  static constexpr const char* kNames[] = {
#define POSETAPE_OP(op) #op,
#include "kernels/ops.def"
#undef POSETAPE_OP
  };
  return kNames[static_cast<int>(op)];
}

const Rule& rule(Op op) {
  static const Rule* const kRules[] = {
#define POSETAPE_OP(op) &op##_rule,
#include "kernels/ops.def"
#undef POSETAPE_OP
  };
  return *kRules[static_cast<int>(op)];
}

}  // namespace posetape
