// Two bfloat16 in one 32-bit register.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

struct alignas(4) bf16x2 {
  bf16 x, y;
};

}  // namespace posetape
