#include "kernels/emulation/device_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <stdexcept>

#include "kernels/emulation/control.hpp"
#include "kernels/emulation/finding.hpp"
#include "kernels/emulation/guard.hpp"
#include "kernels/emulation/pattern.hpp"
#include "kernels/emulation/sanitizer.hpp"

namespace posetape::emulation {
namespace {

constexpr std::size_t kAlign = 256;
constexpr std::size_t kRed = 256;
// Access is switched in steps of a large page: of small ones, a hundred megabytes take 2 ms.
constexpr std::size_t kPages = std::size_t{2} << 20;
// Freed memory is used again only when there is more than this of it, so that late uses show.
constexpr std::size_t kQuarantine = std::size_t{64} << 20;

// Regions tile the pool up to `top`. An allocated one begins with a red zone; `bytes` follow, and
// the rest is a red zone, too.
struct Region {
  std::size_t size = 0;
  std::size_t bytes = 0;
  bool allocated = false;
  std::int64_t number = 0;  // which cudaMalloc
};

struct Pool {
  char* base = nullptr;
  std::size_t total = std::size_t{8} << 30;
  std::size_t top = 0;     // used so far
  std::size_t mapped = 0;  // accessible inside of DeviceAccess
  std::size_t used = 0;
  std::size_t freed = 0;
  std::map<std::size_t, Region> regions;  // by offset
  std::int64_t allocations = 0;
  int access = 0;
};

Pool pool;

std::size_t round_up(std::size_t n, std::size_t to) {
  return (n + to - 1) / to * to;
}

void protect(int access) {
  if (pool.mapped != 0 && mprotect(pool.base, pool.mapped, access) != 0) {
    std::perror("posetape emulation: mprotect of device memory");
    std::abort();
  }
}

// What is mapped anew has to be asked for again.
void take_large_pages(char* begin, std::size_t bytes) {
  madvise(begin, bytes, MADV_HUGEPAGE);  // where there are none, it is slower
}

void reserve() {
  if (pool.base != nullptr) return;
  const Unwatched unwatched;
  void* memory = mmap(nullptr, pool.total + kPages, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("posetape emulation: no address space for device memory");
    std::abort();
  }
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  const std::size_t before = round_up(address, kPages) - address;
  pool.base = static_cast<char*>(memory) + before;
  if (before > 0) munmap(memory, before);
  munmap(pool.base + pool.total, kPages - before);
  take_large_pages(pool.base, pool.total);
}

// The pool grows to `top`.
void grow(std::size_t top) {
  pool.top = top;
  const std::size_t mapped = std::min(round_up(top, kPages), pool.total);
  if (mapped <= pool.mapped) return;
  poison(pool.base + pool.mapped, mapped - pool.mapped);
  pool.mapped = mapped;
  protect(PROT_READ | PROT_WRITE);  // only ever called with access
}

std::string name(const Region& region) {
  return "the allocation of " + std::to_string(region.bytes) + " bytes by cudaMalloc number " +
         std::to_string(region.number);
}

void check_region(std::size_t offset, const Region& region, const std::string& when) {
  if (kAsan) return;  // it has reported the write
  const char* data = pool.base + offset;
  const std::size_t before = first_change(data, kRed, kDeviceRedZone);
  if (before < kRed) {
    throw Finding("posetape emulation: device memory was written " + std::to_string(kRed - before) +
                  " bytes before the begin of " + name(region) + ", found " + when);
  }
  const std::size_t end = kRed + region.bytes;
  const std::size_t after = first_change(data + end, region.size - end, kDeviceRedZone);
  if (after < region.size - end) {
    throw Finding("posetape emulation: device memory was written " + std::to_string(after) +
                  " bytes past the end of " + name(region) + ", found " + when);
  }
}

// A freed region that is big enough, neighbours joined.
std::size_t find_freed(std::size_t size) {
  for (auto it = pool.regions.begin(); it != pool.regions.end(); ++it) {
    if (it->second.allocated) continue;
    for (auto next = std::next(it); next != pool.regions.end() && !next->second.allocated;) {
      it->second.size += next->second.size;
      next = pool.regions.erase(next);
    }
    if (it->second.size >= size) return it->first;
  }
  return SIZE_MAX;
}

// Takes `size` bytes of a freed region, after a look whether anybody wrote to them.
void reuse(std::size_t offset, std::size_t size) {
  Region& region = pool.regions[offset];
  unpoison(pool.base + offset, size);
  if (!kAsan && first_change(pool.base + offset, size, kDeviceFreed) < size) {
    throw Finding("posetape emulation: freed device memory was written");
  }
  if (region.size > size) {
    pool.regions[offset + size].size = region.size - size;
    region.size = size;
  }
  pool.freed -= size;
}

std::map<std::size_t, Region>::iterator region_of(const void* pointer) {
  const auto offset = static_cast<std::size_t>(static_cast<const char*>(pointer) - pool.base);
  auto it = pool.regions.upper_bound(offset);
  return it == pool.regions.begin() ? pool.regions.end() : std::prev(it);
}

}  // namespace

DeviceAccess::DeviceAccess() {
  if (pool.access++ > 0) return;
  protect(PROT_READ | PROT_WRITE);
  watch_for_faults();
}

DeviceAccess::~DeviceAccess() {
  if (--pool.access > 0) return;
  protect(PROT_NONE);
  watch_for_faults();
}

void* allocate_device(std::size_t bytes) {
  reserve();
  if (bytes > pool.total) return nullptr;
  const DeviceAccess access;
  const std::size_t size = kRed + round_up(bytes + kRed, kAlign);
  std::size_t offset = pool.top;
  const bool fresh = pool.total - pool.top >= size;
  if (const std::size_t old = !fresh || pool.freed > kQuarantine ? find_freed(size) : SIZE_MAX;
      old != SIZE_MAX) {
    offset = old;
    reuse(offset, size);
  } else if (fresh) {
    grow(pool.top + size);
  } else {
    return nullptr;
  }
  pool.regions[offset] = {size, bytes, true, ++pool.allocations};
  pool.used += size;
  char* data = pool.base + offset;
  unpoison(data, size);
  fill(data, kRed, kDeviceRedZone);
  fill(data + kRed, bytes, kDevicePoison);
  fill(data + kRed + bytes, size - kRed - bytes, kDeviceRedZone);
  poison(data, kRed);
  poison(data + kRed + bytes, size - kRed - bytes);
  return data + kRed;
}

void free_device(void* pointer) {
  const auto it = is_device(pointer) ? region_of(pointer) : pool.regions.end();
  if (it == pool.regions.end()) {
    throw Finding("posetape emulation: cudaFree of a pointer that is not from cudaMalloc");
  }
  Region& region = it->second;
  if (!region.allocated) {
    throw Finding("posetape emulation: double free of device memory");
  }
  char* data = pool.base + it->first;
  if (data + kRed != pointer) {
    throw Finding("posetape emulation: cudaFree of a pointer into " + name(region) +
                  ", not to its begin");
  }
  const DeviceAccess access;
  check_region(it->first, region, "at its cudaFree");
  unpoison(data, region.size);
  fill(data, region.size, kDeviceFreed);
  poison(data, region.size);
  region.allocated = false;
  pool.used -= region.size;
  pool.freed += region.size;
}

void check_red_zones(const std::string& when) {
  const DeviceAccess access;
  for (const auto& [offset, region] : pool.regions) {
    if (region.allocated) check_region(offset, region, when);
  }
}

bool is_device(const void* pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  const auto base = reinterpret_cast<std::uintptr_t>(pool.base);
  return pool.base != nullptr && address >= base && address - base < pool.total;
}

void check_device_range(const void* pointer, std::size_t bytes, const std::string& what) {
  const std::string use = "posetape emulation: " + what;
  if (!is_device(pointer)) throw Finding(use + " is no device memory");
  const auto it = region_of(pointer);
  if (it == pool.regions.end()) throw Finding(use + " was never allocated");
  if (!it->second.allocated) throw Finding(use + " has been freed");
  const auto begin = static_cast<const char*>(pointer) - (pool.base + it->first + kRed);
  if (begin < 0 || static_cast<std::size_t>(begin) + bytes > it->second.bytes) {
    throw Finding(use + " (bytes " + std::to_string(begin) + " to " +
                  std::to_string(begin + static_cast<std::ptrdiff_t>(bytes)) +
                  ") is not all inside of " + name(it->second));
  }
}

std::size_t device_bytes_used() {
  return pool.used;
}
std::size_t device_bytes_total() {
  return pool.total;
}

void resize_device(std::size_t bytes) {
  if (pool.used != 0) throw std::logic_error("device memory is in use");
  reset_device_memory();
  if (pool.base != nullptr) munmap(pool.base, pool.total);
  pool.base = nullptr;
  pool.total = round_up(bytes, kPages);
}

std::string device_leaks() {
  std::string text;
  for (const auto& [offset, region] : pool.regions) {
    if (region.allocated) text += name(region) + "\n";
  }
  return text;
}

void reset_device_memory() {
  unpoison(pool.base, pool.mapped);
  if (pool.mapped != 0) {
    const Unwatched unwatched;
    // Fresh pages in the same place.
    mmap(pool.base, pool.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
         -1, 0);
    take_large_pages(pool.base, pool.mapped);
  }
  pool.regions.clear();
  pool.top = pool.mapped = pool.used = pool.freed = 0;
  pool.allocations = 0;
}

bool describe_device_address(const void* address, char* text, std::size_t size) {
  if (!is_device(address)) return false;
  const auto it = region_of(address);
  const auto offset = static_cast<std::size_t>(static_cast<const char*>(address) - pool.base);
  if (it == pool.regions.end() || !it->second.allocated || offset - it->first >= it->second.size) {
    std::snprintf(text, size, "no allocation");
    return true;
  }
  std::snprintf(text, size, "byte %td of %zu of cudaMalloc number %lld",
                static_cast<const char*>(address) - (pool.base + it->first + kRed),
                it->second.bytes, static_cast<long long>(it->second.number));
  return true;
}

}  // namespace posetape::emulation
