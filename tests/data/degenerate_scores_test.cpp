// Scores where there is nothing to align, to scale or to draw.
#include <doctest/doctest.h>

#include "data/evaluation.hpp"
#include "data/metrics.hpp"
#include "engine/error.hpp"

using namespace posetape;
using namespace posetape::data;

TEST_CASE("a truth that is one point is met by no shape: the best scale is 0") {
  Pose truth;
  Pose estimate;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    truth[i] = 0.5;
    estimate[i] = 0.1 * static_cast<double>(i % 7);
  }
  CHECK(procrustes(estimate, truth) == truth);
  CHECK(p_mpjpe(estimate, truth) == 0);
  CHECK(procrustes(truth, truth) == truth);
}

TEST_CASE("a bootstrap of no sequence is refused") {
  CHECK_THROWS_WITH_AS(bootstrap({}, {}, 1, 10), doctest::Contains("found 0 and 0"), Error);
}
