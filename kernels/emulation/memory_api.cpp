// cudaMalloc, cudaMemcpy and their kin.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/emulation/call.hpp"
#include "kernels/emulation/control.hpp"
#include "kernels/emulation/device_memory.hpp"
#include "kernels/emulation/finding.hpp"
#include "kernels/emulation/memory_api.hpp"
#include "kernels/emulation/stream.hpp"

namespace posetape::emulation {
namespace {

std::map<std::uintptr_t, std::size_t> pinned;  // from cudaMallocHost

// What a copy's kind means; false where a kind does not fit the pointers.
bool check_kind(const void* to, const void* from, cudaMemcpyKind kind) {
  switch (kind) {
    case cudaMemcpyHostToHost:
      return !is_device(to) && !is_device(from);
    case cudaMemcpyHostToDevice:
      return is_device(to) && !is_device(from);
    case cudaMemcpyDeviceToHost:
      return !is_device(to) && is_device(from);
    case cudaMemcpyDeviceToDevice:
      return is_device(to) && is_device(from);
    case cudaMemcpyDefault:
      return true;
  }
  return false;
}

void copy(void* to, const void* from, std::size_t bytes) {
  const auto end = [bytes](const void* p) { return reinterpret_cast<std::uintptr_t>(p) + bytes; };
  if (is_device(to)) check_device_range(to, bytes, "the target of a copy");
  if (is_device(from)) check_device_range(from, bytes, "the source of a copy");
  if (reinterpret_cast<std::uintptr_t>(to) < end(from) &&
      reinterpret_cast<std::uintptr_t>(from) < end(to)) {
    throw Finding("posetape emulation: the source and the target of a copy overlap");
  }
  const DeviceAccess access;
  std::memcpy(to, from, bytes);
}

void set(void* to, int value, std::size_t bytes) {
  check_device_range(to, bytes, "the target of cudaMemset");
  const DeviceAccess access;
  std::memset(to, value, bytes);
}

cudaError_t enqueue_copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                         cudaStream_t stream) {
  if (!check_kind(to, from, kind)) return cudaErrorInvalidValue;
  if (bytes == 0) return check_stream(stream);
  if (to == nullptr || from == nullptr) return cudaErrorInvalidValue;
  const CUstream_st* found = find_stream(stream);
  const bool captures = found != nullptr && found->capture != nullptr;
  // CUDA takes pageable memory at the call and gives it on return (CUDA Runtime API, "API
  // synchronization behavior"), pinned memory when the copy runs.
  if (!captures && !is_device(from) && !is_pinned(from)) {
    const auto* begin = static_cast<const std::byte*>(from);
    auto taken = std::make_shared<std::vector<std::byte>>(begin, begin + bytes);
    return enqueue(stream, [to, taken] { copy(to, taken->data(), taken->size()); });
  }
  if (const auto error = enqueue(stream, [to, from, bytes] { copy(to, from, bytes); })) {
    return error;
  }
  if (!captures && !is_device(to) && !is_pinned(to)) run_stream(*find_stream(stream));
  return cudaSuccess;
}

}  // namespace

bool is_pinned(const void* pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  auto it = pinned.upper_bound(address);
  return it != pinned.begin() && address - std::prev(it)->first < std::prev(it)->second;
}

std::string pinned_leaks() {
  std::string text;
  for (const auto& [address, bytes] : pinned) {
    text += "pinned memory of " + std::to_string(bytes) + " bytes\n";
  }
  return text;
}

void reset_pinned() {
  for (const auto& [address, bytes] : pinned) std::free(reinterpret_cast<void*>(address));
  pinned.clear();
}

}  // namespace posetape::emulation

using namespace posetape::emulation;

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  return call("cudaMalloc", [&] {
    if (pointer == nullptr) return cudaErrorInvalidValue;
    if (capture_forbids_unsafe()) return cudaErrorStreamCaptureUnsupported;
    *pointer = nullptr;
    if (bytes == 0) return cudaSuccess;
    *pointer = allocate_device(bytes);
    return *pointer == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
  });
}

// Waits for everything, as CUDA does.
cudaError_t cudaFree(void* pointer) {
  return call("cudaFree", [&] {
    if (pointer == nullptr) return cudaSuccess;
    if (capture_forbids_unsafe()) return cudaErrorStreamCaptureUnsupported;
    run_everything();
    free_device(pointer);
    return cudaSuccess;
  });
}

cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) {
  return call("cudaMallocHost", [&] {
    if (pointer == nullptr) return cudaErrorInvalidValue;
    if (capture_forbids_unsafe()) return cudaErrorStreamCaptureUnsupported;
    *pointer = bytes == 0 ? nullptr : std::malloc(bytes);
    if (bytes > 0 && *pointer == nullptr) return cudaErrorMemoryAllocation;
    if (bytes > 0) pinned[reinterpret_cast<std::uintptr_t>(*pointer)] = bytes;
    return cudaSuccess;
  });
}

cudaError_t cudaFreeHost(void* pointer) {
  return call("cudaFreeHost", [&] {
    if (pointer == nullptr) return cudaSuccess;
    run_everything();
    if (pinned.erase(reinterpret_cast<std::uintptr_t>(pointer)) == 0) {
      throw Finding(
          "posetape emulation: cudaFreeHost of a pointer that is not from cudaMallocHost");
    }
    std::free(pointer);
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return call("cudaMemcpy", [&] {
    if (capture_forbids_unsafe()) return cudaErrorStreamCaptureUnsupported;
    if (const cudaError_t error = enqueue_copy(to, from, bytes, kind, nullptr)) return error;
    run_stream(*find_stream(nullptr));
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return call("cudaMemcpyAsync", [&] { return enqueue_copy(to, from, bytes, kind, stream); });
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  return call("cudaMemset", [&] {
    if (capture_forbids_unsafe()) return cudaErrorStreamCaptureUnsupported;
    if (!is_device(to)) return cudaErrorInvalidValue;
    return enqueue(nullptr, [to, value, bytes] { set(to, value, bytes); });
  });
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  return call("cudaMemsetAsync", [&] {
    if (!is_device(to)) return cudaErrorInvalidValue;
    return enqueue(stream, [to, value, bytes] { set(to, value, bytes); });
  });
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return call("cudaMemGetInfo", [&] {
    if (free == nullptr || total == nullptr) return cudaErrorInvalidValue;
    *total = device_bytes_total();
    *free = device_bytes_total() - device_bytes_used();
    return cudaSuccess;
  });
}
