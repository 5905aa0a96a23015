// What one call of a random program loses in a type: its values against a reference in long double
// that knows nothing of kernels, its gradients against f64.
#pragma once

#include <vector>

#include "tests/cases/program.hpp"

namespace posetape {

// In ULP at the largest of the value, the root mean square of its tensor, and what the last digits
// of the operands make of it: what cancels has no more digits to give.
struct CallError {
  int result = 0;
  int operand = -1;  // whose gradient it is; -1: the values
  double ulp = 0;
  double known = 0;  // the figure of tests/cases/<op>.cpp for random calls; -1: none
  bool passed = true;
  Index element = 0;  // the worst
  double got = 0;
  double expected = 0;
  // An error as small as the last digit of what goes in may be rounding on the way.
  bool below_operands = false;
};

// Tensors in another type and on another device; i32 and undefined ones keep their type.
std::vector<Tensor> moved(std::span<const Tensor> tensors, DType dtype, Device device);

std::vector<CallError> value_errors(const Program& p, const Step& call, DType dtype, Device device);
// In f32 and bf16. The cotangent of a result is random_normal(shape, 4000 + result), rounded.
std::vector<CallError> gradient_errors(const Program& p, const Step& call, DType dtype,
                                       Device device);

}  // namespace posetape
