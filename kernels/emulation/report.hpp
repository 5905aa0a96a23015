// The text of a report about the block that failed (for the emulation's own files).
#pragma once

#include <string>

#include "kernels/emulation/primitives.hpp"

namespace posetape::emulation {

std::string to_string(const Site& site);  // "file:line"
std::string to_string(const dim3& d);     // "(x,y,z)"

// What went wrong in `block`, and where each of its threads stands.
std::string describe_failure();

}  // namespace posetape::emulation
