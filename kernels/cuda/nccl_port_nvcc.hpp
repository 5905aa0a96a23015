// The nvcc side of kernels/cuda/nccl_port.hpp: NCCL's functions, each loaded at its first call, so
// that a process without others never loads the library.
#pragma once

#include <cuda_runtime.h>
#if __has_include(<nccl.h>) && !defined(POSETAPE_NCCL_DECLARED)
#include <nccl.h>
#else
#include "kernels/cuda/nccl_calls.hpp"
#endif

#include "kernels/base/links.hpp"
#include "kernels/cuda/loaded.hpp"

namespace posetape::cuda {

// The address of one of NCCL's functions. Throws Error, which says what to install, where the
// library is not found.
void* nccl_function(const char* name);
bool nccl_found();

// Inside of this namespace they hide the declarations of nccl.h.
#define POSETAPE_LOADED(name)                                     \
  inline constinit Loaded<nccl_function, decltype(::name)> name { \
#name                                                         \
  }
POSETAPE_LOADED(ncclCommDestroy);
POSETAPE_LOADED(ncclCommInitRank);
POSETAPE_LOADED(ncclGetErrorString);
POSETAPE_LOADED(ncclGetUniqueId);
POSETAPE_LOADED(ncclGroupEnd);
POSETAPE_LOADED(ncclGroupStart);
POSETAPE_LOADED(ncclRecv);
POSETAPE_LOADED(ncclSend);
#undef POSETAPE_LOADED

// GPUs have wires of their own.
inline void set_nccl_wire(const Wire& /*wire*/) {}

}  // namespace posetape::cuda
