// Memory for tensors and for kernels' scratch.
#pragma once

#include <cstddef>

namespace posetape {

// Aligned to 64 bytes; from 64 KiB on in large pages where the system has them, blocks that are
// neighbours sharing them: with pages of 4 KiB, passes over activations wait for page tables, most
// of all on virtual machines. Null where there is no memory.
void* allocate_aligned(std::size_t bytes);
void release_aligned(void* memory);

}  // namespace posetape
