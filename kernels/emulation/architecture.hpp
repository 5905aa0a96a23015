// The limits of the GPU that is emulated.
#pragma once

#include <cstddef>

namespace posetape::emulation {

// CUDA C++ Programming Guide, "Compute Capabilities", table of technical specifications.
struct Architecture {
  int major = 8;
  int minor = 0;
  std::size_t shared_default = 48 * 1024;  // a block's shared memory without asking for more
  std::size_t shared_optin = 163 * 1024;   // after cudaFuncSetAttribute
  int multiprocessors = 4;                 // small, so that grid sizes that depend on it vary
};

// compute = 75, 80, 86, 89, 90, 100 or 120; the default is 80. Throws std::invalid_argument on
// another.
void set_architecture(int compute);
const Architecture& architecture();

inline constexpr unsigned kMaxThreads = 1024;
inline constexpr unsigned kMaxBlock[3] = {1024, 1024, 64};
inline constexpr unsigned kMaxGrid[3] = {0x7FFFFFFF, 65535, 65535};

}  // namespace posetape::emulation
