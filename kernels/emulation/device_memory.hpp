// The device's memory: a part of the address space that the host may not touch (for the emulation's
// own files).
#pragma once

#include <cstddef>
#include <string>

namespace posetape::emulation {

// Never written device memory, and red zones; both are NaN in every real type.
inline constexpr unsigned short kDevicePoison = 0xFFFB;
inline constexpr unsigned short kDeviceRedZone = 0xFFFA;
inline constexpr unsigned short kDeviceFreed = 0xFFF9;

// Null where there is not enough. 256-byte aligned, as from CUDA.
void* allocate_device(std::size_t bytes);

// Throws Finding for what is not allocated, and for a written red zone.
void free_device(void* pointer);

// Throws Finding where a red zone was written. `when` ends the sentence.
void check_red_zones(const std::string& when);

bool is_device(const void* pointer);

// Throws Finding unless all of it lies in one allocation.
void check_device_range(const void* pointer, std::size_t bytes, const std::string& what);

std::size_t device_bytes_used();
std::size_t device_bytes_total();
void resize_device(std::size_t bytes);
std::string device_leaks();
void reset_device_memory();

// In its scope device memory may be touched.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

// For the signal handler: what is known about an address in the pool, into `text`.
bool describe_device_address(const void* address, char* text, std::size_t size);

}  // namespace posetape::emulation
