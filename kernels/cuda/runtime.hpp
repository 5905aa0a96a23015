// The functions of cuda_runtime (kernels/base/runtime.hpp), and the device itself. No type of
// CUDA's own, so that this header serves a build without CUDA as well, where open() says that there
// is none.
//
// There is one device and one stream.
#pragma once

#include <cstddef>
#include <string>

#include "kernels/base/runtime.hpp"

namespace posetape::cuda {

struct DeviceInfo {
  std::string name;
  int major = 0;  // compute capability
  int minor = 0;
  int multiprocessors = 0;
  std::size_t memory = 0;  // bytes
  int driver = 0;          // CUDA versions as 1000 major + 10 minor
  int runtime = 0;
  bool emulated = false;  // on the CPU (kernels/emulation)
};

// Whether this build has CUDA kernels, and whether they run in the emulation.
bool built();

// The device, opened at the first call. Throws where there is none, where the driver is too old and
// where the GPU is older than what kernels are built for.
const DeviceInfo& open();
// Waits, and gives back everything but memory. The next open() starts anew.
void close();

void* allocate(std::size_t bytes);
void release(void* memory);
void upload(void* device, const void* host, std::size_t bytes);
void download(void* host, const void* device, std::size_t bytes);
void copy(void* to, const void* from, std::size_t bytes);
void fill_bytes(void* device, int value, std::size_t bytes);
void synchronize();

// Kernels and products launched since the device was opened; those of a graph count when they are
// recorded.
long long launches();

}  // namespace posetape::cuda
