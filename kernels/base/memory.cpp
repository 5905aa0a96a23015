#include "kernels/base/memory.hpp"

#include <cstdlib>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace posetape {

void* allocate_aligned(std::size_t bytes) {
  constexpr std::size_t kLine = 64, kLargePage = std::size_t{1} << 21;
  const std::size_t alignment = bytes < kLargePage ? kLine : kLargePage;
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, bytes) != 0) return nullptr;
#ifdef MADV_HUGEPAGE
  if (alignment == kLargePage) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish
#endif
  return memory;
}

void release_aligned(void* memory) {
  std::free(memory);
}

}  // namespace posetape
