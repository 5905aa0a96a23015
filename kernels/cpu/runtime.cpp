#include "kernels/base/runtime.hpp"

#include <cstring>
#include <new>

namespace posetape {
namespace {

constexpr std::align_val_t kAlignment{64};

void copy(void* to, const void* from, std::size_t bytes) {
  std::memmove(to, from, bytes);
}

}  // namespace

constinit const Runtime cpu_runtime{
    .alignment = static_cast<std::size_t>(kAlignment),
    .allocate = [](std::size_t bytes) { return ::operator new(bytes, kAlignment, std::nothrow); },
    .release = [](void* memory) { ::operator delete(memory, kAlignment); },
    .set_scratch = [](ScratchSource) {},  // kernels have a stack of their own (parallel.hpp)
    .upload = copy,
    .download = copy,
    .copy = copy,
    .fill_bytes = [](void* memory, int value,
                     std::size_t bytes) { std::memset(memory, value, bytes); },
    .synchronize = [] {},
};

}  // namespace posetape
