// What the tests and benchmarks know of each op: tests/cases/<op>.cpp has it all, as `<op>_facts`.
// The list is generated: an op without them does not link.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/gradcheck.hpp"
#include "engine/op.hpp"
#include "tests/cases/draw.hpp"

namespace posetape {

// Compares a call with a plain formula or loop, which goes from the inputs' values to the
// output's. The inputs are f64, i32 or undefined; they are rounded to each type in turn, so that
// only the op's own rounding shows.
using CheckValues = std::function<void(const std::string& label, const std::vector<Tensor>& inputs,
                                       const std::function<Tensor(std::span<const Tensor>)>& f,
                                       const Reference& reference)>;

// A call at a model's shapes; its inputs are made when its turn comes.
struct ModelCall {
  std::string name;  // beside the op's, where it has more than one
  std::function<std::vector<Tensor>()> inputs;
  TensorFunction f;
};

// The worst errors in ULP that are expected over all cases of an op: of the gradient of an input,
// or (-1) of the values. See tests/cases/precision.hpp.
struct Ulp {
  int input;
  double f32;
  double bf16;
  double products = bf16;  // bf16 on a processor or GPU with products of it, which round more
};

// The same over random calls (tests/cases/call_errors.hpp): of the values against long double, of a
// gradient against f64.
struct DrawnUlp {
  int input;
  double f32;
  double bf16;
  double f64 = 0;  // of the values alone
};

struct Facts {
  std::vector<Case> (*cases)();  // on which its gradient is checked
  void (*values)(const CheckValues& check);
  DrawnCall (*draw)(Draw& d);  // a random call
  std::vector<ModelCall> (*calls)();
  std::vector<std::function<void()>> refused = {};  // calls whose shapes or types it refuses
  std::vector<Ulp> ulp;
  std::vector<DrawnUlp> drawn = {};
};

#define POSETAPE_OP(op) extern const Facts op##_facts;
#include "kernels/ops.def"

const Facts& facts(Op op);
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
TensorFunction elementwise(const Unary& op);
TensorFunction elementwise(const Binary& op);
std::vector<Case> unary_cases(const Unary& op, const Fill& x, const Unary& composite = {},
                              double step = 0.02);
std::vector<Case> binary_cases(const Binary& op, const Fill& a, const Fill& b,
                               const Binary& composite = {}, double step = 0.05);

// A tensor's values; of an undefined one, none.
Numbers numbers_of(const Tensor& t);

// For references. A walk over all indices of a shape, with their number in row-major order.
void each_index(const Shape& shape,
                const std::function<void(const std::vector<Index>&, std::size_t)>& f);
// The place of a result's index in an operand that broadcasts to it.
std::size_t place_in(const Shape& operand, const std::vector<Index>& index);
long double logistic(long double x);
long double normal_cdf(long double x);

// t, or an Error where its shape is another.
Tensor of_shape(const Shape& shape, const Tensor& t);
// A copy with one element that is not a number.
Tensor with_nan(const Tensor& t, Index at);

// The values of an elementwise function of one tensor, of two, and of a loss, NaN among them.
void check_unary(const CheckValues& check, const Unary& op, long double (*reference)(long double),
                 const Fill& x = normal(2));
void check_binary(const CheckValues& check, const Binary& op,
                  long double (*reference)(long double, long double));
void check_loss(const CheckValues& check, const Shape& shape, const Binary& op,
                const Reference& reference);

// Shapes, and to what they are broadcast.
const std::vector<std::pair<Shape, Shape>>& repetitions();
// Shapes, and the axis along which they are joined.
const std::vector<std::pair<std::vector<Shape>, int>>& joined_parts();

// For calls that are refused, f32 and i32.
Tensor zeros(const Shape& shape);
Tensor indices(const Shape& shape);
// Numbers below `extent`, some of them often and others not at all, i32.
Tensor indices(const Shape& shape, Index extent);

// A training step on 4 windows of 81 frames.
inline constexpr Index kBatch = 4;
inline constexpr Index kFrames = 81;
inline constexpr Index kJoints = 17;
inline constexpr Index kWidth = 256;
inline const Shape kTokens{kBatch, kFrames, kJoints, kWidth};
inline const Shape kPoses{kBatch, kFrames, kJoints, 3};
std::vector<ModelCall> unary_calls(const Unary& op);
std::vector<ModelCall> binary_calls(const Binary& op);
std::vector<ModelCall> loss_calls(const Binary& op);

}  // namespace posetape
