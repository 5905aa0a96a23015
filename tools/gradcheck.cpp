// posetape gradcheck: every gradient against independent oracles.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>

#include "engine/atomic_file.hpp"
#include "engine/error.hpp"
#include "kernels/base/dispatch.hpp"
#include "kernels/base/parallel.hpp"
#include "tests/cases/suite.hpp"
#include "tools/commands.hpp"
#include "tools/files.hpp"
#include "tools/fuzz_report.hpp"
#include "tools/gradcheck_html.hpp"
#include "tools/gradcheck_report.hpp"
#include "tools/progress.hpp"
#include "tools/terminal.hpp"

namespace posetape::tools {
namespace {

struct Options {
  Common common;
  SuiteOptions suite;
  bool list = false;
  bool mutants = false;
  std::int64_t fuzz = 0;
  bool quiet = false;
  std::string json;
  std::string html;
};

using Names = std::vector<std::pair<std::string, std::string>>;

// The command that does the same again, for the page's header.
std::string command_of(const Options& options) {
  std::string text = "posetape gradcheck";
  if (!options.suite.op.empty()) text += " --op " + options.suite.op;
  if (!options.suite.case_name.empty()) text += " --case " + options.suite.case_name;
  text += fmt::format(" --seed {}", options.common.seed);
  if (options.suite.fast) text += " --fast";
  if (options.common.device != Device::cpu)
    text += std::string(" --device ") + name(options.common.device);
  return text;
}

SuiteRun run_with_progress(const Options& options, const Names& names) {
  SuiteRun run;
  run.seed = options.common.seed;
  run.device = name(options.common.device);
  run.isa = name(cpu_isa());
  run.threads = threads();
  run.fast = options.suite.fast;
  run.command = command_of(options);

  std::optional<Progress> progress;
  if (!options.quiet) progress.emplace("gradcheck", "cases", static_cast<double>(names.size()));
  std::size_t failed = 0;
  SuiteOptions suite = options.suite;
  suite.seed = options.common.seed;
  suite.device = options.common.device;
  suite.on_row = [&](const SuiteRow& row) {
    failed += outcome(row) == Outcome::failed ? 1 : 0;
    if (!progress) return;
    // Rows of what is not in the list, such as whole models, come after all that is.
    const auto at = std::find(names.begin(), names.end(), std::pair(row.op, row.case_name));
    progress->update(static_cast<double>(at - names.begin()),
                     fmt::format("{}/{}{}", row.op, row.case_name,
                                 failed > 0 ? fmt::format("  {} failed", failed) : ""));
  };
  const auto start = std::chrono::steady_clock::now();
  run.rows = run_suite(suite);
  if (options.mutants) {
    std::size_t count = 0;
    run.mutants = run_mutants(suite, [&](const Mutant& m) {
      ++count;
      if (progress) {
        progress->update(static_cast<double>(names.size()),
                         fmt::format("{} mutants, in {}", count, m.op));
      }
    });
  }
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return run;
}

// Ops that were asked for and gave no row: not checked is not the same as passed.
std::string unchecked_text(const Names& names, const SuiteRun& run) {
  std::string text;
  std::string previous;
  for (const auto& [op, unused] : names) {
    if (op == previous) continue;
    previous = op;
    const bool checked = std::any_of(run.rows.begin(), run.rows.end(),
                                     [&](const SuiteRow& row) { return row.op == op; });
    if (!checked) text += fmt::format("not checked: {}\n", op);
  }
  return text;
}

void write(const std::string& path, const std::string& text, bool quiet) {
  if (path.empty()) return;
  write_file(path, text);
  if (!quiet) fmt::print("wrote {}\n", shown(path));
}

// A name that is unknown is wrong usage.
Names known_cases(const SuiteOptions& suite) {
  try {
    return list_cases(suite);
  } catch (const Error& error) {
    throw WrongUsage(error.what());
  }
}

void fuzz_command(const Options& options) {
  FuzzOptions o;
  o.seed = options.common.seed;
  o.programs = options.fuzz;
  o.device = options.common.device;
  o.op = options.suite.op;
  std::optional<Progress> progress;
  if (!options.quiet) progress.emplace("gradcheck", "programs", static_cast<double>(o.programs));
  o.on_program = [&](std::int64_t done, std::size_t failed) {
    if (!progress) return;
    progress->update(static_cast<double>(done),
                     failed > 0 ? fmt::format("{} failed", failed) : std::string());
  };
  const FuzzReport report = fuzz(o);
  progress.reset();
  const bool colour = wants_colour(STDOUT_FILENO);
  if (!options.quiet) {
    fmt::print("{}\n{}\n", loss_table(report, colour), tally_table(report, colour));
  }
  fmt::print("{}{}", fuzz_failure_text(report, o, colour), fuzz_summary_line(report, colour));
  if (!report.passed()) throw Exit{1};
}

// Programs are drawn: there are no cases to choose from, and no rows for a file.
void check_fuzz_options(const Options& options) {
  if (options.list || options.mutants || options.suite.fast || !options.suite.case_name.empty() ||
      !options.json.empty() || !options.html.empty()) {
    throw WrongUsage("gradcheck: --fuzz goes with --op, --seed, --device, --threads and --quiet");
  }
  if (!options.suite.op.empty()) known_cases(options.suite);
  if (options.suite.op.starts_with("model:")) {
    throw WrongUsage("gradcheck: --fuzz draws calls of ops; --op " + options.suite.op + " is none");
  }
}

void gradcheck_command(const Options& options) {
  options.common.apply();
  if (options.fuzz > 0) {
    check_fuzz_options(options);
    return fuzz_command(options);
  }
  if (options.mutants && options.common.device != Device::cpu) {
    fail("gradcheck: --mutants plants errors on the CPU alone; leave --device out");
  }
  const Names names = known_cases(options.suite);
  if (options.list) {
    for (const auto& [op, name] : names) fmt::print("{}/{}\n", op, name);
    return;
  }
  const SuiteRun run = run_with_progress(options, names);
  if (run.rows.empty()) {
    fail("gradcheck: nothing was checked: the inputs are empty or constant{}",
         run.fast ? ", or large: try without --fast" : "");
  }
  const bool colour = wants_colour(STDOUT_FILENO);
  const bool single = !options.suite.op.empty() || !options.suite.case_name.empty();
  if (!options.quiet)
    fmt::print("{}\n", single ? row_table(run, colour) : group_table(run, colour));
  fmt::print("{}", failure_text(run, colour));
  if (!options.quiet) {
    fmt::print("{}{}{}", skip_text(run), unchecked_text(names, run), mutant_text(run, colour));
  }
  write(options.json, json_report(run), options.quiet);
  write(options.html, html_report(run), options.quiet);
  fmt::print("{}", summary_line(run, colour));
  // The rows have said what and where.
  if (totals(run).failed > 0 || !survivors(run).empty()) throw Exit{1};
}

}  // namespace

void add_gradcheck(const Command& app) {
  const Command command = app.add_command("gradcheck", "Gradients of all ops against four oracles");
  auto options = std::make_shared<Options>();
  options->common.add_to(command);
  command.add_option("--op", options->suite.op, "Only this op, a line for each check");
  command.add_option("--case", options->suite.case_name, "Only this case, a line for each check");
  command.add_flag("--fast", options->suite.fast, "Only small cases");
  command.add_flag("--mutants", options->mutants,
                   "Plant errors in the backward rules too, and see whether small cases notice");
  command
      .add_option("--fuzz", options->fuzz,
                  "Draw so many random programs of all ops instead, and check each")
      .positive();
  command.add_flag("--list", options->list, "Name the cases, op/case, and check nothing");
  add_output(command, "--json", options->json, "Write every row to this file too");
  add_output(command, "--html", options->html, "Write a page to look through to this file too");
  command.add_flag("--quiet", options->quiet, "Only failures and the last line");
  command.footer("Example: posetape gradcheck --op layer_norm --html report.html");
  command.runs([options] { gradcheck_command(*options); });
}

}  // namespace posetape::tools
