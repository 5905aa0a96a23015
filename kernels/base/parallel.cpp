#include "kernels/base/parallel.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "kernels/base/memory.hpp"

namespace posetape {
namespace {

// Loads of an atomic before a waiting thread gives its core away: some 20 us. Kernels follow each
// other closely, so a short wait saves the system call; a long one would take the core from other
// processes, and OpenMP's own waiting has cost a factor of four on a machine with one busy
// neighbour.
constexpr int kSpins = 4000;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Returns once `word` differs from `old`.
void wait_for_change(const std::atomic<std::uint32_t>& word, std::uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    if (word.load(std::memory_order_acquire) != old) return;
    relax();
  }
  word.wait(old, std::memory_order_acquire);
}

thread_local bool inside_pool = false;

int allowed_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

// Workers wait for `call_` to change and then join the job, if it is still open: `job_` has kOpen
// while pieces may be left, and counts the workers that are inside. The caller closes the job when
// no piece is left and waits for those that joined; a worker that wakes up later finds it closed
// and cannot touch it.
class Pool {
 public:
  int count() {
    const std::lock_guard lock(setting_);
    return count_;
  }

  void resize(int count) {
    const std::lock_guard busy(running_);
    const std::lock_guard lock(setting_);
    stop();
    count_ = std::max(1, count);
  }

  void run(Index pieces, void (*f)(const void*, Index), const void* context) {
    std::unique_lock busy(running_, std::defer_lock);
    if (inside_pool || !busy.try_lock()) {
      for (Index p = 0; p < pieces; ++p) f(context, p);
      return;
    }
    if (workers_.empty()) start();
    f_ = f;
    context_ = context;
    pieces_ = pieces;
    next_.store(0, std::memory_order_relaxed);
    job_.store(kOpen, std::memory_order_release);
    call_.fetch_add(1, std::memory_order_release);
    call_.notify_all();
    work();
    std::uint32_t left = job_.fetch_and(~kOpen, std::memory_order_acq_rel) & ~kOpen;
    while (left != 0) {
      wait_for_change(job_, left);
      left = job_.load(std::memory_order_acquire);
    }
  }

  ~Pool() { stop(); }

 private:
  static constexpr std::uint32_t kOpen = 1u << 31;

  void work() {
    inside_pool = true;
    for (Index p; (p = next_.fetch_add(1, std::memory_order_relaxed)) < pieces_;) f_(context_, p);
    inside_pool = false;
  }

  void serve() {
    std::uint32_t seen = 0;
    while (true) {
      wait_for_change(call_, seen);
      seen = call_.load(std::memory_order_acquire);
      if (stopping_.load(std::memory_order_acquire)) return;
      std::uint32_t job = job_.load(std::memory_order_acquire);
      while ((job & kOpen) != 0 &&
             !job_.compare_exchange_weak(job, job + 1, std::memory_order_acq_rel)) {
      }
      if ((job & kOpen) == 0) continue;
      work();
      job_.fetch_sub(1, std::memory_order_release);
      job_.notify_one();
    }
  }

  void start() {
    stopping_.store(false);
    call_.store(0);
    for (int i = 1; i < count_; ++i) workers_.emplace_back([this] { serve(); });
  }

  void stop() {
    stopping_.store(true, std::memory_order_release);
    call_.fetch_add(1, std::memory_order_release);
    call_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
  }

  std::mutex running_;  // held by the one call that uses the workers
  std::mutex setting_;
  int count_ = allowed_threads();
  std::vector<std::thread> workers_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint32_t> call_{0};
  std::atomic<std::uint32_t> job_{0};
  std::atomic<Index> next_{0};
  Index pieces_ = 0;
  void (*f_)(const void*, Index) = nullptr;
  const void* context_ = nullptr;
};

Pool& pool() {
  static Pool instance;
  return instance;
}

// The pool's size, readable without a lock.
std::atomic<int>& size() {
  static std::atomic<int> count{pool().count()};
  return count;
}

// A stack of blocks; pieces lie in them one behind the other.
class ScratchStack {
 public:
  ScratchStack() = default;
  ScratchStack(const ScratchStack&) = delete;
  ScratchStack& operator=(const ScratchStack&) = delete;
  ~ScratchStack() {
    for (const Block& block : blocks_) release(block.data);
  }

  void* take(std::size_t bytes) {
    const std::size_t size = (bytes + kAlign) / kAlign * kAlign;  // at least one
    while (current_ < blocks_.size() && blocks_[current_].size - blocks_[current_].used < size) {
      // An empty block that is too small makes way for a larger one.
      if (blocks_[current_].used == 0) {
        release(blocks_[current_].data);
        blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(current_));
      } else {
        ++current_;
      }
    }
    if (current_ == blocks_.size()) {
      const std::size_t block = std::max(size, kLeast);
      blocks_.push_back({allocate(block), block, 0});
    }
    Block& block = blocks_[current_];
    std::byte* data = block.data + block.used;
    block.used += size;
    return data;
  }

  // `data` is what was taken last.
  void give_back(void* data) {
    Block& block = blocks_[current_];
    block.used = static_cast<std::size_t>(static_cast<std::byte*>(data) - block.data);
    if (block.used == 0 && current_ > 0) --current_;
  }

 private:
  static constexpr std::size_t kAlign = 64;
  static constexpr std::size_t kLeast = std::size_t{1} << 20;

  struct Block {
    std::byte* data;
    std::size_t size;
    std::size_t used;
  };

  static std::byte* allocate(std::size_t bytes) {
    void* memory = allocate_aligned(bytes);
    if (memory == nullptr) throw std::bad_alloc();
    return static_cast<std::byte*>(memory);
  }
  static void release(std::byte* data) { release_aligned(data); }

  std::vector<Block> blocks_;
  std::size_t current_ = 0;  // the block of the last piece
};

}  // namespace

#ifdef __SANITIZE_ADDRESS__
void* take_scratch(std::size_t bytes) {
  return ::operator new (bytes + 1, std::align_val_t{64});
}
void give_back_scratch(void* data) {
  ::operator delete (data, std::align_val_t{64});
}
#else
namespace {
thread_local ScratchStack scratch;
}  // namespace

void* take_scratch(std::size_t bytes) {
  return scratch.take(bytes);
}
void give_back_scratch(void* data) {
  scratch.give_back(data);
}
#endif

void set_threads(int count) {
  pool().resize(count);
  size().store(pool().count());
}

int threads() {
  return size().load(std::memory_order_relaxed);
}

void run_pieces(Index pieces, void (*f)(const void* context, Index piece), const void* context) {
  if (threads() == 1) {
    for (Index p = 0; p < pieces; ++p) f(context, p);
    return;
  }
  pool().run(pieces, f, context);
}

}  // namespace posetape
