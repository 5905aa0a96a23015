#include "kernels/base/runtime.hpp"

#include <cstring>

#include "kernels/base/memory.hpp"

namespace posetape {
namespace {

void copy(void* to, const void* from, std::size_t bytes) {
  std::memmove(to, from, bytes);
}

}  // namespace

constinit const Runtime cpu_runtime{
    .alignment = 64,
    .allocate = allocate_aligned,
    .release = release_aligned,
    .set_scratch = [](ScratchSource) {},  // kernels have a stack of their own (parallel.hpp)
    .upload = copy,
    .download = copy,
    .copy = copy,
    .fill_bytes = [](void* memory, int value,
                     std::size_t bytes) { std::memset(memory, value, bytes); },
    .synchronize = [] {},
};

}  // namespace posetape
