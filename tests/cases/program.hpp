// Random programs: graphs of calls of all ops, drawn from a seed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/cases/draw.hpp"

namespace posetape {

// A leaf, or a call.
struct Step {
  int first = 0;  // the number of its (first) value
  int count = 1;
  // Of a leaf, in C++ too.
  Tensor leaf;
  std::string text;
  bool constant = false;  // takes no gradient
  // Of a call.
  Op op{};
  DrawnCall call;
  bool is_call() const { return call.f != nullptr; }
};

struct Program {
  std::uint64_t seed = 0;
  std::vector<Step> steps;     // in the order in which they run
  std::vector<Tensor> values;  // by number, as f64 computes them; undefined where no step has it
  std::vector<int> outputs;    // by number
  bool bends = false;          // a kink may be near
  // Called after each call with its operands and results: plants errors.
  std::function<void(Op op, std::span<const Tensor> in, std::span<const Tensor> out)> spoil;

  int add_leaf(const Tensor& leaf, std::string text);
  // Runs the call; false, and nothing has changed, where a result is not finite or too large.
  bool add_call(Op op, DrawnCall call);

  // The leaves' values in their order; which of them are constant.
  std::vector<Tensor> leaves() const;
  std::vector<int> constants() const;
  int calls() const;
  // The operands of a call among `values`, and its results.
  static std::vector<Tensor> operands(const Step& step, std::span<const Tensor> values);
  std::vector<Tensor> results(const Step& step, std::span<const Tensor> operands,
                              bool composites = false) const;
  // The outputs; `composites`: made of other ops where a call has such. Results of a wider type
  // than their operands are cast to it. What it returns refers to this.
  std::vector<Tensor> run(std::span<const Tensor> leaves, bool composites = false) const;
  TensorFunction function(bool composites = false) const;
  // The same in segments that are computed again for the backward pass: of the tape's level 1 or 2,
  // so many steps at a time.
  TensorFunction recomputed(std::vector<int> lengths) const;
};

// The same for the same seed. Half of its calls are those of `op` where that is given.
Program draw_program(std::uint64_t seed, std::optional<Op> op = {});
// One call, of leaves alone.
std::optional<Program> draw_call(Op op, std::uint64_t seed);

// The fewest steps of which `fails` is still true.
Program shrunk(Program program, const std::function<bool(const Program&)>& fails);

// The leaves and the function in C++: "const std::vector<Tensor> leaves", "const auto f".
std::string source(const Program& program);

}  // namespace posetape
