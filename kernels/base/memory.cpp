#include "kernels/base/memory.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

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
    std::shared_ptr<Chunk> chunk = newest_.lock();
    if (chunk == nullptr || chunk->size - chunk->used < wanted) {
      chunk = Chunk::of((std::max(wanted, kChunk) + kLargePage - 1) / kLargePage * kLargePage);
      if (chunk == nullptr) return nullptr;
      newest_ = chunk;
    }
    std::byte* const data = chunk->data + chunk->used;
    chunk->used += wanted;
    blocks_.emplace(data, Block{std::move(chunk), wanted});
    return data;
  }

  // Whether the block was cut here.
  bool give_back(void* memory) {
    const std::lock_guard lock(mutex_);
    const auto found = blocks_.find(memory);
    if (found == blocks_.end()) return false;
    const Block block = std::move(found->second);
    blocks_.erase(found);
    if (block.chunk.use_count() == 1) return true;  // all of the chunk goes with it
    const auto at = reinterpret_cast<std::uintptr_t>(memory);
    const auto begin = (at + kPage - 1) / kPage * kPage;
    const auto end = (at + block.bytes) / kPage * kPage;
    if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    return true;
  }

 private:
  struct Chunk {
    std::byte* data;
    std::size_t size, used = 0;

    static std::shared_ptr<Chunk> of(std::size_t size) {
      void* data = from_heap(size, kLargePage);
      if (data == nullptr) return nullptr;
      madvise(data, size, MADV_HUGEPAGE);  // a wish
      return std::make_shared<Chunk>(static_cast<std::byte*>(data), size);
    }
    Chunk(std::byte* data_, std::size_t size_) : data(data_), size(size_) {}
    Chunk(const Chunk&) = delete;
    Chunk& operator=(const Chunk&) = delete;
    ~Chunk() { std::free(data); }
  };
  struct Block {
    std::shared_ptr<Chunk> chunk;
    std::size_t bytes;
  };

  std::mutex mutex_;
  std::unordered_map<void*, Block> blocks_;
  std::weak_ptr<Chunk> newest_;
};

// Never destroyed: threads give back what they have when they end.
Chunks& chunks() {
  static auto* all = new Chunks;
  return *all;
}

}  // namespace

void* allocate_aligned(std::size_t bytes) {
  return bytes < kLeast ? from_heap(bytes, kLine) : chunks().take(bytes);
}
void release_aligned(void* memory) {
  if (!chunks().give_back(memory)) std::free(memory);
}
#else
}  // namespace

// Each block has red zones of its own under the address sanitizer.
void* allocate_aligned(std::size_t bytes) {
  return from_heap(bytes, kLine);
}
void release_aligned(void* memory) {
  std::free(memory);
}
#endif

}  // namespace posetape
