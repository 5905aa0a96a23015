// Handles of the CUDA libraries, made at their first use.
#pragma once

#include <string>

#include "kernels/cuda/blas_port.hpp"

namespace posetape::cuda {

cublasLtHandle_t blas_handle();

// kBlasWorkspace bytes that every product may use, one after the other. Captured graphs keep their
// address.
void* blas_workspace();

// Throws Error where a call has failed; `doing` completes "cuda: ... failed".
void check(cublasStatus_t status, const std::string& doing);

// Called by close().
void destroy_handles();

}  // namespace posetape::cuda
