// Derivatives along a direction, without differences and without a tape: the same ops run on
// numbers that carry a derivative (kernels/base/numbers.hpp).
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "engine/tensor.hpp"

namespace posetape {

// A function of tensors; undefined outputs are ignored. It must not bring in f64 tensors of its
// own: everything that takes part is an input (constants included), or is made in the type of the
// inputs.
using TensorFunction = std::function<std::vector<Tensor>(std::span<const Tensor>)>;

// d/ds f(inputs + s tangents) at s = 0: one f64 tensor for each output of f. Inputs are f64, or
// i32, which stay what they are; an undefined tangent is zero. Throws where a tangent does not have
// its input's shape, and whatever f throws.
std::vector<Tensor> jvp(const TensorFunction& f, std::span<const Tensor> inputs,
                        std::span<const Tensor> tangents);

// The same by the complex step, for f made of analytic functions.
std::vector<Tensor> complex_step(const TensorFunction& f, std::span<const Tensor> inputs,
                                 std::span<const Tensor> tangents);

}  // namespace posetape
