#include "engine/arena.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "engine/error.hpp"

namespace posetape {
namespace {

constexpr std::size_t kAlign = 64;
// A free block may be used for a request down to this fraction of its size.
constexpr double kSlack = 0.75;

// All bits set is a NaN in every floating type, and an impossible index in i32.
void poison_bytes(const Storage& block) {
  std::memset(block.data, 0xFF, block.bytes);
}

}  // namespace

Arena::~Arena() {
  trim();
}

std::shared_ptr<Storage> Arena::allocate(std::size_t bytes) {
  const std::size_t wanted = (std::max<std::size_t>(bytes, 1) + kAlign - 1) / kAlign * kAlign;
  Storage block{nullptr, wanted};
  {
    const std::lock_guard lock(mutex_);
    const auto fit = reuse_ ? free_.lower_bound(wanted) : free_.end();
    if (fit != free_.end() &&
        static_cast<double>(wanted) >= kSlack * static_cast<double>(fit->first)) {
      block = {fit->second, fit->first};
      free_.erase(fit);
    } else {
      block.data =
          static_cast<std::byte*>(::operator new (wanted, std::align_val_t{kAlign}, std::nothrow));
      if (block.data == nullptr) {
        fail("out of memory: {} MB wanted with {} MB in use; use a smaller batch or fewer frames",
             wanted >> 20, in_use_ >> 20);
      }
      reserved_ += block.bytes;
    }
    in_use_ += block.bytes;
    peak_ = std::max(peak_, in_use_);
  }
  if (poison_) poison_bytes(block);
  return {new Storage(block), [this](Storage* storage) {
            release(*storage);
            delete storage;
          }};
}

void Arena::release(Storage block) {
  if (poison_) poison_bytes(block);
  const std::lock_guard lock(mutex_);
  in_use_ -= block.bytes;
  free_.emplace(block.bytes, block.data);
}

void Arena::trim() {
  const std::lock_guard lock(mutex_);
  for (const auto& [bytes, data] : free_) {
    reserved_ -= bytes;
    ::operator delete (data, std::align_val_t{kAlign});
  }
  free_.clear();
}

Arena& Arena::cpu() {
  // Never destroyed: tensors with static lifetime may outlive every other static object.
  static auto* arena = new Arena;
  return *arena;
}

}  // namespace posetape
