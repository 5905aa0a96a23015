// What cuBLASLt's stand-in has made (for the emulation's own files).
#pragma once

#include <string>

namespace posetape::emulation {

std::string blas_leaks();
void reset_blas();

}  // namespace posetape::emulation
