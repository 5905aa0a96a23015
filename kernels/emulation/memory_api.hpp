// The host's pinned memory (for the emulation's own files).
#pragma once

#include <string>

namespace posetape::emulation {

bool is_pinned(const void* pointer);
std::string pinned_leaks();
void reset_pinned();

}  // namespace posetape::emulation
