#include "kernels/base/memory.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace posetape {
namespace {

constexpr std::size_t kLine = 64;

void* from_heap(std::size_t bytes, std::size_t alignment) {
  void* memory = nullptr;
  return posix_memalign(&memory, alignment, bytes) == 0 ? memory : nullptr;
}

#if defined(MADV_HUGEPAGE) && !defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kPage = 4096, kLargePage = std::size_t{1} << 21;
constexpr std::size_t kLeast = std::size_t{1} << 16;   // of a block that is cut from a chunk
constexpr std::size_t kChunk = std::size_t{32} << 20;  // of addresses: memory comes with their use

// Blocks that lie one after the other in large pieces of addresses. A block's pages go back with
// it, its addresses with the last block of its chunk: whoever allocates often keeps what it has
// (engine/arena.hpp).
class Chunks {
 public:
  void* take(std::size_t bytes) {
    if (bytes > std::numeric_limits<std::size_t>::max() - kLargePage) return nullptr;
    const std::size_t wanted = (bytes + kLine - 1) / kLine * kLine;
    const std::lock_guard lock(mutex_);
    if (newest_ == nullptr || chunks_.at(newest_).size - chunks_.at(newest_).used < wanted) {
      const std::size_t size =
          (std::max(wanted, kChunk) + kLargePage - 1) / kLargePage * kLargePage;
      auto* const added = static_cast<std::byte*>(from_heap(size, kLargePage));
      if (added == nullptr) return nullptr;
      madvise(added, size, MADV_HUGEPAGE);  // a wish
      chunks_.emplace(added, Chunk{size});
      newest_ = added;
    }
    Chunk& chunk = chunks_.at(newest_);
    std::byte* const block = newest_ + chunk.used;
    chunk.used += wanted;
    ++chunk.blocks;
    sizes_.emplace(block, wanted);
    return block;
  }

  // Whether the block was cut here.
  bool give_back(void* memory) {
    const std::lock_guard lock(mutex_);
    const auto found = sizes_.find(static_cast<std::byte*>(memory));
    if (found == sizes_.end()) return false;
    const auto [block, bytes] = *found;
    sizes_.erase(found);
    const auto chunk = std::prev(chunks_.upper_bound(block));
    if (--chunk->second.blocks == 0) {
      if (chunk->first == newest_) newest_ = nullptr;
      std::free(chunk->first);
      chunks_.erase(chunk);
      return true;
    }
    const auto begin = (reinterpret_cast<std::uintptr_t>(block) + kPage - 1) / kPage * kPage;
    const auto end = reinterpret_cast<std::uintptr_t>(block + bytes) / kPage * kPage;
    if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    return true;
  }

 private:
  struct Chunk {
    std::size_t size, used = 0, blocks = 0;
  };

  std::mutex mutex_;
  std::map<std::byte*, Chunk> chunks_;
  std::map<std::byte*, std::size_t> sizes_;  // of blocks
  std::byte* newest_ = nullptr;              // chunk
};

// Never destroyed: threads give back what they have when they end.
Chunks& chunks() {
  static auto* all = new Chunks;
  return *all;
}

void* allocate(std::size_t bytes) {
  return bytes < kLeast ? from_heap(bytes, kLine) : chunks().take(bytes);
}
void release(void* memory) {
  if (!chunks().give_back(memory)) std::free(memory);
}
#else
// Each block has red zones of its own under the address sanitizer.
void* allocate(std::size_t bytes) {
  return from_heap(bytes, kLine);
}
void release(void* memory) {
  std::free(memory);
}
#endif

}  // namespace

void* allocate_aligned(std::size_t bytes) {
  return allocate(bytes);
}

void release_aligned(void* memory) {
  release(memory);
}

}  // namespace posetape
