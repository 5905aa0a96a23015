// The process as it was, after a test of how things run.
#pragma once

#include "engine/arena.hpp"
#include "kernels/base/parallel.hpp"

namespace posetape {

// Puts back the number of threads, and memory that is reused and not poisoned.
struct Restored {
  int threads = posetape::threads();
  ~Restored() {
    set_threads(threads);
    Arena::cpu().set_poison(false);
    Arena::cpu().set_reuse(true);
  }
};

}  // namespace posetape
