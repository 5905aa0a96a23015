#include "kernels/emulation/fibres.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "kernels/emulation/sanitizer.hpp"

namespace posetape::emulation {
namespace {

constexpr std::size_t kGuard = 65536;  // a page on any machine
constexpr std::size_t kStack = kTsan || kAsan ? 256 * 1024 : 64 * 1024;
constexpr int kSets = kTsan ? 4 : 1;

struct Set {
  Fibre fibres[kMaxFibres];
  int made = 0;
};

Set sets[kSets];
int turn = 0;   // the set last taken
int taken = 0;  // how many of it
Fibre host;
Fibre* previous = nullptr;  // who switched here last

// All stacks of a set start at the same offset in a page, so their busiest lines would share one
// set of the cache; this spreads them.
std::size_t colour(int index) {
  return static_cast<std::size_t>(index) % 16 * 192;
}

char* make_stack() {
  const Unwatched unwatched;
  void* memory = mmap(nullptr, kGuard + kStack, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, kGuard, PROT_NONE) != 0) {
    std::fputs("posetape emulation: no memory for the stack of a CUDA thread\n", stderr);
    std::abort();
  }
  return static_cast<char*>(memory) + kGuard;
}

#ifdef POSETAPE_TSAN
int tsan_fibres = 0;

// Gives the first `count` fibres of this turn's set their ThreadSanitizer threads, and takes those
// of the other sets where there would be too many.
void provide_tsan(int count) {
  Set& set = sets[turn];
  int missing = 0;
  for (int i = 0; i < count; ++i) missing += set.fibres[i].tsan == nullptr;
  for (int age = 1; age < kSets && tsan_fibres + missing > kTsanFibres; ++age) {
    Set& other = sets[(turn + age) % kSets];  // the oldest first
    for (int i = 0; i < other.made; ++i) {
      if (other.fibres[i].tsan == nullptr) continue;
      __tsan_destroy_fiber(other.fibres[i].tsan);
      other.fibres[i].tsan = nullptr;
      --tsan_fibres;
    }
  }
  for (int i = 0; i < count; ++i) {
    if (set.fibres[i].tsan != nullptr) continue;
    set.fibres[i].tsan = __tsan_create_fiber(0);
    ++tsan_fibres;
  }
}
#endif

void start_switch([[maybe_unused]] void** fake_stack, [[maybe_unused]] Fibre& to) {
#ifdef POSETAPE_ASAN
  __sanitizer_start_switch_fiber(fake_stack, to.stack, to.stack_bytes);
#endif
#ifdef POSETAPE_TSAN
  __tsan_switch_to_fiber(to.tsan, __tsan_switch_to_fiber_no_sync);
#endif
}

}  // namespace

Fibre& host_fibre() {
  return host;
}

Fibre* take_fibres(int count, void (*entry)()) {
#ifdef POSETAPE_TSAN
  host.tsan = __tsan_get_current_fiber();
#endif
  turn = (turn + 1) % kSets;
  taken = count;
  Set& set = sets[turn];
  for (; set.made < count; ++set.made) {
    Fibre& fibre = set.fibres[set.made];
    fibre.stack = make_stack();
    fibre.stack_bytes = kStack;
  }
#ifdef POSETAPE_TSAN
  provide_tsan(count);
#endif
  for (int i = 0; i < count; ++i) {
    Fibre& fibre = set.fibres[i];
    prepare_context(fibre.context, fibre.stack, fibre.stack_bytes - colour(i), entry);
  }
  return set.fibres;
}

void begin_fibre() {
#ifdef POSETAPE_ASAN
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
  if (previous == &host) {  // the only stack that was not made here
    host.stack = const_cast<char*>(static_cast<const char*>(bottom));
    host.stack_bytes = bytes;
  }
#endif
}

void switch_fibre(Fibre& from, Fibre& to) {
  previous = &from;
  start_switch(&from.fake_stack, to);
  switch_context(from.context, to.context);
#ifdef POSETAPE_ASAN
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

void end_fibre(Fibre& from, Fibre& to) {
  previous = &from;
  start_switch(nullptr, to);
  switch_context(from.context, to.context);
}

void abandon_fibres([[maybe_unused]] void* end) {
  Set& set = sets[turn];
  for (int i = 0; i < taken; ++i) {
    unpoison(set.fibres[i].stack, set.fibres[i].stack_bytes);
#ifdef POSETAPE_TSAN
    __tsan_switch_to_fiber(set.fibres[i].tsan, __tsan_switch_to_fiber_no_sync);
    release(end);
    __tsan_switch_to_fiber(host.tsan, __tsan_switch_to_fiber_no_sync);
    __tsan_destroy_fiber(set.fibres[i].tsan);
    set.fibres[i].tsan = __tsan_create_fiber(0);
#endif
  }
}

bool is_stack_overflow(const void* address) {
  const auto a = reinterpret_cast<std::uintptr_t>(address);
  for (const Set& set : sets) {
    for (int i = 0; i < set.made; ++i) {
      const auto stack = reinterpret_cast<std::uintptr_t>(set.fibres[i].stack);
      if (a < stack && a + kGuard >= stack) return true;
    }
  }
  return false;
}

}  // namespace posetape::emulation
