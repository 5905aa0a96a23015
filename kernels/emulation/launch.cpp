#include "kernels/emulation/launch.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "kernels/emulation/architecture.hpp"
#include "kernels/emulation/call.hpp"
#include "kernels/emulation/control.hpp"
#include "kernels/emulation/device_memory.hpp"
#include "kernels/emulation/finding.hpp"
#include "kernels/emulation/launch_api.hpp"
#include "kernels/emulation/memory_api.hpp"
#include "kernels/emulation/report.hpp"
#include "kernels/emulation/stream.hpp"

namespace posetape::emulation {
namespace {

std::map<const void*, std::size_t> shared_allowed;  // by cudaFuncSetAttribute
std::int64_t ran = 0;

bool fits(const Launch& launch) {
  const unsigned grid[3] = {launch.grid.x, launch.grid.y, launch.grid.z};
  const unsigned block[3] = {launch.block.x, launch.block.y, launch.block.z};
  std::uint64_t threads = 1;
  for (int i = 0; i < 3; ++i) {
    if (grid[i] == 0 || grid[i] > kMaxGrid[i] || block[i] == 0 || block[i] > kMaxBlock[i]) {
      return false;
    }
    threads *= block[i];
  }
  return threads <= kMaxThreads;
}

std::size_t allowed_shared(const void* function) {
  const auto found = shared_allowed.find(function);
  return found == shared_allowed.end() ? architecture().shared_default : found->second;
}

std::string place(const Launch& launch) {
  return std::string(launch.kernel) + " launched at " + to_string(launch.site);
}

// Is this word of a struct the address of something on the host? Numbers are not: sizes are below
// 4 GiB, and where real numbers, seen as addresses, could lie, nothing is mapped.
bool is_host_address(const void* word) {
  const auto address = reinterpret_cast<std::uintptr_t>(word);
  if (address < (std::uintptr_t{1} << 32) || is_device(word) || is_pinned(word)) return false;
  constexpr std::uintptr_t kPage = 4096;
  unsigned char resident = 0;
  return mincore(reinterpret_cast<void*>(address & ~(kPage - 1)), 1, &resident) == 0;
}

// A GPU cannot read the host's memory, and the emulation would not notice.
void check_arguments(const Launch& launch) {
  for (std::size_t i = 0; i < launch.pointers.size(); ++i) {
    const void* pointer = launch.pointers[i];
    if (pointer == nullptr || is_pinned(pointer)) continue;
    check_device_range(
        pointer, 0,
        "pointer argument number " + std::to_string(i + 1) + " of kernel " + place(launch));
  }
  for (std::size_t i = 0; i < launch.words.size(); ++i) {
    if (!is_host_address(launch.words[i])) continue;
    throw Finding("posetape emulation: the struct arguments of kernel " + place(launch) +
                  " hold an address of the host's memory, at byte " +
                  std::to_string(i * sizeof(void*)));
  }
}

void run(const Launch& launch) {
  check_arguments(launch);
  ++ran;
  {
    const DeviceAccess access;
    run_grid(launch);
  }
  check_red_zones("after kernel " + place(launch));
}

}  // namespace

std::int64_t kernels_run() {
  return ran;
}

void reset_launches() {
  shared_allowed.clear();
  ran = 0;
}

cudaError_t submit(Launch launch, cudaStream_t stream) {
  return call("cudaLaunchKernel", [&] {
    if (!fits(launch)) return cudaErrorInvalidConfiguration;
    if (launch.dynamic_shared > allowed_shared(launch.function)) return cudaErrorInvalidValue;
    return enqueue(stream, [launch = std::move(launch)] { run(launch); });
  });
}

}  // namespace posetape::emulation

using namespace posetape::emulation;

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  return call("cudaFuncSetAttribute", [&] {
    if (function == nullptr || value < 0) return cudaErrorInvalidValue;
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    if (static_cast<std::size_t>(value) > architecture().shared_optin) return cudaErrorInvalidValue;
    shared_allowed[function] = static_cast<std::size_t>(value);
    return cudaSuccess;
  });
}
