// Memory for tensors: blocks that are reused, never given back, so that a training step allocates
// nothing once the first one has run.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>

#include "engine/dtype.hpp"
#include "engine/storage.hpp"
#include "kernels/base/runtime.hpp"

namespace posetape {

// What the engine asks of `device` beside kernels.
inline const Runtime& runtime(Device device) {
  return device == Device::cpu ? cpu_runtime : cuda_runtime;
}

class Arena {
 public:
  explicit Arena(Device device);
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  // At least `bytes` bytes, aligned as the device's runtime says. Contents are undefined (NaN in
  // poison mode). Comes back when the last handle lets go.
  std::shared_ptr<Storage> allocate(std::size_t bytes);

  // Debugging: `poison` fills every block with NaN bit patterns when it is handed out and when it
  // comes back, so that reading unwritten or freed memory shows; `reuse = false` hands out fresh
  // memory always, so that a result that depends on reuse shows.
  void set_poison(bool poison) { poison_ = poison; }
  void set_reuse(bool reuse) { reuse_ = reuse; }

  std::size_t bytes_in_use() const { return in_use_; }
  std::size_t peak_bytes() const { return peak_; }
  std::size_t reserved_bytes() const { return reserved_; }
  void reset_peak() { peak_ = in_use_; }
  // Gives every free block back to the system.
  void trim();

  // The arena of this process's tensors on `device`.
  static Arena& of(Device device);
  static Arena& cpu() { return of(Device::cpu); }
  // The one that new tensors of this thread come from: the innermost ArenaScope's, or else that of
  // the process.
  static Arena& current(Device device);

 private:
  friend class ArenaScope;
  void poison(void* data, std::size_t bytes);
  void free_all();
  void release(void* data, std::size_t bytes);

  Device device_;
  const Runtime& runtime_;

  std::mutex mutex_;
  std::multimap<std::size_t, void*> free_;
  std::size_t in_use_ = 0;
  std::size_t peak_ = 0;
  std::size_t reserved_ = 0;
  bool poison_ = false;
  bool reuse_ = true;
};

// While it lives, this thread's new tensors on the arena's device lie in `arena`, which must
// outlive them.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena);
  ~ArenaScope();
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Device device_;
  Arena* outer_;
};

}  // namespace posetape
