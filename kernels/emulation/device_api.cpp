// The device's properties, errors as text, and what tests control.
#include <cstdio>
#include <iterator>
#include <string>

#include "kernels/emulation/architecture.hpp"
#include "kernels/emulation/blas.hpp"
#include "kernels/emulation/call.hpp"
#include "kernels/emulation/control.hpp"
#include "kernels/emulation/device_memory.hpp"
#include "kernels/emulation/launch_api.hpp"
#include "kernels/emulation/memory_api.hpp"
#include "kernels/emulation/stream.hpp"

namespace posetape::emulation {
namespace {

struct Code {
  cudaError_t code;
  const char* name;
  const char* text;
};

// The texts are CUDA's.
constexpr Code kCodes[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection",
     "invalid copy direction for memcpy"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress",
     "an illegal memory access was encountered"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureMerge, "cudaErrorStreamCaptureMerge",
     "operation would result in a merge of separate capture sequences"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched",
     "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined",
     "capturing stream has unjoined work"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};

const Code& code_of(cudaError_t error) {
  for (const Code& code : kCodes) {
    if (code.code == error) return code;
  }
  return *std::rbegin(kCodes);
}

constexpr int kVersion = 13000;

}  // namespace

void check_device_memory() {
  check_red_zones("when asked for");
}

std::string leaks() {
  return device_leaks() + pinned_leaks() + stream_leaks() + graph_leaks() + blas_leaks();
}

void set_device_memory(std::size_t bytes) {
  resize_device(bytes);
}

void reset() {
  drop_work();
  reset_blas();
  reset_graphs();
  reset_streams();
  reset_pinned();
  reset_device_memory();
  reset_launches();
  reset_calls();
}

}  // namespace posetape::emulation

using namespace posetape::emulation;

cudaError_t cudaGetLastError() {
  const std::lock_guard lock(runtime_lock());
  if (const cudaError_t error = count_call("cudaGetLastError")) return error;
  return exchange_last_error(cudaSuccess);
}

cudaError_t cudaPeekAtLastError() {
  const std::lock_guard lock(runtime_lock());
  if (const cudaError_t error = count_call("cudaPeekAtLastError")) return error;
  return peek_last_error();
}

const char* cudaGetErrorString(cudaError_t error) {
  return code_of(error).text;
}
const char* cudaGetErrorName(cudaError_t error) {
  return code_of(error).name;
}

cudaError_t cudaGetDeviceCount(int* count) {
  return call("cudaGetDeviceCount", [&] {
    if (count == nullptr) return cudaErrorInvalidValue;
    *count = 1;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return call("cudaGetDevice", [&] {
    if (device == nullptr) return cudaErrorInvalidValue;
    *device = 0;
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return call("cudaSetDevice", [&] { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return call("cudaGetDeviceProperties", [&] {
    if (properties == nullptr) return cudaErrorInvalidValue;
    if (device != 0) return cudaErrorInvalidDevice;
    const Architecture& a = architecture();
    *properties = {};
    std::snprintf(properties->name, sizeof properties->name, "posetape emulation of sm_%d%d",
                  a.major, a.minor);
    properties->totalGlobalMem = device_bytes_total();
    properties->sharedMemPerBlock = a.shared_default;
    properties->sharedMemPerBlockOptin = a.shared_optin;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = static_cast<int>(kMaxThreads);
    for (int i = 0; i < 3; ++i) {
      properties->maxThreadsDim[i] = static_cast<int>(kMaxBlock[i]);
      properties->maxGridSize[i] = static_cast<int>(kMaxGrid[i]);
    }
    properties->major = a.major;
    properties->minor = a.minor;
    properties->multiProcessorCount = a.multiprocessors;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return call("cudaDeviceGetAttribute", [&] {
    if (value == nullptr) return cudaErrorInvalidValue;
    if (device != 0) return cudaErrorInvalidDevice;
    const Architecture& a = architecture();
    switch (attribute) {
      case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = static_cast<int>(a.shared_default);
        return cudaSuccess;
      case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = static_cast<int>(a.shared_optin);
        return cudaSuccess;
      case cudaDevAttrMultiProcessorCount:
        *value = a.multiprocessors;
        return cudaSuccess;
      case cudaDevAttrComputeCapabilityMajor:
        *value = a.major;
        return cudaSuccess;
      case cudaDevAttrComputeCapabilityMinor:
        *value = a.minor;
        return cudaSuccess;
    }
    return cudaErrorInvalidValue;
  });
}

cudaError_t cudaDriverGetVersion(int* version) {
  return call("cudaDriverGetVersion", [&] {
    if (version == nullptr) return cudaErrorInvalidValue;
    *version = kVersion;
    return cudaSuccess;
  });
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  return call("cudaRuntimeGetVersion", [&] {
    if (version == nullptr) return cudaErrorInvalidValue;
    *version = kVersion;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return call("cudaDeviceSynchronize", [] {
    if (capture_forbids_unsafe()) return cudaErrorStreamCaptureUnsupported;
    run_everything();
    check_red_zones("at a synchronisation");
    return cudaSuccess;
  });
}
