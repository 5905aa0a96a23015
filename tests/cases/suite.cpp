#include "tests/cases/suite.hpp"

#include "engine/error.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

constexpr Index kFastSize = 2000;  // elements of a case's inputs

bool is_fast(const Case& c) {
  Index size = 0;
  for (const Tensor& t : c.inputs) size += t.defined() ? t.size() : 0;
  return size <= kFastSize;
}

// Calls f(op, case) for the selected ones.
template <class F>
void each_selected(const SuiteOptions& options, const F& f) {
  std::vector<std::string> ops;
  std::vector<std::string> names;
  bool found = false;
  for (int i = 0; i < kOps; ++i) {
    const Op op = static_cast<Op>(i);
    ops.push_back(name(op));
    if (!options.op.empty() && options.op != name(op)) continue;
    for (const Case& c : cases(op)) {
      names.push_back(c.name);
      if (!options.case_name.empty() && options.case_name != c.name) continue;
      found = true;
      f(op, c);
    }
  }
  if (found) return;
  if (names.empty()) fail("no op '{}'; there are {}", options.op, fmt::join(ops, ", "));
  fail("no case '{}'{}; there are {}", options.case_name,
       options.op.empty() ? std::string() : " of " + options.op, fmt::join(names, ", "));
}

}  // namespace

std::vector<std::pair<std::string, std::string>> list_cases(const SuiteOptions& options) {
  std::vector<std::pair<std::string, std::string>> list;
  each_selected(options, [&](Op op, const Case& c) { list.emplace_back(name(op), c.name); });
  return list;
}

std::vector<SuiteRow> run_suite(const SuiteOptions& options) {
  std::vector<SuiteRow> rows;
  const auto put = [&](SuiteRow row) {
    if (options.on_row) options.on_row(row);
    rows.push_back(std::move(row));
  };
  each_selected(options, [&](Op op, Case c) {
    if (options.fast && !is_fast(c)) return;
    c.options.seed = options.seed;
    for (const Finding& f : gradcheck(c.f, c.inputs, c.options).findings) {
      SuiteRow row;
      row.op = name(op);
      row.case_name = c.name;
      row.input = f.input;
      row.check = name(f.oracle);
      row.dtype = "f64";
      row.device = "cpu";
      row.verdict = f.verdict;
      row.error = f.error;
      row.trust = f.trust;
      row.seconds = f.seconds;
      row.where = f.where;
      row.note = f.note.empty() ? c.options.reason : f.note;
      row.passed = f.passed;
      put(std::move(row));
    }
  });
  return rows;
}

std::string rerun_command(const SuiteRow& row, std::uint64_t seed) {
  return fmt::format("posetape gradcheck --op {} --case {} --seed {}", row.op, row.case_name, seed);
}

}  // namespace posetape
