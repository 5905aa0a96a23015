#include "tests/engine/finite_watch.hpp"

using namespace posetape;

TEST_CASE("cuda: a step with a number that is not finite is named, and moves nothing") {
  for (const test::Spoiled& s : test::spoiled()) test::check_spoiled(s, Device::cuda);
}
