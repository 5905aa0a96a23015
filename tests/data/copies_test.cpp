#include "data/copies.hpp"

#include <doctest/doctest.h>

using namespace posetape::data;

TEST_CASE("copies of what trains are found under other names, and nothing else is") {
  const auto sequence = [](const char* name, float first) {
    Sequence s;
    s.name = name;
    s.pose_2d = {2, std::vector<float>(2 * 17 * 2, 0.5F)};
    s.pose_2d.values[7] = first;
    return s;
  };
  Dataset dataset;
  dataset.sequences = {sequence("S1/a/0", 1),
                       sequence("S1/b/0", 2),
                       sequence("S2/a/0", 3),
                       sequence("S2/c/0", 2),
                       sequence("S3/a/0", 1),
                       {},
                       {}};
  const std::vector<Copy> found = copies(dataset, std::vector{0, 1, 5});
  REQUIRE(found.size() == 2);
  CHECK(found[0].sequence == 3);
  CHECK(found[0].of == 1);
  CHECK(found[1].sequence == 4);
  CHECK(found[1].of == 0);
  // The same sequences on both sides are no copies: split() says so.
  CHECK(copies(dataset, std::vector{0, 1, 2, 3, 4}).empty());
}
