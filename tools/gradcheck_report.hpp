// What a run of the gradient-check suite says, as text for people and as JSON for programs.
// Checks, ops and types are open sets: nothing here knows their names but "ulp", whose errors have
// another unit. A check "kind/claim" shares a column with all of its kind.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/cases/mutants.hpp"
#include "tests/cases/suite.hpp"

namespace posetape::tools {

struct SuiteRun {
  std::vector<SuiteRow> rows;
  std::uint64_t seed = 1;
  std::string device;
  std::string isa;
  int threads = 0;
  bool fast = false;
  double seconds = 0;
  std::string command;          // that made it
  std::vector<Mutant> mutants;  // empty where none were asked for
};

// Mutants that nothing noticed and that are not proven to be no errors: holes in the suite.
std::vector<const Mutant*> survivors(const SuiteRun& run);

// What a row counts as; each is exactly one of these. A skipped row that was not meant to be is a
// failure: it checked nothing.
enum class Outcome { passed, failed, skipped };
Outcome outcome(const SuiteRow& row);

struct Totals {
  std::size_t passed = 0;
  std::size_t failed = 0;
  std::size_t skipped = 0;
};
Totals totals(const SuiteRun& run);

using Rows = std::vector<const SuiteRow*>;

// All rows of one input of one op, in the order in which they came.
struct Group {
  std::string op;
  int input = 0;
  Rows rows;
};
std::vector<Group> grouped(const SuiteRun& run);

// The columns of a table with a line for each group: "adjoint", "structure", "ulp f32", in the
// order in which they came.
std::vector<std::string> columns(const SuiteRun& run);
Rows rows_of(const Group& group, const std::string& column);
// "3", or "value" where it is no gradient.
std::string input_text(int input);
std::size_t case_count(const Group& group);
// The row that stands for several: one that failed before one that passed, then the worse verdict,
// then the larger error.
const SuiteRow& worst(const Rows& rows);
// The oracles' own largest error; that of "ulp" has another unit and is left out.
double trust(const Rows& rows);
double seconds(const Rows& rows);

// "1.2e-13", "0", "nan"; "0.50 ulp" where that is the unit.
std::string error_text(const SuiteRow& row, double error);
// A row's error, and its verdict unless that is "agree".
std::string cell_text(const SuiteRow& row);
std::string seconds_text(double seconds);

// With ANSI escape codes, where `colour` is true.
inline constexpr const char* kRed = "31";
inline constexpr const char* kGreen = "32";
inline constexpr const char* kYellow = "33";
std::string painted(const std::string& text, const char* code, bool colour);

// Aligned tables: a line for each op and input, or for each row. `colour`: with ANSI escape codes.
std::string group_table(const SuiteRun& run, bool colour);
std::string row_table(const SuiteRun& run, bool colour);

// Every failure in full, with the command that reruns its case; every reason why rows were skipped,
// with how many and the first; and one line of totals. Empty where there are none.
std::string failure_text(const SuiteRun& run, bool colour);
std::string skip_text(const SuiteRun& run);
std::string summary_line(const SuiteRun& run, bool colour);

// A line for each op: mutants, how many each kind of check noticed; then those that are no errors,
// with the proof, and the survivors. Empty where there are no mutants.
std::string mutant_text(const SuiteRun& run, bool colour);

// Format "posetape gradcheck 1". A number that is not finite is null; the verdict tells.
std::string json_report(const SuiteRun& run);

}  // namespace posetape::tools
