// The gradient-check suite over all ops and networks: what `posetape gradcheck` and the tests run.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/gradcheck.hpp"
#include "engine/op.hpp"

namespace posetape {

// One line of the report: what one check said of one input of one case.
struct SuiteRow {
  std::string op;
  std::string case_name;
  int input = 0;  // the gradient of this one is checked; -1: the values
  // The name of an oracle or claim ("structure/alone", ...), "structure/nan", "ulp" or "covered".
  std::string check;
  std::string dtype;   // of the tensors: "f64", "f32", "bf16"
  std::string device;  // "cpu", "cuda"
  Verdict verdict{};
  double error = 0;     // worst: relative to the gradient's scale; in ULP where check is "ulp"
  double trust = 0;     // the oracle's own error, in the same unit
  double analytic = 0;  // both at the worst place, where the check compares two numbers
  double oracle = 0;
  double seconds = 0;
  std::string where;  // the worst place
  std::string note;   // why it was skipped, why it is looser, what differed
  bool passed = false;
};

// Calls f with all that it holds.
template <class F>
void each_field(SuiteRow& r, F&& f) {
  f(r.op), f(r.case_name), f(r.input), f(r.check), f(r.dtype), f(r.device), f(r.verdict);
  f(r.error), f(r.trust), f(r.analytic), f(r.oracle), f(r.seconds);
  f(r.where), f(r.note), f(r.passed);
}

struct SuiteOptions {
  std::uint64_t seed = 1;
  // Of the values and gradients. Claims of structure and coverage are checked on the CPU alone.
  Device device = Device::cpu;
  std::string op;         // only this op, or "model:<name>"; empty: all
  std::string case_name;  // only this case; empty: all
  // Only what takes seconds: the small cases.
  bool fast = false;
  // Called after each row, for a progress line.
  std::function<void(const SuiteRow&)> on_row;
};

// The ops that `options` selects with their cases, all sizes; throws where nothing is selected.
std::vector<std::pair<Op, std::vector<Case>>> selected_cases(const SuiteOptions& options);

// The cases that `options` selects, as (op, name). Throws where an op or a case is unknown, naming
// those that exist.
std::vector<std::pair<std::string, std::string>> list_cases(const SuiteOptions& options);

// Runs them. The order of the rows is the order of the list of ops, cases and inputs. Several ranks
// (engine/ranks/ranks.hpp) share out the ops; on_row is called with a rank's own.
std::vector<SuiteRow> run_suite(const SuiteOptions& options);

// The command that reruns a row.
std::string rerun_command(const SuiteRow& row, std::uint64_t seed);

}  // namespace posetape
