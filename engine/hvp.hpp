// Products of a Hessian with a vector, exact to rounding: the backward pass runs on dual numbers
// (kernels/base/numbers.hpp), so that the slope of the gradient along v is H v (Pearlmutter, "Fast
// exact multiplication by the Hessian", Neural Computation 6, 1994). On the CPU, in f64.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "engine/jvp.hpp"
#include "engine/parameters.hpp"

namespace posetape {

// H v for f of which each input may move: f returns one tensor of one element, the loss. One f64
// tensor for each input, undefined where that is undefined or i32. Inputs are as jvp()'s, and so is
// what f must not do; an undefined tangent is zero.
std::vector<Tensor> hvp(const TensorFunction& f, std::span<const Tensor> inputs,
                        std::span<const Tensor> tangents);

// The same for the loss of a network, whose parameters are dual numbers (DType::dual), as what it
// computes with. `direction` is f64 and as long as parameters.values(), as is the result; the gaps
// between parameters count for nothing. Parameters and gradients are afterwards as they were,
// without slopes, and zero.
Tensor network_hvp(const ParameterList& parameters, const std::function<Tensor()>& loss,
                   const Tensor& direction);

// The gradient of <cotangents, f> as a function of f's inputs, in their type, to be differentiated
// again by jvp(): undefined for inputs that `constant` names, for i32 and undefined ones. An
// undefined cotangent is zero.
TensorFunction gradient_function(TensorFunction f, std::vector<Tensor> cotangents,
                                 std::vector<int> constant = {});

}  // namespace posetape
