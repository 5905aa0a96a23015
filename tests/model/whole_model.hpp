// Checks that are the same for every network.
#pragma once

#include <doctest/doctest.h>

#include <functional>

#include "engine/gradcheck.hpp"
#include "engine/parameters.hpp"
#include "kernels/base/parallel.hpp"

namespace posetape::test {

// Without the gaps of alignment.
inline Index parameter_count(const ParameterList& list) {
  Index count = 0;
  for (const auto& entry : list.entries()) count += entry.value.size();
  return count;
}

// The same bits for 1, 2 and 3 threads.
inline void check_thread_independence(const std::function<std::vector<double>()>& f) {
  const int before = threads();
  set_threads(1);
  const std::vector<double> one = f();
  for (const int count : {2, 3}) {
    set_threads(count);
    CHECK(f() == one);
  }
  set_threads(before);
}

}  // namespace posetape::test
