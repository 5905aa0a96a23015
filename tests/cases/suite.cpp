#include "tests/cases/suite.hpp"

#include <fmt/format.h>

#include "engine/error.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/models.hpp"
#include "tests/cases/nan.hpp"
#include "tests/cases/precision.hpp"
#include "tests/cases/shared_out.hpp"

namespace posetape {
namespace {

constexpr Index kFastSize = 2000;  // elements of a case's inputs

// The cases and models that `options` selects, before the choice of what is fast.
struct Selection {
  std::vector<std::pair<Op, std::vector<Case>>> ops;
  std::vector<ModelCase> models;
};

Selection select(const SuiteOptions& options) {
  const auto chosen = [](const std::string& wanted, const std::string& own) {
    return wanted.empty() || wanted == own;
  };
  Selection selection;
  std::vector<std::string> ops;
  std::vector<std::string> names;
  bool op_found = false;
  for (int i = 0; i < kOps; ++i) {
    const Op op = static_cast<Op>(i);
    ops.push_back(name(op));
    if (!chosen(options.op, name(op))) continue;
    op_found = true;
    std::vector<Case> some;
    for (Case& c : cases(op)) {
      names.push_back(c.name);
      c.options.seed = options.seed;
      c.options.device = options.device;
      if (chosen(options.case_name, c.name)) some.push_back(std::move(c));
    }
    if (!some.empty()) selection.ops.emplace_back(op, std::move(some));
  }
  for (const ModelCase& c : model_cases()) {
    if (ops.back() != c.model) ops.push_back(c.model);
    if (!chosen(options.op, c.model)) continue;
    op_found = true;
    names.push_back(c.name);
    if (chosen(options.case_name, c.name)) selection.models.push_back(c);
  }
  if (!op_found) fail("no op '{}'; there are {}", options.op, fmt::join(ops, ", "));
  if (selection.ops.empty() && selection.models.empty()) {
    fail("no case '{}'{}; there are {}", options.case_name,
         options.op.empty() ? std::string() : " of " + options.op, fmt::join(names, ", "));
  }
  return selection;
}

SuiteRow row_of(Op op, const Case& c) {
  SuiteRow row;
  row.op = name(op);
  row.case_name = c.name;
  row.dtype = "f64";
  row.device = name(c.options.device);
  return row;
}

SuiteRow row_of(Op op, const Case& c, const NanFinding& f) {
  SuiteRow row = row_of(op, c);
  row.input = f.input;
  row.check = "structure/nan";
  row.verdict = f.note.empty() ? Verdict::agree : Verdict::disagree;
  row.note = f.note;
  row.passed = f.note.empty();
  return row;
}

SuiteRow row_of(Op op, const Case& c, const Finding& f) {
  SuiteRow row = row_of(op, c);
  row.input = f.input;
  row.check = name(f.oracle);
  row.verdict = f.verdict;
  row.error = f.error;
  row.trust = f.trust;
  row.analytic = f.analytic;
  row.oracle = f.numeric;
  row.seconds = f.seconds;
  row.where = f.where;
  row.note = f.note.empty() ? c.options.reason : f.note;
  row.passed = f.passed;
  return row;
}

void check_op(Op op, std::vector<Case>& some, const SuiteOptions& options,
              const std::function<void(SuiteRow)>& put) {
  if (options.fast) std::erase_if(some, [](const Case& c) { return input_size(c) > kFastSize; });
  for (const Case& c : some) {
    try {
      GradcheckOptions own = c.options;
      own.without.push_back(Oracle::sizes);  // the cases of an op have sizes of their own
      for (const Finding& f : gradcheck(c.f, c.inputs, own).findings) put(row_of(op, c, f));
      if (options.device != Device::cpu) continue;
      for (const NanFinding& f : check_nan(c)) put(row_of(op, c, f));
    } catch (const Error& error) {
      SuiteRow row = row_of(op, c);
      row.check = "runs";
      row.verdict = Verdict::disagree;
      row.note = error.what();
      put(std::move(row));
    }
  }
  const bool all = options.case_name.empty() && !options.fast;
  for (SuiteRow& row : check_precision(op, some, all, options.device)) put(std::move(row));
}

}  // namespace

std::vector<std::pair<Op, std::vector<Case>>> selected_cases(const SuiteOptions& options) {
  return select(options).ops;
}

std::vector<std::pair<std::string, std::string>> list_cases(const SuiteOptions& options) {
  std::vector<std::pair<std::string, std::string>> list;
  const Selection selection = select(options);
  for (const auto& [op, some] : selection.ops) {
    for (const Case& c : some) list.emplace_back(name(op), c.name);
  }
  for (const ModelCase& c : selection.models) list.emplace_back(c.model, c.name);
  return list;
}

std::vector<SuiteRow> run_suite(const SuiteOptions& options) {
  Selection selection = select(options);
  const std::size_t ops = selection.ops.size();
  return shared_out<SuiteRow>(ops + selection.models.size(), [&](std::size_t number) {
    std::vector<SuiteRow> rows;
    const auto put = [&](SuiteRow row) {
      if (options.on_row) options.on_row(row);
      rows.push_back(std::move(row));
    };
    if (number < ops) {
      auto& [op, some] = selection.ops[number];
      check_op(op, some, options, put);
    } else {
      for (SuiteRow& row : check_model(selection.models[number - ops], options)) {
        put(std::move(row));
      }
    }
    return rows;
  });
}

std::string rerun_command(const SuiteRow& row, std::uint64_t seed) {
  return fmt::format("posetape gradcheck --op {} --case {} --seed {}", row.op, row.case_name, seed);
}

}  // namespace posetape
