#include "tools/fuzz_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "data/text_table.hpp"
#include "tools/gradcheck_report.hpp"
#include "tools/terminal.hpp"

namespace posetape::tools {
namespace {

std::string count(std::int64_t n) {
  return n == 0 ? "-" : std::to_string(n);
}

// The command that draws a program again.
std::string rerun(const FuzzOptions& options, std::uint64_t seed) {
  return fmt::format("posetape gradcheck --fuzz 1 --seed {}{}{}", seed,
                     options.op.empty() ? "" : " --op " + options.op,
                     options.device == Device::cpu
                         ? std::string()
                         : fmt::format(" --device {}", name(options.device)));
}

}  // namespace

std::string loss_table(const FuzzReport& report, bool colour) {
  std::vector<std::vector<std::string>> table{
      {"op", "input", "calls", "ulp f64", "known", "ulp f32", "known", "ulp bf16", "known"}};
  std::map<std::pair<Op, int>, std::map<DType, const FuzzLoss*>> rows;
  for (const FuzzLoss& loss : report.losses) rows[{loss.op, loss.input}][loss.dtype] = &loss;
  for (const auto& [key, by_type] : rows) {
    std::vector<std::string> row{name(key.first), input_text(key.second),
                                 std::to_string(by_type.begin()->second->calls)};
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      const auto found = by_type.find(dtype);
      if (found == by_type.end()) {
        row.insert(row.end(), {"-", "-"});
        continue;
      }
      const FuzzLoss& loss = *found->second;
      row.push_back(painted(fmt::format("{:.2f}", loss.ulp), kRed, colour && !loss.passed));
      row.push_back(fmt::format("{:.1f}", loss.known));
    }
    table.push_back(std::move(row));
  }
  return data::text_table(table);
}

std::string tally_table(const FuzzReport& report, bool colour) {
  std::vector<std::vector<std::string>> table{
      {"check", "agreed", "failed", "unresolved", "vacuous"}};
  for (const FuzzTally& t : report.tallies) {
    table.push_back({t.check, count(t.agreed),
                     painted(count(t.failed), kRed, colour && t.failed > 0),
                     painted(count(t.unresolved), kYellow, colour && t.unresolved > 0),
                     painted(count(t.vacuous), kYellow, colour && t.vacuous > 0)});
  }
  return data::text_table(table);
}

std::string fuzz_failure_text(const FuzzReport& report, const FuzzOptions& options, bool colour) {
  std::string text;
  for (const FuzzFailure& f : report.failures) {
    text += fmt::format("{} program {}, {} in {} on {} ({}): {}\n", painted("FAILED", kRed, colour),
                        f.seed, f.check, f.dtype, f.device, f.isa, f.note);
    text += fmt::format("  shrunk to {} call{}; rerun: {}\n\n{}\n", f.calls,
                        f.calls == 1 ? "" : "s", rerun(options, f.seed), f.source);
  }
  for (const FuzzLoss& loss : report.losses) {
    if (loss.passed) continue;
    const std::string figure =
        loss.known < 0
            ? fmt::format("tests/cases/{}.cpp has no figure", name(loss.op))
            : fmt::format("{:.1f} expected by tests/cases/{}.cpp", loss.known, name(loss.op));
    text += fmt::format("{} {}, {} in {}: {:.1f} ULP, {}\n  rerun: {}\n",
                        painted("FAILED", kRed, colour), name(loss.op),
                        loss.input < 0 ? "value" : fmt::format("input {}", loss.input),
                        name(loss.dtype), loss.ulp, figure, rerun(options, loss.seed));
  }
  return text;
}

std::string fuzz_summary_line(const FuzzReport& report, bool colour) {
  FuzzTally all;
  for (const FuzzTally& t : report.tallies) {
    all.agreed += t.agreed;
    all.unresolved += t.unresolved;
    all.vacuous += t.vacuous;
  }
  const auto failed =
      std::ssize(report.failures) +
      std::ranges::count_if(report.losses, [](const FuzzLoss& l) { return !l.passed; });
  const auto part = [&](std::int64_t n, const char* what, const char* code) {
    return painted(fmt::format("{} {}", n, what), code, colour && n > 0);
  };
  return fmt::format("{} programs of {} calls: {}, {}, {}, {}; {}\n", report.programs, report.calls,
                     part(all.agreed, "agreed", kGreen), part(failed, "failed", kRed),
                     part(all.unresolved, "unresolved", kYellow),
                     part(all.vacuous, "vacuous", kYellow), seconds_text(report.seconds));
}

}  // namespace posetape::tools
