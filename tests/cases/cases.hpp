// Every op's gradient-check cases. The list is generated: an op without `<op>_cases` does not link.
#pragma once

#include <vector>

#include "engine/gradcheck.hpp"
#include "engine/op.hpp"

namespace posetape {

#define POSETAPE_OP(op) std::vector<Case> op##_cases();
#include "kernels/ops.def"
#undef POSETAPE_OP

std::vector<Case> cases(Op op);

inline constexpr const char* kEmptyResult = "nothing depends on it: the result is empty";

// Options of a case whose gradient with respect to these inputs is zero, and why.
GradcheckOptions zero_gradient(std::vector<int> inputs, std::string reason);

}  // namespace posetape
