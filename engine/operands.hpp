// What every op asks of its inputs before it looks at their shapes.
#pragma once

#include <initializer_list>
#include <span>

#include "engine/op.hpp"
#include "engine/tensor.hpp"

namespace posetape {

// An input of a call, for messages: "gamma", or "input 3" where there are many of one kind.
struct Operand {
  const char* name;
  const Tensor& tensor;
  bool optional = false;  // may be undefined
  int number = -1;
};

// Throws where an operand is undefined.
void check_given(Op op, const Operand& operand);

// Throws where an operand is undefined that is not optional, where they are not all of one floating
// type, and where they are on different devices.
void check_operands(Op op, std::span<const Operand> operands);
inline void check_operands(Op op, std::initializer_list<Operand> operands) {
  check_operands(op, std::span(operands.begin(), operands.size()));
}

// The same of an operand that holds indices, i32, on the device of `beside`.
void check_index(Op op, const Operand& index, const Operand& beside);

}  // namespace posetape
