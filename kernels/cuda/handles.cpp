#include "kernels/cuda/handles.hpp"

#include "kernels/base/error.hpp"
#include "kernels/cuda/gemm.hpp"
#include "kernels/cuda/runtime.hpp"

namespace posetape::cuda {
namespace {

cublasLtHandle_t handle = nullptr;
void* workspace = nullptr;

const char* advice(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "reinstall cuBLAS of the CUDA version that this was built with, or use --device cpu";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "memory is short; make the batch smaller or use --device cpu";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "a kernel before it may be the cause, run again with POSETAPE_CUDA_SYNC=1 to find it";
    default:
      return "use --device cpu";
  }
}

}  // namespace

void check(cublasStatus_t status, const std::string& doing) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error("cuda: " + doing + " failed: " + cublasLtGetStatusName(status) + "; " +
              advice(status));
}

cublasLtHandle_t blas_handle() {
  if (handle == nullptr) check(cublasLtCreate(&handle), "making a cuBLASLt handle");
  return handle;
}

void* blas_workspace() {
  if (workspace == nullptr) workspace = allocate(kBlasWorkspace);
  if (workspace == nullptr) {
    throw Error("cuda: no memory for cuBLASLt's workspace of " +
                std::to_string(kBlasWorkspace >> 10) +
                " KiB; make the batch smaller or use --device cpu");
  }
  return workspace;
}

void destroy_handles() {
  forget_gemms();
  if (handle != nullptr) cublasLtDestroy(handle);
  release(workspace);
  handle = nullptr;
  workspace = nullptr;
}

}  // namespace posetape::cuda
