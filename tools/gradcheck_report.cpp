#include "tools/gradcheck_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "data/text_table.hpp"

namespace posetape::tools {

std::string painted(const std::string& text, const char* code, bool colour) {
  return colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
}

namespace {

// How bad a verdict is. Not agree: an input all of whose checks but one were skipped is checked.
int severity(const SuiteRow& row) {
  switch (row.verdict) {
    case Verdict::skipped:
      return 0;
    case Verdict::agree:
      return 1;
    case Verdict::unresolved:
      return 2;
    case Verdict::vacuous:
      return 3;
    case Verdict::disagree:
      return 4;
  }
  return 5;
}

bool worse(const SuiteRow& a, const SuiteRow& b) {
  if (a.passed != b.passed) return b.passed;
  if (severity(a) != severity(b)) return severity(a) > severity(b);
  return std::isnan(a.error) ? !std::isnan(b.error) : a.error > b.error;
}

// Red: failed. Green: agrees. Yellow: passed, but tells less.
std::string painted(const std::string& text, const SuiteRow& row, bool colour) {
  const char* code = !row.passed ? kRed : row.verdict == Verdict::agree ? kGreen : kYellow;
  return tools::painted(text, code, colour);
}

// "structure" of "structure/alone"; each type's ULP are of another size.
std::string column_of(const SuiteRow& row) {
  if (row.check == "ulp") return row.check + " " + row.dtype;
  return row.check.substr(0, row.check.find('/'));
}

std::string place(const SuiteRow& row) {
  const std::string what = row.input < 0 ? "value" : fmt::format("input {}", row.input);
  return fmt::format("{}/{} {}, {} in {} on {}", row.op, row.case_name, what, row.check, row.dtype,
                     row.device);
}

}  // namespace

Outcome outcome(const SuiteRow& row) {
  if (!row.passed) return Outcome::failed;
  return row.verdict == Verdict::skipped ? Outcome::skipped : Outcome::passed;
}

Totals totals(const SuiteRun& run) {
  Totals totals;
  for (const SuiteRow& row : run.rows) {
    switch (outcome(row)) {
      case Outcome::passed:
        ++totals.passed;
        break;
      case Outcome::failed:
        ++totals.failed;
        break;
      case Outcome::skipped:
        ++totals.skipped;
        break;
    }
  }
  return totals;
}

std::vector<Group> grouped(const SuiteRun& run) {
  std::vector<Group> groups;
  for (const SuiteRow& row : run.rows) {
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) {
      return g.op == row.op && g.input == row.input;
    });
    if (group == groups.end()) group = groups.insert(group, {row.op, row.input, {}});
    group->rows.push_back(&row);
  }
  // The second input's first case may come after the first case of the third: sorted within an op.
  for (auto first = groups.begin(); first != groups.end();) {
    const auto last =
        std::find_if(first, groups.end(), [&](const Group& g) { return g.op != first->op; });
    std::stable_sort(first, last, [](const Group& a, const Group& b) { return a.input < b.input; });
    first = last;
  }
  return groups;
}

std::vector<std::string> columns(const SuiteRun& run) {
  std::vector<std::string> names;
  for (const SuiteRow& row : run.rows) {
    const std::string column = column_of(row);
    if (std::find(names.begin(), names.end(), column) == names.end()) names.push_back(column);
  }
  return names;
}

Rows rows_of(const Group& group, const std::string& column) {
  Rows rows;
  for (const SuiteRow* row : group.rows) {
    if (column_of(*row) == column) rows.push_back(row);
  }
  return rows;
}

std::string input_text(int input) {
  return input < 0 ? "value" : std::to_string(input);
}

std::vector<const Mutant*> survivors(const SuiteRun& run) {
  std::vector<const Mutant*> left;
  for (const Mutant& m : run.mutants) {
    if (!m.killed() && m.equivalent.empty()) left.push_back(&m);
  }
  return left;
}

std::size_t case_count(const Group& group) {
  std::set<std::string> names;
  for (const SuiteRow* row : group.rows) names.insert(row->case_name);
  return names.size();
}

const SuiteRow& worst(const Rows& rows) {
  return **std::min_element(rows.begin(), rows.end(),
                            [](const SuiteRow* a, const SuiteRow* b) { return worse(*a, *b); });
}

double trust(const Rows& rows) {
  double most = 0;
  for (const SuiteRow* row : rows) {
    if (row->check != "ulp" && !(row->trust <= most)) most = row->trust;
  }
  return most;
}

double seconds(const Rows& rows) {
  double sum = 0;
  for (const SuiteRow* row : rows) sum += row->seconds;
  return sum;
}

std::string error_text(const SuiteRow& row, double error) {
  if (row.check == "ulp") return fmt::format("{:.1f}", error);
  return error == 0 ? "0" : fmt::format("{:.1e}", error);
}

std::string cell_text(const SuiteRow& row) {
  if (row.verdict == Verdict::agree && row.passed) return error_text(row, row.error);
  if (row.verdict == Verdict::skipped) return name(row.verdict);
  return error_text(row, row.error) + " " + name(row.verdict);
}

std::string seconds_text(double seconds) {
  if (seconds < 1e-4) return fmt::format("{:.0f} µs", 1e6 * seconds);
  if (seconds < 0.1) return fmt::format("{:.1f} ms", 1e3 * seconds);
  return fmt::format("{:.{}f} s", seconds, seconds < 10 ? 2 : 1);
}

std::string group_table(const SuiteRun& run, bool colour) {
  const std::vector<std::string> names = columns(run);
  std::vector<std::string> header{"op", "input", "cases"};
  header.insert(header.end(), names.begin(), names.end());
  header.insert(header.end(), {"trust", "time"});
  std::vector<std::vector<std::string>> table{header};
  for (const Group& group : grouped(run)) {
    std::vector<std::string> line{group.op, input_text(group.input),
                                  std::to_string(case_count(group))};
    for (const std::string& column : names) {
      const Rows rows = rows_of(group, column);
      line.push_back(rows.empty() ? "-" : painted(cell_text(worst(rows)), worst(rows), colour));
    }
    line.push_back(fmt::format("{:.1e}", trust(group.rows)));
    line.push_back(seconds_text(seconds(group.rows)));
    table.push_back(std::move(line));
  }
  return data::text_table(table);
}

std::string row_table(const SuiteRun& run, bool colour) {
  std::vector<std::vector<std::string>> table{{"op", "case", "input", "dtype", "device", "check",
                                               "verdict", "worst error", "trust", "time"}};
  for (const SuiteRow& row : run.rows) {
    const bool measured = row.verdict != Verdict::skipped;
    table.push_back({row.op, row.case_name, input_text(row.input), row.dtype, row.device, row.check,
                     painted(name(row.verdict), row, colour),
                     measured ? error_text(row, row.error) : "-",
                     measured ? error_text(row, row.trust) : "-", seconds_text(row.seconds)});
  }
  return data::text_table(table, 7);
}

std::string failure_text(const SuiteRun& run, bool colour) {
  std::string text;
  std::string rerun;
  // Failures of one case share the line that reruns them, below the last.
  const auto put_rerun = [&](const std::string& next) {
    if (!rerun.empty() && rerun != next) text += fmt::format("  rerun: {}\n", rerun);
    rerun = next;
  };
  for (const SuiteRow& row : run.rows) {
    if (outcome(row) != Outcome::failed) continue;
    put_rerun(rerun_command(row, run.seed));
    text +=
        fmt::format("{} {}: {}", painted("FAILED", kRed, colour), place(row), name(row.verdict));
    if (row.verdict != Verdict::skipped) {
      if (!row.where.empty()) text += " at " + row.where;
      text += ", error " + error_text(row, row.error);
      if (row.trust != 0) text += fmt::format(" (oracle's own {})", error_text(row, row.trust));
      if (row.analytic != row.oracle) {
        text += fmt::format(": analytic {:.12g}, oracle {:.12g}", row.analytic, row.oracle);
      }
    }
    text += '\n';
    if (!row.note.empty()) text += fmt::format("  note:  {}\n", row.note);
  }
  put_rerun({});
  return text;
}

std::string skip_text(const SuiteRun& run) {
  std::vector<std::pair<std::string, Rows>> reasons;
  for (const SuiteRow& row : run.rows) {
    if (outcome(row) != Outcome::skipped) continue;
    const std::string reason = row.note.empty() ? "no reason given" : row.note;
    auto entry = std::find_if(reasons.begin(), reasons.end(),
                              [&](const auto& r) { return r.first == reason; });
    if (entry == reasons.end()) entry = reasons.insert(entry, {reason, {}});
    entry->second.push_back(&row);
  }
  std::string text;
  for (const auto& [reason, rows] : reasons) {
    const std::string more =
        rows.size() > 1 ? fmt::format(" and {} more", rows.size() - 1) : std::string();
    text += fmt::format("skipped {}{}: {}\n", place(*rows[0]), more, reason);
  }
  return text;
}

std::string summary_line(const SuiteRun& run, bool colour) {
  const Totals t = totals(run);
  const auto part = [&](std::size_t count, const char* what, const char* code) {
    return painted(fmt::format("{} {}", count, what), code, colour && count > 0);
  };
  return fmt::format("{} rows: {}, {}, {}; {}\n", run.rows.size(), part(t.passed, "agreed", kGreen),
                     part(t.failed, "failed", kRed), part(t.skipped, "skipped", kYellow),
                     seconds_text(run.seconds));
}

std::string mutant_text(const SuiteRun& run, bool colour) {
  if (run.mutants.empty()) return {};
  struct Count {
    std::string op;
    std::size_t mutants = 0, killed = 0, differences = 0, exact = 0, twice = 0, equivalent = 0;
  };
  std::vector<Count> counts;
  for (const Mutant& m : run.mutants) {
    if (counts.empty() || counts.back().op != m.op) counts.push_back({m.op});
    Count& c = counts.back();
    ++c.mutants;
    c.killed += m.killed() ? 1 : 0;
    c.differences += m.by_differences.empty() ? 0 : 1;
    c.exact += m.by_exact.empty() ? 0 : 1;
    c.twice += m.by_twice.empty() ? 0 : 1;
    c.equivalent += m.equivalent.empty() ? 0 : 1;
  }
  std::vector<std::vector<std::string>> table{{"op", "mutants", "killed", "by differences",
                                               "by adjoint", "by two uses", "no errors",
                                               "survivors"}};
  Count all{"all"};
  const auto put = [&](const Count& c) {
    const std::size_t left = c.mutants - c.killed - c.equivalent;
    table.push_back({c.op, std::to_string(c.mutants), std::to_string(c.killed),
                     std::to_string(c.differences), std::to_string(c.exact),
                     std::to_string(c.twice), std::to_string(c.equivalent),
                     painted(std::to_string(left), kRed, colour && left > 0)});
  };
  for (const Count& c : counts) {
    put(c);
    all.mutants += c.mutants;
    all.killed += c.killed;
    all.differences += c.differences;
    all.exact += c.exact;
    all.twice += c.twice;
    all.equivalent += c.equivalent;
  }
  put(all);
  std::string text = data::text_table(table) + "\n";
  for (const Mutant& m : run.mutants) {
    if (m.equivalent.empty()) continue;
    text += fmt::format("no error: {} input {}, {}: {}\n", m.op, m.input, name(m.mutation),
                        m.equivalent);
  }
  for (const Mutant* m : survivors(run)) {
    text += fmt::format("{} {} input {}, {}\n", painted("SURVIVED", kRed, colour), m->op, m->input,
                        name(m->mutation));
  }
  return text;
}

std::string json_report(const SuiteRun& run) {
  const Totals t = totals(run);
  nlohmann::ordered_json json{{"format", "posetape gradcheck 1"},
                              {"seed", run.seed},
                              {"device", run.device},
                              {"isa", run.isa},
                              {"threads", run.threads},
                              {"fast", run.fast},
                              {"passed", t.passed},
                              {"failed", t.failed},
                              {"skipped", t.skipped},
                              {"seconds", run.seconds},
                              {"rows", nlohmann::ordered_json::array()}};
  for (const SuiteRow& row : run.rows) {
    json["rows"].push_back({{"op", row.op},
                            {"case", row.case_name},
                            {"input", row.input},
                            {"check", row.check},
                            {"dtype", row.dtype},
                            {"device", row.device},
                            {"verdict", name(row.verdict)},
                            {"passed", row.passed},
                            {"error", row.error},
                            {"trust", row.trust},
                            {"analytic", row.analytic},
                            {"oracle", row.oracle},
                            {"seconds", row.seconds},
                            {"where", row.where},
                            {"note", row.note},
                            {"rerun", rerun_command(row, run.seed)}});
  }
  for (const Mutant& m : run.mutants) {
    json["mutants"].push_back({{"op", m.op},
                               {"input", m.input},
                               {"mutation", name(m.mutation)},
                               {"killed", m.killed()},
                               {"by_differences", m.by_differences},
                               {"by_adjoint", m.by_exact},
                               {"by_two_uses", m.by_twice},
                               {"proof_of_equivalence", m.equivalent}});
  }
  // Messages of errors may hold any bytes. A number that is not finite becomes null.
  using Json = nlohmann::ordered_json;
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace posetape::tools
