#include "tools/gradcheck_html.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace posetape::tools {
namespace {

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

// Class of the colour: failed, agree, or passed but tells less.
const char* colour(const SuiteRow& row) {
  if (!row.passed) return "bad";
  return row.verdict == Verdict::agree ? "good" : "less";
}

// The error with a mark unless it agrees: a table of ten checks has no room for the word.
std::string marked(const SuiteRow& row) {
  const char* mark = !row.passed ? " ✗" : row.verdict == Verdict::agree ? "" : " ?";
  return fmt::format("<span class=\"{}\" title=\"{}\">{}{}</span>", colour(row), name(row.verdict),
                     row.verdict == Verdict::skipped ? "skipped" : error_text(row, row.error),
                     mark);
}

// What a column of errors is sorted by: failures first, then the larger error.
std::string sort_key(const SuiteRow& row) {
  const double error = std::isfinite(row.error) ? row.error : 1e300;
  return fmt::format("{:.6e}", row.passed ? error : error + 1e200);
}

std::string cell(const std::string& label, const std::string& key, const std::string& html,
                 const char* classes = "") {
  return fmt::format("<td data-label=\"{}\" data-key=\"{}\" class=\"{}\">{}</td>", escaped(label),
                     escaped(key), classes, html);
}

// ---- Histogram ----

// A bar for exact zeros, then one for each decade from 1e-18; the last one has all from 1 on, and
// what is no number.
constexpr int kLowest = -18;
constexpr int kBars = 2 - kLowest;
constexpr int kBarWidth = 8;
constexpr int kHeight = 26;

int bar_of(double error) {
  if (error == 0) return 0;
  if (!std::isfinite(error)) return kBars - 1;
  return 1 + std::clamp(static_cast<int>(std::floor(std::log10(error))), kLowest, 0) - kLowest;
}

std::string bar_name(int bar) {
  if (bar == 0) return "exactly 0";
  if (bar == kBars - 1) return "1 and more";
  return fmt::format("from 1e{} to 1e{}", kLowest + bar - 1, kLowest + bar);
}

std::string rectangle(int bar, double bottom, double height, const char* classes) {
  return fmt::format("<rect class=\"{}\" x=\"{}\" y=\"{:.1f}\" width=\"{}\" height=\"{:.1f}\"/>",
                     classes, bar * kBarWidth, bottom - height, kBarWidth - 1, height);
}

// Errors in ULP have another unit and are left out, and so are rows without an error.
std::string histogram(const Rows& rows) {
  std::array<int, kBars> passed{};
  std::array<int, kBars> failed{};
  for (const SuiteRow* row : rows) {
    if (row->check == "ulp" || row->verdict == Verdict::skipped) continue;
    ++(row->passed ? passed : failed)[static_cast<std::size_t>(bar_of(row->error))];
  }
  int most = 1;
  for (std::size_t b = 0; b < kBars; ++b) most = std::max(most, passed[b] + failed[b]);
  std::string bars;
  std::string told;
  for (std::size_t b = 0; b < kBars; ++b) {
    const int count = passed[b] + failed[b];
    if (count == 0) continue;
    const int bar = static_cast<int>(b);
    // A single row shows, however many there are elsewhere.
    const double unit = (kHeight - 3.0) / most;
    const double low = failed[b] > 0 ? std::max(2.0, unit * failed[b]) : 0;
    const double high = passed[b] > 0 ? std::max(2.0, unit * passed[b]) : 0;
    told += fmt::format("{}{} rows {}", told.empty() ? "" : ", ", count, bar_name(bar));
    bars += fmt::format("<g><title>{} rows: error {}</title>{}{}</g>", count, bar_name(bar),
                        rectangle(bar, kHeight, low, "bad"),
                        rectangle(bar, kHeight - low, high, "good"));
  }
  const int width = kBars * kBarWidth;
  return fmt::format(
      "<svg role=\"img\" aria-label=\"{}\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\">"
      "<path class=\"axis\" d=\"M0 {}H{}\"/>{}</svg>",
      told.empty() ? "no errors" : told, width, kHeight + 2, width, kHeight + 2, kHeight + 1, width,
      bars);
}

// The axis of all histograms, for the header.
std::string histogram_axis() {
  std::string labels;
  for (const auto& [bar, text] : {std::pair(0, "0"), std::pair(1 - kLowest - 15, "1e-15"),
                                  std::pair(1 - kLowest - 10, "1e-10"),
                                  std::pair(1 - kLowest - 5, "1e-5"), std::pair(kBars - 1, "1")}) {
    labels += fmt::format("<text x=\"{}\" y=\"10\" text-anchor=\"middle\">{}</text>",
                          bar * kBarWidth + kBarWidth / 2, text);
  }
  return fmt::format(
      "<svg aria-hidden=\"true\" width=\"{0}\" height=\"12\" viewBox=\"0 0 {0} 12\">"
      "{1}</svg>",
      kBars * kBarWidth, labels);
}

// ---- Table ----

std::string heading(const std::string& label, const char* classes = "",
                    const std::string& more = {}) {
  return fmt::format(
      "<th scope=\"col\" class=\"{}\"><button type=\"button\" class=\"sort\">{}</button>{}</th>",
      classes, escaped(label), more);
}

// The single rows of a group, those of a case together below the command that reruns them.
std::string details(const SuiteRun& run, const Group& group) {
  std::string text =
      "<table class=\"rows\"><thead><tr><th class=\"words\">check</th><th "
      "class=\"words\">dtype</th><th class=\"words\">device</th><th class=\"words\">verdict</th>"
      "<th>error</th><th>trust</th><th>time</th><th class=\"words\">worst place, note</th></tr>"
      "</thead><tbody>";
  std::string previous;
  for (const SuiteRow* row : group.rows) {
    const std::string rerun = rerun_command(*row, run.seed);
    if (const std::string title = row->case_name + "\n" + rerun; title != previous) {
      text += fmt::format(
          "<tr class=\"case\"><th colspan=\"8\" scope=\"rowgroup\"><span>{}</span> <code>{}</code> "
          "<button type=\"button\" class=\"copy\">Copy</button></th></tr>",
          escaped(row->case_name), escaped(rerun));
      previous = title;
    }
    const bool measured = row->verdict != Verdict::skipped;
    std::string place = row->where;
    if (!row->note.empty()) place += (place.empty() ? "" : ": ") + row->note;
    const auto put = [&](const char* label, const std::string& value, const char* classes) {
      text +=
          fmt::format("<td data-label=\"{}\" class=\"{}\">{}</td>", label, classes, escaped(value));
    };
    text += "<tr>";
    put("check", row->check, "words");
    put("dtype", row->dtype, "words");
    put("device", row->device, "words");
    text += fmt::format(
        "<td data-label=\"verdict\" class=\"words\"><span class=\"badge {}\">{}"
        "</span></td>",
        colour(*row), name(row->verdict));
    put("error", measured ? error_text(*row, row->error) : "", "number");
    put("trust", measured ? error_text(*row, row->trust) : "", "number");
    put("time", seconds_text(row->seconds), "number");
    put("worst place, note", place, "words place");
    text += "</tr>";
  }
  return text + "</tbody></table>";
}

std::string group_rows(const SuiteRun& run, const Group& group,
                       const std::vector<std::string>& names, std::size_t number) {
  const SuiteRow& stands = worst(group.rows);
  std::string words = group.op;
  std::string verdicts;
  for (const SuiteRow* row : group.rows) {
    if (words.find(' ' + row->case_name) == std::string::npos) words += ' ' + row->case_name;
    const std::string verdict = ' ' + std::string(name(row->verdict));
    if (verdicts.find(verdict) == std::string::npos) verdicts += verdict;
    if (!row->passed && verdicts.find("failed") == std::string::npos) verdicts += " failed";
  }
  std::string text = fmt::format(
      "<tbody class=\"group\" data-text=\"{}\" data-verdicts=\"{}\"><tr>"
      "<th scope=\"row\" data-key=\"{}\"><button type=\"button\" class=\"open\" "
      "aria-expanded=\"false\" aria-controls=\"rows{}\">{}</button></th>",
      escaped(words), escaped(verdicts.substr(1)), escaped(group.op), number, escaped(group.op));
  const std::string cases = std::to_string(case_count(group));
  text += cell("input", std::to_string(group.input), input_text(group.input), "number");
  text += cell("cases", cases, cases, "number");
  text +=
      cell("verdict", fmt::format("{}{}", stands.passed ? 1 : 0, name(stands.verdict)),
           fmt::format("<span class=\"badge {}\">{}</span>", colour(stands), name(stands.verdict)),
           "words");
  text += cell("errors", sort_key(stands), histogram(group.rows), "chart");
  for (const std::string& column : names) {
    const Rows rows = rows_of(group, column);
    text += rows.empty() ? cell(column, "-1", "–", "number none")
                         : cell(column, sort_key(worst(rows)), marked(worst(rows)), "number");
  }
  text += cell("trust", fmt::format("{:.6e}", trust(group.rows)),
               fmt::format("{:.1e}", trust(group.rows)), "number");
  text += cell("time", fmt::format("{:.6e}", seconds(group.rows)),
               seconds_text(seconds(group.rows)), "number");
  return text + fmt::format(
                    "</tr><tr class=\"details\" id=\"rows{}\" hidden><td colspan=\"{}\">{}</td>"
                    "</tr></tbody>\n",
                    number, names.size() + 7, details(run, group));
}

std::string tile(const std::string& value, const char* what, const char* classes) {
  return fmt::format("<div class=\"{}\"><dt>{}</dt><dd>{}</dd></div>", classes, what, value);
}

std::string header(const SuiteRun& run) {
  const Totals t = totals(run);
  return fmt::format(
      "<header><h1>Gradient check: <span class=\"{}\">{}</span></h1>\n<dl class=\"tiles\">{}{}{}{}"
      "{}</dl>\n<p>Made by <code>{}</code> <button type=\"button\" class=\"copy\">Copy</button> on "
      "{} ({}, {} threads).</p></header>\n",
      t.failed > 0 ? "bad" : "good",
      t.failed > 0 ? fmt::format("{} of {} rows failed", t.failed, run.rows.size()) : "all passed",
      tile(std::to_string(run.rows.size()), "rows", ""),
      tile(std::to_string(t.passed), "agreed", t.passed > 0 ? "good" : ""),
      tile(std::to_string(t.failed), "failed", t.failed > 0 ? "bad" : ""),
      tile(std::to_string(t.skipped), "skipped", t.skipped > 0 ? "less" : ""),
      tile(seconds_text(run.seconds), "time", ""), escaped(run.command), escaped(run.device),
      escaped(run.isa), run.threads);
}

const char* const kLegend =
    "<details class=\"legend\"><summary>What the columns and verdicts mean</summary><dl>"
    "<dt>errors of the checks</dt><dd>The worst over all cases, relative to the largest entry of "
    "the input's gradient; under ulp, in units of the last place. ✗: failed; ?: passed, but tells "
    "less.</dd>"
    "<dt>trust</dt><dd>The oracle's own error, in the same unit: nothing smaller is told apart."
    "</dd><dt>agree</dt><dd>Equal within the tolerance and the oracle's own error.</dd>"
    "<dt>disagree</dt><dd>They differ by more.</dd>"
    "<dt>unresolved</dt><dd>The oracle's own error is too large to tell: a failure, unless a kink "
    "is declared near the input.</dd>"
    "<dt>vacuous</dt><dd>The gradient is so small that a rule of zeros would pass: a failure, "
    "unless declared.</dd>"
    "<dt>skipped</dt><dd>It could not run; the note says why.</dd></dl></details>\n";

std::string controls(const SuiteRun& run) {
  std::vector<std::string> verdicts;
  for (const SuiteRow& row : run.rows) {
    const std::string verdict = name(row.verdict);
    if (std::find(verdicts.begin(), verdicts.end(), verdict) == verdicts.end()) {
      verdicts.push_back(verdict);
    }
  }
  std::string options = "<option value=\"\">all</option><option value=\"failed\">failed</option>";
  for (const std::string& verdict : verdicts) {
    options += fmt::format("<option value=\"{0}\">has {0}</option>", verdict);
  }
  return fmt::format(
      "<form class=\"controls\"><label>Op or case <input type=\"search\" id=\"text\" "
      "placeholder=\"layer_norm\"></label><label>Verdict <select id=\"verdict\">{}</select></label>"
      "<output id=\"shown\" aria-live=\"polite\"></output></form>\n",
      options);
}

}  // namespace

std::string html_report(const SuiteRun& run) {
  const std::vector<std::string> names = columns(run);
  std::string page = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n<title>posetape gradcheck: {}</title>\n"
      "<style>{}</style></head><body>\n{}<main>\n{}{}",
      totals(run).failed > 0 ? "failed" : "passed", kPageStyle, header(run), kLegend,
      controls(run));
  page +=
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Ops and inputs\">"
      "<table id=\"groups\"><thead><tr>" +
      heading("op", "words") + heading("input") + heading("cases") + heading("verdict", "words") +
      heading("errors (log scale)", "chart", histogram_axis());
  for (const std::string& column : names) page += heading(column);
  page += heading("trust") + heading("time") + "</tr></thead>\n";
  std::size_t number = 0;
  for (const Group& group : grouped(run)) page += group_rows(run, group, names, number++);
  page += "</table></div>\n";
  if (!run.mutants.empty()) {
    page += "<h2>Errors planted in the backward rules</h2>\n<pre>" +
            escaped(mutant_text(run, /*colour=*/false)) + "</pre>\n";
  }
  return page + fmt::format("</main>\n<script>{}</script></body></html>\n", kPageScript);
}

}  // namespace posetape::tools
