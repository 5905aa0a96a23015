// The list of ops, and what the engine knows of each one. Generated from kernels/meson.build.
#pragma once

#include <cstdint>
#include <string>

namespace posetape {

enum class Op : std::uint16_t {
#define POSETAPE_OP(op) op,
#include "kernels/ops.def"
};

inline constexpr int kOps = 0
#define POSETAPE_OP(op) +1
#include "kernels/ops.def"
    ;

const char* name(Op op);

struct Node;
class Backward;

// Arithmetic and memory traffic of one call, forward only: floating-point operations (a
// multiply-add counts two), and bytes read and written if each operand moves once.
struct Cost {
  double flops = 0;
  double bytes = 0;
  bool products = false;  // of matrices, which have a limit of their own in bf16
};

// What engine/ops/<op>.cpp defines for its op, as `const Rule <op>_rule`.
struct Rule {
  // Puts the gradient of each wanted input where `Backward` says.
  void (*backward)(const Node& node, Backward& backward);
  // Floating-point operations of the call; the engine counts the bytes.
  double (*flops)(const Node& node);
  // Which of its forms a call uses ("gelu", "cross"), for ops whose attributes choose other code.
  std::string (*mode)(const Node& node) = nullptr;
  bool products = false;  // Cost::products
};

const Rule& rule(Op op);

#define POSETAPE_OP(op) extern const Rule op##_rule;
#include "kernels/ops.def"

}  // namespace posetape
