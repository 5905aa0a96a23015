// The instruction set chosen by the program instead of by the processor: for tests.
#pragma once

#include "kernels/base/dispatch.hpp"

namespace posetape {

// From now on; it must be built and there (isa_choices()).
void use_isa(Isa isa);

}  // namespace posetape
