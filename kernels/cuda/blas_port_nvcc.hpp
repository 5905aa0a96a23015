// The nvcc side of kernels/cuda/blas_port.hpp: cuBLASLt's functions, each loaded at its first call.
// Linked, the library would take 0.6 s and 200 MB of every start.
#pragma once

#include <cublasLt.h>

#include "kernels/cuda/loaded.hpp"

namespace posetape::cuda {

// The address of one of cuBLASLt's functions. Throws Error, which says what to install, where the
// library is not found.
void* blas_function(const char* name);

// Inside of this namespace they hide the declarations of cublasLt.h.
#define POSETAPE_LOADED(name)                                     \
  inline constinit Loaded<blas_function, decltype(::name)> name { \
#name                                                         \
  }
POSETAPE_LOADED(cublasLtCreate);
POSETAPE_LOADED(cublasLtDestroy);
POSETAPE_LOADED(cublasLtGetStatusName);
POSETAPE_LOADED(cublasLtMatmul);
POSETAPE_LOADED(cublasLtMatmulAlgoGetHeuristic);
POSETAPE_LOADED(cublasLtMatmulDescCreate);
POSETAPE_LOADED(cublasLtMatmulDescDestroy);
POSETAPE_LOADED(cublasLtMatmulDescSetAttribute);
POSETAPE_LOADED(cublasLtMatmulPreferenceCreate);
POSETAPE_LOADED(cublasLtMatmulPreferenceDestroy);
POSETAPE_LOADED(cublasLtMatmulPreferenceSetAttribute);
POSETAPE_LOADED(cublasLtMatrixLayoutCreate);
POSETAPE_LOADED(cublasLtMatrixLayoutDestroy);
POSETAPE_LOADED(cublasLtMatrixLayoutSetAttribute);
#undef POSETAPE_LOADED

}  // namespace posetape::cuda
