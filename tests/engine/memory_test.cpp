#include "kernels/base/memory.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#ifdef __linux__
#include <unistd.h>

#include <fstream>
#endif

namespace {

using posetape::allocate_aligned;
using posetape::release_aligned;

// Blocks of sizes around those at which memory comes from elsewhere, in any order: each keeps what
// is written to all of it until it is given back.
void take_and_give(unsigned seed) {
  struct Block {
    unsigned char* data;
    std::size_t size;
    unsigned char mark;
  };
  constexpr std::size_t kSizes[] = {1, 63, 65, 65535, 65536, 65537, 300000, 2097152, 3000001};
  std::mt19937 random(seed);
  std::vector<Block> blocks;
  const auto check_and_release = [&](std::size_t i) {
    const Block block = blocks[i];
    CHECK(std::vector(block.data, block.data + block.size) == std::vector(block.size, block.mark));
    release_aligned(block.data);
    blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(i));
  };
  for (int step = 0; step < 300; ++step) {
    if (!blocks.empty() && random() % 5 < 2) {
      check_and_release(random() % blocks.size());
      continue;
    }
    const std::size_t size = kSizes[random() % std::size(kSizes)];
    auto* data = static_cast<unsigned char*>(allocate_aligned(size));
    REQUIRE(data != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(data) % 64 == 0);
    const auto mark = static_cast<unsigned char>(random());
    std::memset(data, mark, size);
    blocks.push_back({data, size, mark});
  }
  while (!blocks.empty()) check_and_release(random() % blocks.size());
}

}  // namespace

TEST_CASE("memory: blocks are aligned, and each keeps its own bytes") {
  take_and_give(1);
}

TEST_CASE("memory: threads take from it and give back at the same time") {
  std::thread other([] { take_and_give(2); });
  take_and_give(3);
  other.join();
}

// Sanitizers stop the program where memory cannot be had, and keep what is given back.
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("memory: a block that cannot be had is null") {
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
  CHECK(allocate_aligned(kMost / 4) == nullptr);
  CHECK(allocate_aligned(kMost - 100) == nullptr);
}

namespace {

// Of this process, resident.
double megabytes() {
  std::ifstream file("/proc/self/statm");
  double all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

}  // namespace

TEST_CASE("memory: what is given back is the system's again, whatever lies beside it") {
  const double before = megabytes();
  constexpr std::size_t kBytes = 8'000'000;
  std::vector<void*> kept, others;
  for (int i = 0; i < 20; ++i) {
    for (const std::size_t size : {std::size_t{70'000}, kBytes}) {
      void* block = allocate_aligned(size);
      REQUIRE(block != nullptr);
      std::memset(block, 1, size);
      (size == kBytes ? others : kept).push_back(block);
    }
  }
  CHECK(megabytes() - before > 150);
  for (void* block : others) release_aligned(block);
  CHECK(megabytes() - before < 50);
  for (void* block : kept) release_aligned(block);
}
#endif
