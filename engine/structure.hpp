// Claims that hold for every function beside that its gradient is right: where a gradient goes, and
// what a rule may touch.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "engine/gradcheck.hpp"

namespace posetape {

// `alone`, `added`, `twice`, `destination` and `pure` of every input that is checked, in this
// order, on the CPU. An Error in one of them is a finding: f ran before.
std::vector<Finding> check_structure(const TensorFunction& f, std::span<const Tensor> inputs,
                                     const GradcheckOptions& options,
                                     std::optional<Oracle> only = std::nullopt);

}  // namespace posetape
