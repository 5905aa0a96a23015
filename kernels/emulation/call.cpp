#include "kernels/emulation/call.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kernels/emulation/control.hpp"

namespace posetape::emulation {
namespace {

struct Calls {
  std::int64_t count = 0;
  std::map<std::int64_t, int> failures;  // by number of the call
};

std::map<std::string_view, Calls, std::less<>>& table() {
  static std::map<std::string_view, Calls, std::less<>> all = [] {
    std::map<std::string_view, Calls, std::less<>> empty;
    for (const std::string_view name : runtime_functions()) empty[name] = {};
    for (const std::string_view name : blas_functions()) empty[name] = {};
    return empty;
  }();
  return all;
}

Calls& calls_of(std::string_view function) {
  const auto found = table().find(function);
  if (found == table().end()) {
    throw std::invalid_argument("the emulation has no function " + std::string(function));
  }
  return found->second;
}

// The code that this call was told to return, or 0, which is success in CUDA and cuBLASLt.
int count(std::string_view function) {
  Calls& calls = calls_of(function);
  const auto failure = calls.failures.find(++calls.count);
  return failure == calls.failures.end() ? 0 : failure->second;
}

// `all` are the functions that return this kind of code.
void fail(const std::vector<std::string_view>& all, std::string_view function, int number,
          int code) {
  Calls& calls = calls_of(function);
  if (std::find(all.begin(), all.end(), function) == all.end()) {
    throw std::invalid_argument(std::string(function) + " returns another kind of error");
  }
  calls.failures[calls.count + number] = code;
}

cudaError_t last = cudaSuccess;

}  // namespace

const std::vector<std::string_view>& runtime_functions() {
  static const std::vector<std::string_view> names = {
      "cudaDeviceGetAttribute",
      "cudaDeviceGetPCIBusId",
      "cudaDeviceSynchronize",
      "cudaDriverGetVersion",
      "cudaEventCreate",
      "cudaEventCreateWithFlags",
      "cudaEventDestroy",
      "cudaEventElapsedTime",
      "cudaEventQuery",
      "cudaEventRecord",
      "cudaEventSynchronize",
      "cudaFree",
      "cudaFreeHost",
      "cudaFuncSetAttribute",
      "cudaGetDevice",
      "cudaGetDeviceCount",
      "cudaGetDeviceProperties",
      "cudaGetLastError",
      "cudaGraphDestroy",
      "cudaGraphExecDestroy",
      "cudaGraphGetNodes",
      "cudaGraphInstantiate",
      "cudaGraphLaunch",
      "cudaLaunchKernel",
      "cudaMalloc",
      "cudaMallocHost",
      "cudaMemGetInfo",
      "cudaMemcpy",
      "cudaMemcpyAsync",
      "cudaMemset",
      "cudaMemsetAsync",
      "cudaPeekAtLastError",
      "cudaRuntimeGetVersion",
      "cudaSetDevice",
      "cudaStreamBeginCapture",
      "cudaStreamCreate",
      "cudaStreamCreateWithFlags",
      "cudaStreamDestroy",
      "cudaStreamEndCapture",
      "cudaStreamIsCapturing",
      "cudaStreamQuery",
      "cudaStreamSynchronize",
      "cudaStreamWaitEvent",
  };
  return names;
}

const std::vector<std::string_view>& blas_functions() {
  static const std::vector<std::string_view> names = {
      "cublasLtCreate",
      "cublasLtDestroy",
      "cublasLtMatmul",
      "cublasLtMatmulAlgoGetHeuristic",
      "cublasLtMatmulDescCreate",
      "cublasLtMatmulDescDestroy",
      "cublasLtMatmulDescSetAttribute",
      "cublasLtMatmulPreferenceCreate",
      "cublasLtMatmulPreferenceDestroy",
      "cublasLtMatmulPreferenceSetAttribute",
      "cublasLtMatrixLayoutCreate",
      "cublasLtMatrixLayoutDestroy",
      "cublasLtMatrixLayoutSetAttribute",
  };
  return names;
}

std::recursive_mutex& runtime_lock() {
  static std::recursive_mutex lock;
  return lock;
}

cudaError_t count_call(std::string_view function) {
  return static_cast<cudaError_t>(count(function));
}
cublasStatus_t count_blas_call(std::string_view function) {
  return static_cast<cublasStatus_t>(count(function));
}

cudaError_t exchange_last_error(cudaError_t next) {
  return std::exchange(last, next);
}
cudaError_t peek_last_error() {
  return last;
}

void fail_call(std::string_view function, int number, cudaError_t code) {
  fail(runtime_functions(), function, number, code);
}
void fail_call(std::string_view function, int number, cublasStatus_t code) {
  fail(blas_functions(), function, number, code);
}

std::int64_t calls(std::string_view function) {
  return calls_of(function).count;
}

void reset_calls() {
  for (auto& [name, calls] : table()) calls = {};
  last = cudaSuccess;
}

}  // namespace posetape::emulation
