// The sanitizers' interfaces, empty where a sanitizer is off. The emulation itself is compiled
// without instrumentation (kernels/emulation/meson.build), so the build says which one is on.
#pragma once

#include <cstddef>
#include <cstdlib>

#ifdef POSETAPE_TSAN
#include <sanitizer/tsan_interface.h>
// Dynamic annotations that every ThreadSanitizer runtime has, and no header declares.
extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);
extern "C" void AnnotateIgnoreWritesBegin(const char* file, int line);
extern "C" void AnnotateIgnoreWritesEnd(const char* file, int line);
#endif
#ifdef POSETAPE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace posetape::emulation {

#ifdef POSETAPE_TSAN
inline constexpr bool kTsan = true;
#else
inline constexpr bool kTsan = false;
#endif
#ifdef POSETAPE_ASAN
inline constexpr bool kAsan = true;
#else
inline constexpr bool kAsan = false;
#endif

// AddressSanitizer: makes memory an error to touch, and allows it again.
inline void poison([[maybe_unused]] const void* data, [[maybe_unused]] std::size_t bytes) {
#ifdef POSETAPE_ASAN
  __asan_poison_memory_region(data, bytes);
#endif
}
inline void unpoison([[maybe_unused]] const void* data, [[maybe_unused]] std::size_t bytes) {
#ifdef POSETAPE_ASAN
  __asan_unpoison_memory_region(data, bytes);
#endif
}

// ThreadSanitizer: what happened before release(x) happened before what follows acquire(x).
inline void release([[maybe_unused]] void* object) {
#ifdef POSETAPE_TSAN
  __tsan_release(object);
#endif
}
inline void acquire([[maybe_unused]] void* object) {
#ifdef POSETAPE_TSAN
  __tsan_acquire(object);
#endif
}

// In its scope the thread's accesses do not count, and allocating or mapping memory makes
// ThreadSanitizer forget who used it before, instead of counting as a write.
class Unwatched {
 public:
  Unwatched() {
#ifdef POSETAPE_TSAN
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
  }
  ~Unwatched() {
#ifdef POSETAPE_TSAN
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
#endif
  }
  Unwatched(const Unwatched&) = delete;
  Unwatched& operator=(const Unwatched&) = delete;
};

// One meeting of threads under ThreadSanitizer: arrive, then leave, and the last to leave frees it.
// Each meeting has an object of its own: one object a barrier hides races, because a thread that is
// early at the next barrier releases into what the late ones of this barrier have yet to acquire.
struct Meeting {
  char object[8];
  int inside;
};

inline void arrive([[maybe_unused]] Meeting*& meeting) {
#ifdef POSETAPE_TSAN
  if (meeting == nullptr) {
    const Unwatched unwatched;
    meeting = static_cast<Meeting*>(std::malloc(sizeof(Meeting)));
    meeting->inside = 0;
  }
  ++meeting->inside;
  release(meeting->object);
#endif
}
inline void leave([[maybe_unused]] Meeting* meeting) {
#ifdef POSETAPE_TSAN
  acquire(meeting->object);
  if (--meeting->inside == 0) {
    const Unwatched unwatched;
    std::free(meeting);
  }
#endif
}

}  // namespace posetape::emulation
