// The shared memory of the block that runs (for the emulation's own files).
#pragma once

#include <cstddef>

#include "kernels/emulation/primitives.hpp"

namespace posetape::emulation {

// Shared memory that was never written, in every type: a NaN, or an index far out of range.
inline constexpr unsigned short kSharedPoison = 0xFFFC;

// Empties it. `dynamic` bytes are the launch's; static and dynamic ones together may be `limit`.
void begin_shared(std::size_t dynamic, std::size_t limit);

// The array whose red zone was written, or null. Frees what ThreadSanitizer watched.
const Declaration* end_shared();

}  // namespace posetape::emulation
