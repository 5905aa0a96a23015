// Handles of the CUDA libraries, made at their first use.
#pragma once

namespace posetape::cuda {

// Called by close().
void destroy_handles();

}  // namespace posetape::cuda
