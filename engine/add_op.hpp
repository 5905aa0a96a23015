// Ops of programs outside, beside the list in kernels/meson.build.
#pragma once

#include "engine/op.hpp"

namespace posetape {

// Makes an op of your own known: `record` it after its forward pass, and the tape asks `rule` for
// its gradients. Name and rule live as long as the program. For tensors on the CPU;
// tools/examples/own_op.cpp is one.
Op add_op(const char* name, const Rule& rule);

}  // namespace posetape
