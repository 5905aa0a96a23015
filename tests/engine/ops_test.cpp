// Every op's cases against finite differences.
#include <doctest/doctest.h>

#include "tests/cases/cases.hpp"

using namespace posetape;

TEST_CASE("gradients of every op agree with finite differences") {
  for (int i = 0; i < kOps; ++i) {
    const Op op = static_cast<Op>(i);
    const std::vector<Case> all = cases(op);
    CHECK_MESSAGE(!all.empty(), std::string(name(op)), " has no cases");
    for (const Case& c : all) {
      const GradcheckReport report = gradcheck(c.f, c.inputs, c.options);
      CHECK_MESSAGE(report.passed(), std::string(name(op)), "/", c.name, ": ", report.failures());
    }
  }
}
