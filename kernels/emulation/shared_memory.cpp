// Arrays are cut from one buffer in the order of their first use, with a red zone behind each.
// AddressSanitizer reports a touch of what is not an array; without it a written red zone shows at
// the block's end.
#include "kernels/emulation/shared_memory.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kernels/emulation/architecture.hpp"
#include "kernels/emulation/block.hpp"
#include "kernels/emulation/pattern.hpp"
#include "kernels/emulation/sanitizer.hpp"

namespace posetape::emulation {
namespace {

constexpr unsigned short kRedZone = 0xFFFA;
constexpr std::size_t kRedBytes = 128;
constexpr int kMaxArrays = 64;
constexpr std::size_t kCapacity = 256 * 1024 + (kMaxArrays + 2) * kRedBytes;

struct Array {
  const Declaration* declaration;
  char* data;
  std::size_t bytes;
};

char* buffer = nullptr;
Array arrays[kMaxArrays];
int count = 0;
std::size_t used = 0;       // of the buffer
std::size_t allocated = 0;  // as CUDA counts
std::size_t dynamic_bytes = 0;
std::size_t limit = 0;
const Declaration dynamic_declaration{"dynamic shared memory", Site::current()};

std::size_t round_up(std::size_t n, std::size_t to) {
  return (n + to - 1) / to * to;
}

void* cut(const Declaration& declaration, std::size_t bytes) {
  if (count == kMaxArrays) fail(Failure::shared_count, declaration.site);
  char* data = buffer + used;
  unpoison(data, bytes);
  fill(data, bytes, kSharedPoison);
  const std::size_t end = round_up(used + bytes, 128) + kRedBytes;
  if (!kAsan) fill(data + bytes, end - used - bytes, kRedZone);
  used = end;
  arrays[count++] = {&declaration, data, bytes};
  return data;
}

const Array* find(const Declaration& declaration) {
  for (int i = 0; i < count; ++i) {
    if (arrays[i].declaration == &declaration) return &arrays[i];
  }
  return nullptr;
}

}  // namespace

void begin_shared(std::size_t dynamic, std::size_t most) {
  const Unwatched unwatched;
  // ThreadSanitizer would take the last block's use of the same memory for a race with this one's,
  // so there every block has memory of its own.
  if (buffer == nullptr) {
    buffer = static_cast<char*>(std::aligned_alloc(128, kCapacity));
    if (buffer == nullptr) std::abort();
  }
  poison(buffer, kCapacity);
  count = 0;
  used = kRedBytes;
  allocated = dynamic;
  dynamic_bytes = dynamic;
  limit = most;
}

const Declaration* end_shared() {
  const Declaration* overrun = nullptr;
  for (int i = 0; i < count && !kAsan; ++i) {
    const Array& array = arrays[i];
    const std::size_t end = round_up(array.bytes, 128) + kRedBytes;
    const std::size_t zone = end - array.bytes;
    if (overrun == nullptr && first_change(array.data + array.bytes, zone, kRedZone) < zone) {
      overrun = array.declaration;
    }
  }
  if (kTsan) {
    const Unwatched unwatched;
    std::free(buffer);
    buffer = nullptr;
  }
  return overrun;
}

void* shared_array(const Declaration& declaration, std::size_t bytes, std::size_t alignment) {
  if (const Array* array = find(declaration)) {
    if (array->bytes != bytes) fail(Failure::shared_mismatch, declaration.site);
    return array->data;
  }
  if (alignment > 128) fail(Failure::misaligned, declaration.site);
  allocated = round_up(allocated, alignment) + bytes;
  if (allocated > limit || allocated - dynamic_bytes > architecture().shared_default) {
    block.detail[0] = allocated;
    block.detail[1] = allocated > limit ? limit : architecture().shared_default;
    block.text = declaration.name;
    fail(Failure::shared_limit, declaration.site);
  }
  return cut(declaration, bytes);
}

void* dynamic_shared(std::size_t alignment, const Site& site) {
  if (alignment > 16) fail(Failure::misaligned, site);
  if (const Array* array = find(dynamic_declaration)) return array->data;
  return cut(dynamic_declaration, dynamic_bytes);
}

void misaligned(const void* pointer, std::size_t alignment, const Site& site) {
  block.detail[0] = reinterpret_cast<std::uintptr_t>(pointer);
  block.detail[1] = alignment;
  fail(Failure::misaligned, site);
}

}  // namespace posetape::emulation
