#include "kernels/emulation/context.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace posetape::emulation;

namespace {

Context main_context, a, b;
std::vector<int> trace;

// Values that live across switches, in registers and in memory.
template <int kName>
void count() {
  double sum = kName;
  for (int i = 0;; ++i) {
    sum += 0.5;
    trace.push_back(kName * 100 + i);
    Context& here = kName == 1 ? a : b;
    switch_context(here, kName == 1 ? b : main_context);
    if (sum != kName + 0.5 * (i + 1)) trace.push_back(-1);
  }
}

}  // namespace

TEST_CASE("contexts keep their stacks and registers") {
  std::vector<char> stack_a(65536), stack_b(65536);
  prepare_context(a, stack_a.data(), stack_a.size(), count<1>);
  prepare_context(b, stack_b.data(), stack_b.size(), count<2>);
  trace.clear();
  double x = 1.25;
  for (int i = 0; i < 3; ++i) {
    switch_context(main_context, a);
    x *= 2;
  }
  CHECK(x == 10);
  CHECK(trace == std::vector<int>{100, 200, 101, 201, 102, 202});
}
