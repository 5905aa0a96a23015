#include "engine/arena.hpp"

#include <algorithm>
#include <deque>
#include <tuple>
#include <utility>

#include "engine/error.hpp"

namespace posetape {
namespace {

// A free block may be used for a request down to this fraction of its size.
constexpr double kSlack = 0.75;

thread_local Arena* innermost[kChoices<Device>.list.size()] = {};

Arena*& innermost_of(Device device) {
  return innermost[static_cast<std::size_t>(device)];
}

}  // namespace

Arena::Arena(Device device) : device_(device), runtime_(runtime(device)) {
  runtime_.set_scratch([device](std::size_t bytes) -> std::shared_ptr<void> {
    auto storage = Arena::current(device).allocate(bytes);
    return {storage, storage->data};
  });
}

Arena::~Arena() {
  trim();
}

std::shared_ptr<Storage> Arena::allocate(std::size_t bytes) {
  const std::size_t align = runtime_.alignment;
  const std::size_t wanted = (std::max<std::size_t>(bytes, 1) + align - 1) / align * align;
  std::size_t size = wanted;
  void* data = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto fit = reuse_ ? free_.lower_bound(wanted) : free_.end();
    if (fit != free_.end() &&
        static_cast<double>(wanted) >= kSlack * static_cast<double>(fit->first)) {
      std::tie(size, data) = *fit;
      free_.erase(fit);
    } else {
      data = runtime_.allocate(wanted);
      if (data == nullptr) {
        // What lies free may be enough in other pieces.
        free_all();
        data = runtime_.allocate(wanted);
      }
      if (data == nullptr) {
        fail(
            "out of memory on {}: {} MB wanted with {} MB in use; use a smaller batch or fewer "
            "frames",
            name(device_), wanted >> 20, in_use_ >> 20);
      }
      reserved_ += size;
    }
    in_use_ += size;
    peak_ = std::max(peak_, in_use_);
  }
  poison(data, size);
  return {new Storage(static_cast<std::byte*>(data), size), [this](Storage* storage) {
            release(storage->data, storage->bytes);
            delete storage;
          }};
}

// All bits set is a NaN in every floating type, and an impossible index in i32.
void Arena::poison(void* data, std::size_t bytes) {
  if (poison_) runtime_.fill_bytes(data, 0xFF, bytes);
}

void Arena::release(void* data, std::size_t bytes) {
  poison(data, bytes);
  const std::lock_guard lock(mutex_);
  in_use_ -= bytes;
  free_.emplace(bytes, data);
}

void Arena::trim() {
  const std::lock_guard lock(mutex_);
  free_all();
}

void Arena::free_all() {
  for (const auto& [bytes, data] : free_) {
    reserved_ -= bytes;
    runtime_.release(data);
  }
  free_.clear();
}

Arena& Arena::of(Device device) {
  // Never destroyed: tensors with static lifetime may outlive every other static object.
  static auto* all = [] {
    auto* arenas = new std::deque<Arena>;
    for (const auto& choice : kChoices<Device>.list) arenas->emplace_back(choice.value);
    return arenas;
  }();
  return (*all)[static_cast<std::size_t>(device)];
}

Arena& Arena::current(Device device) {
  Arena* arena = innermost_of(device);
  return arena != nullptr ? *arena : of(device);
}

ArenaScope::ArenaScope(Arena& arena)
    : device_(arena.device_), outer_(std::exchange(innermost_of(arena.device_), &arena)) {}
ArenaScope::~ArenaScope() {
  innermost_of(device_) = outer_;
}

}  // namespace posetape
