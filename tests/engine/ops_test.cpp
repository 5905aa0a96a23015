// The whole gradient-check suite over all ops, and the suite itself put to the test.
#include <doctest/doctest.h>

#include <set>

#include "tests/cases/cases.hpp"
#include "tests/cases/mutants.hpp"
#include "tests/cases/precision.hpp"
#include "tests/cases/suite.hpp"

using namespace posetape;

TEST_CASE("every op passes every check of the suite") {
  std::set<std::string> ops;
  const std::vector<SuiteRow> rows = run_suite({});
  bool precise = true;
  for (const SuiteRow& row : rows) {
    ops.insert(row.op);
    precise = precise && (row.check != "ulp" || row.passed);
    CHECK_MESSAGE(row.passed, row.op, "/", row.case_name, " input ", row.input, ": ", row.check,
                  " ", std::string(name(row.verdict)), ", error ", row.error, " ", row.where, " ",
                  row.note, " (", rerun_command(row, 1), ")");
  }
  CHECK(ops.size() > std::size_t{kOps});  // and the networks
  CHECK_MESSAGE(precise, "if the change is meant, these lines belong into tests/cases:\n",
                precision_lines(rows));
}

TEST_CASE("the suite notices every error planted in a backward rule") {
  int killed = 0;
  for (const Mutant& m : run_mutants({})) {
    CHECK_MESSAGE(m.killed() == m.equivalent.empty(), m.op, " input ", m.input, ": ",
                  std::string(name(m.mutation)),
                  m.killed() ? " is proven to be no error, but noticed by " : " survives",
                  m.by_exact, m.by_differences, m.by_twice);
    killed += m.killed() ? 1 : 0;
  }
  // Each op has at least an error of each general kind.
  CHECK(killed > 5 * kOps);
  MESSAGE(killed, " mutants killed");
}
