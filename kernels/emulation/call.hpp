// The frame around every function of the runtime and of cuBLASLt: count, told failure, lock, last
// error (for the emulation's own files).
#pragma once

#include <mutex>
#include <string_view>

#include "kernels/emulation/cublas_lt.hpp"
#include "kernels/emulation/runtime_api.hpp"

namespace posetape::emulation {

std::recursive_mutex& runtime_lock();

// Counts the call; the failure that it was told, or success.
cudaError_t count_call(std::string_view function);
cublasStatus_t count_blas_call(std::string_view function);

// Returns the error that is remembered, and remembers `next`.
cudaError_t exchange_last_error(cudaError_t next);
cudaError_t peek_last_error();

template <class F>
cudaError_t call(std::string_view function, const F& f) {
  const std::lock_guard lock(runtime_lock());
  cudaError_t error = count_call(function);
  if (error == cudaSuccess) error = f();
  // CUDA remembers failures, and that work is not finished is none.
  if (error != cudaSuccess && error != cudaErrorNotReady) exchange_last_error(error);
  return error;
}

// cuBLASLt remembers nothing.
template <class F>
cublasStatus_t blas_call(std::string_view function, const F& f) {
  const std::lock_guard lock(runtime_lock());
  const cublasStatus_t status = count_blas_call(function);
  return status == CUBLAS_STATUS_SUCCESS ? f() : status;
}

void reset_calls();

}  // namespace posetape::emulation
