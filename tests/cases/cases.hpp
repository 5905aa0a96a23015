// Every op's gradient-check cases. The list is generated: an op without `<op>_cases` does not link.
#pragma once

#include <functional>
#include <vector>

#include "engine/gradcheck.hpp"
#include "engine/op.hpp"

namespace posetape {

#define POSETAPE_OP(op) std::vector<Case> op##_cases();
#include "kernels/ops.def"
#undef POSETAPE_OP

std::vector<Case> cases(Op op);

// The inputs of a case that need a gradient.
std::vector<bool> differentiated(const Case& c);

// Elements of all inputs of a case.
Index input_size(const Case& c);

// Undefined tensors and i32 stay what they are.
Tensor converted(const Tensor& t, DType dtype);

// A case's outputs, and for each defined output the gradients of the differentiated inputs, as
// (input, gradient), copied.
struct CaseResults {
  std::vector<Tensor> outputs;
  std::vector<std::pair<int, Tensor>> gradients;
};
// Runs the case on these inputs instead of its own, forward and backward. The cotangents are random
// numbers that `rounded` can hold.
CaseResults results(const Case& c, std::span<const Tensor> inputs, DType rounded);

inline constexpr const char* kEmptyResult = "nothing depends on it: the result is empty";

// Options of a case whose gradient with respect to these inputs is zero, and why.
GradcheckOptions zero_gradient(std::vector<int> inputs, std::string reason);
// Of one where these inputs need no gradient.
GradcheckOptions constant_inputs(std::vector<int> inputs);
// Of one that bends within the default step, or so little that a longer one sees more of it.
GradcheckOptions steps_from(double step);
GradcheckOptions with_composite(TensorFunction composite, GradcheckOptions options = {});

// f of all inputs but the last, which is an output as it is: where f's own inputs are empty, it is
// what is left to check.
TensorFunction beside_last(TensorFunction f);

std::vector<Case> joined(std::vector<Case> list, const std::vector<Case>& more);

// Sets Case::cancels in the cases of these names.
void mark_cancelling(std::vector<Case>& list, std::span<const std::string> names);

// An input in the range where a function is to be checked.
using Fill = std::function<Tensor(const Shape& shape, std::uint64_t seed)>;
Fill normal(double scale = 1, double shift = 0);
Fill uniform(double low, double high);

// What every elementwise function of one tensor, or of two, is checked on: sizes, ranks,
// broadcasts, blocks of a reduction, repeated and constant inputs. The composite is the same
// function made of other ops.
using Unary = std::function<Tensor(const Tensor&)>;
using Binary = std::function<Tensor(const Tensor&, const Tensor&)>;
TensorFunction elementwise(const Unary& op);
TensorFunction elementwise(const Binary& op);
std::vector<Case> unary_cases(const Unary& op, const Fill& x, const Unary& composite = {},
                              double step = 0.02);
std::vector<Case> binary_cases(const Binary& op, const Fill& a, const Fill& b,
                               const Binary& composite = {}, double step = 0.05);

}  // namespace posetape
