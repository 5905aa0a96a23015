// Second derivatives against independent answers: what a network's curvature is made of
// (engine/hvp.hpp), and one more claim about every backward rule, whose own derivative is looked
// at.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "engine/gradcheck.hpp"

namespace posetape {

// `second_differences` and `second_symmetry` of every input that is checked, on the CPU, of the
// Hessian H of <cotangents, f>:
//
//   second_differences   w' H u, by dual numbers through the backward pass, is the derivative of
//                        <w, gradient> along u by Ridders' differences
//   second_symmetry      w' H u = u' H w
//
// u moves the one input, w all of them. Where H u is zero, by differences too, f is linear there:
// the finding is `skipped`, with a note, and counts as passed.
std::vector<Finding> check_second_order(const TensorFunction& f, std::span<const Tensor> inputs,
                                        const GradcheckOptions& options,
                                        std::optional<Oracle> only = std::nullopt);

}  // namespace posetape
