// The device's properties, errors as text, and what tests control.
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/emulation/architecture.hpp"
#include "kernels/emulation/blas.hpp"
#include "kernels/emulation/call.hpp"
#include "kernels/emulation/control.hpp"
#include "kernels/emulation/device_memory.hpp"
#include "kernels/emulation/finding.hpp"
#include "kernels/emulation/launch_api.hpp"
#include "kernels/emulation/memory_api.hpp"
#include "kernels/emulation/nccl.hpp"
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
// Of the host; a process computes on one of them.
constexpr int kDevices = 8;
int current = 0;

// Those that CUDA_VISIBLE_DEVICES names ("2,0"), up to the first that there isn't, in its order.
std::vector<int> visible_devices() {
  std::vector<int> devices(kDevices);
  std::iota(devices.begin(), devices.end(), 0);
  const char* names = std::getenv("CUDA_VISIBLE_DEVICES");
  if (names == nullptr) return devices;
  devices.clear();
  std::istringstream list(names);
  for (int device = 0; list >> device && device >= 0 && device < kDevices; list.ignore()) {
    devices.push_back(device);
  }
  return devices;
}

bool is_device_number(int device) {
  return device >= 0 && device < static_cast<int>(visible_devices().size());
}

}  // namespace

void check_device_memory() {
  check_red_zones("when asked for");
}

std::string leaks() {
  return device_leaks() + pinned_leaks() + stream_leaks() + graph_leaks() + blas_leaks() +
         nccl_leaks();
}

void set_device_memory(std::size_t bytes) {
  resize_device(bytes);
}

void reset() {
  drop_work();
  reset_nccl();
  reset_blas();
  reset_graphs();
  reset_streams();
  reset_pinned();
  reset_device_memory();
  reset_launches();
  reset_calls();
  current = 0;
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
    *count = static_cast<int>(visible_devices().size());
    return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return call("cudaGetDevice", [&] {
    if (device == nullptr) return cudaErrorInvalidValue;
    *device = current;
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return call("cudaSetDevice", [&] {
    if (!is_device_number(device)) return cudaErrorInvalidDevice;
    if (device != current && device_bytes_used() > 0) {
      throw Finding("posetape emulation: a process has memory of two devices");
    }
    current = device;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int size, int device) {
  return call("cudaDeviceGetPCIBusId", [&] {
    if (text == nullptr || size < 1) return cudaErrorInvalidValue;
    if (!is_device_number(device)) return cudaErrorInvalidDevice;
    std::snprintf(text, static_cast<std::size_t>(size), "0000:%02x:00.0",
                  visible_devices()[static_cast<std::size_t>(device)] + 1);
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return call("cudaGetDeviceProperties", [&] {
    if (properties == nullptr) return cudaErrorInvalidValue;
    if (!is_device_number(device)) return cudaErrorInvalidDevice;
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
    if (!is_device_number(device)) return cudaErrorInvalidDevice;
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
