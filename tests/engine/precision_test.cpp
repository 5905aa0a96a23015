// What every op loses in f32 and bf16, with the kernels in use: the part of the suite in which
// instruction sets differ (one without fused multiply-add rounds twice as often).
#include <doctest/doctest.h>

#include "engine/op.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/precision.hpp"

using namespace posetape;

TEST_CASE("no op loses more than its facts say") {
  for (int i = 0; i < kOps; ++i) {
    const Op op = static_cast<Op>(i);
    for (const SuiteRow& row : check_precision(op, cases(op), true)) {
      CHECK_MESSAGE(row.passed, row.op, "/", row.case_name, " input ", row.input, ": ", row.note,
                    " at ", row.where);
    }
  }
}
