#include "data/report_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "data/skeleton.hpp"
#include "data/text_table.hpp"

namespace posetape::data {
namespace {

using Json = nlohmann::ordered_json;
using Row = std::vector<std::string>;
using Rows = std::vector<Row>;

constexpr std::array kQuantiles{0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99};

std::string title(const Metric& metric) {
  return fmt::format("{} ({})", metric.title, metric.unit);
}

// ---- Numbers ----

std::string number(double value) {
  return std::isnan(value) ? "-" : fmt::format("{:.2f}", value);
}

// From base to refined, in percent of base.
double change(double base, double refined) {
  return 100 * (refined - base) / base;
}

std::string percent(double value) {
  return std::isfinite(value) ? fmt::format("{:+.2f} %", value) : "-";
}

std::string range(const Interval& interval, bool sign) {
  if (std::isnan(interval.low)) return "[-]";
  return sign ? fmt::format("[{:+.2f}, {:+.2f}]", interval.low, interval.high)
              : fmt::format("[{:.2f}, {:.2f}]", interval.low, interval.high);
}

std::string quantile_name(double q) {
  return q == 0.5 ? "median" : fmt::format("{:.0f} %", 100 * q);
}

std::string bin_name(std::size_t bin) {
  const double low = kBinWidth * static_cast<double>(bin);
  return bin + 1 == kBins ? fmt::format("from {}", low)
                          : fmt::format("{}-{}", low, low + kBinWidth);
}

std::vector<double> sorted(std::vector<double> values) {
  std::ranges::sort(values);
  return values;
}

double share(std::int64_t count, const Evaluation& evaluation) {
  return 100.0 * static_cast<double>(count) / static_cast<double>(evaluation.frames);
}

// Calls f(name, frames, scores) for each action and the average.
template <class F>
void for_actions(const Evaluation& evaluation, F f) {
  for (const ActionScores& action : evaluation.actions)
    f(action.action, action.frames, action.mean);
  f(std::string("Average"), evaluation.frames, evaluation.average);
}

// ---- Tables of text ----

// The columns of one metric: base alone, or base, refined and change.
void add_header(Row& row, const std::string& text, bool refined) {
  if (!refined) {
    row.push_back(text);
    return;
  }
  row.insert(row.end(), {text + " base", "refined", "change"});
}

void add_values(Row& row, double base, std::optional<double> refined) {
  row.push_back(number(base));
  if (refined) row.insert(row.end(), {number(*refined), percent(change(base, *refined))});
}

std::string action_table(const Comparison& c) {
  Row header{"Action", "frames"};
  add_header(header, title(kMetrics[0]), c.refined.has_value());
  add_header(header, title(kMetrics[1]), c.refined.has_value());
  Rows rows{header};
  for_actions(c.base, [&](const std::string& name, std::int64_t frames, const Scores& base) {
    const std::size_t a = rows.size() - 1;
    const Scores* refined = !c.refined                      ? nullptr
                            : a < c.refined->actions.size() ? &c.refined->actions[a].mean
                                                            : &c.refined->average;
    Row row{name, std::to_string(frames)};
    for (const Metric& metric : {kMetrics[0], kMetrics[1]}) {
      add_values(row, base.*metric.value,
                 refined ? std::optional(refined->*metric.value) : std::nullopt);
    }
    rows.push_back(row);
  });
  return text_table(rows);
}

std::string metric_table(const Comparison& c) {
  Row header{"Average over the actions"};
  add_header(header, "", c.refined.has_value());
  header[1] = "base";
  if (c.refined) header.push_back("gain, median [95 % interval]");
  Rows rows{header};
  for (std::size_t m = 0; m < kMetrics.size(); ++m) {
    const Metric& metric = kMetrics[m];
    Row row{title(metric)};
    add_values(row, c.base.average.*metric.value,
               c.refined ? std::optional(c.refined->average.*metric.value) : std::nullopt);
    if (c.refined) {
      if (!is_error(metric)) row.back() = "-";
      const Interval& gain = c.bootstrap.metrics[m].gain;
      row.push_back(m < 2 ? percent(gain.median) + " " + range(gain, true) : "-");
    }
    rows.push_back(row);
  }
  return text_table(rows);
}

// A header and the averages of all metrics with their intervals, a column for each of the poses
// and for the differences.
Rows interval_rows(std::span<const Comparison> comparisons) {
  Row header{"Average [95 % interval]", "base"};
  for (const Comparison& c : comparisons) {
    if (c.refined) header.insert(header.end(), {c.name, c.name + " - base"});
  }
  Rows rows{header};
  for (std::size_t m = 0; m < kMetrics.size(); ++m) {
    const auto value = [&](const Evaluation& e) { return e.average.*kMetrics[m].value; };
    const Comparison& first = comparisons[0];
    Row row{title(kMetrics[m]),
            number(value(first.base)) + " " + range(first.bootstrap.metrics[m].base, false)};
    for (const Comparison& c : comparisons) {
      if (!c.refined) continue;
      const MetricIntervals& intervals = c.bootstrap.metrics[m];
      const double difference = value(*c.refined) - value(c.base);
      row.push_back(number(value(*c.refined)) + " " + range(intervals.refined, false));
      row.push_back((std::isnan(difference) ? "-" : fmt::format("{:+.2f}", difference)) + " " +
                    range(intervals.difference, true));
    }
    rows.push_back(row);
  }
  return rows;
}

// A header, quantiles of the poses' MPJPE in mm, and what share of them is in each bin.
Rows distribution_rows(std::span<const Comparison> comparisons) {
  std::vector<const Evaluation*> poses{&comparisons[0].base};
  Row header{"MPJPE of a pose (mm)", "base"};
  for (const Comparison& c : comparisons) {
    if (!c.refined) continue;
    poses.push_back(&*c.refined);
    header.push_back(c.name);
  }
  std::vector<std::vector<double>> values;
  std::vector<Histogram> counts;
  for (const Evaluation* e : poses) {
    values.push_back(sorted(e->poses));
    counts.push_back(histogram(e->poses));
  }
  Rows rows{header};
  for (const double q : kQuantiles) {
    Row row{quantile_name(q)};
    for (const auto& v : values) row.push_back(number(quantile(v, q)));
    rows.push_back(row);
  }
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    if (std::ranges::all_of(counts, [&](const Histogram& h) { return h[bin] == 0; })) continue;
    Row row{bin_name(bin)};
    for (std::size_t i = 0; i < poses.size(); ++i) {
      row.push_back(fmt::format("{:.2f} %", share(counts[i][bin], *poses[i])));
    }
    rows.push_back(row);
  }
  return rows;
}

std::string joint_table(const Comparison& c) {
  Row header{"Joint"};
  add_header(header, title(kMetrics[0]), c.refined.has_value());
  Rows rows{header};
  for (std::size_t j = 0; j < kJointNames.size(); ++j) {
    Row row{std::string(kJointNames[j])};
    add_values(row, c.base.average.joints[j],
               c.refined ? std::optional(c.refined->average.joints[j]) : std::nullopt);
    rows.push_back(row);
  }
  return text_table(rows);
}

// A header, all joints and each of them, with what share of the truths their regions hold.
Rows coverage_rows(const Coverage& coverage) {
  Row header{"Truths inside of regions (%)"};
  for (const char* axis : kAxisNames) {
    for (const double share : kRegionShares) {
      header.push_back(fmt::format("{} of {:.0f}", axis, 100 * share));
    }
  }
  Rows rows{header};
  for (int joint = 0; joint < kJoints; ++joint) {
    Row row{joint == 0 ? "All" : std::string(kJointNames[static_cast<std::size_t>(joint)])};
    for (int axis = 0; axis < 2; ++axis) {
      for (int region = 0; region < 3; ++region) {
        row.push_back(fmt::format("{:.1f}", coverage.share(joint, axis, region)));
      }
    }
    rows.push_back(row);
  }
  return rows;
}

// "Standard deviations (refined_std): image plane 31.2 mm, errors 30.9 mm; depth ..."
std::string sizes_text(const Coverage& coverage) {
  std::string text;
  for (int axis = 0; axis < 2; ++axis) {
    text += fmt::format("{}{} {:.1f} mm, errors {:.1f} mm", text.empty() ? "" : "; ",
                        kAxisNames[static_cast<std::size_t>(axis)], coverage.std_mm(axis),
                        coverage.error_mm(axis));
  }
  return "Root mean squares of refined_std: " + text + "\n";
}

Json coverage_json(const Coverage& coverage) {
  Json json{{"shares", kRegionShares}};
  for (int axis = 0; axis < 2; ++axis) {
    const char* name = kAxisNames[static_cast<std::size_t>(axis)];
    json["std_mm"][name] = coverage.std_mm(axis);
    json["error_mm"][name] = coverage.error_mm(axis);
    for (int joint = 0; joint < kJoints; ++joint) {
      const std::string of = joint == 0 ? "All" : std::string(kJointNames[std::size_t(joint)]);
      for (int region = 0; region < 3; ++region) {
        json["inside_percent"][of][name].push_back(coverage.share(joint, axis, region));
      }
    }
  }
  return json;
}

// How the figures and the poses came about, one line each.
std::string made_text(const Json& made) {
  return made.is_null() ? "windows, padding and flip averaging are not recorded in the file"
                        : choices_text(made);
}

std::string choices(std::span<const Comparison> comparisons) {
  const Comparison& first = comparisons[0];
  std::string text = fmt::format("- Scored: {}.\n- base: {}.\n", choices_text(first.scoring),
                                 made_text(first.base_made));
  for (const Comparison& c : comparisons) {
    if (c.refined) text += fmt::format("- {}: {}.\n", c.name, made_text(c.refined_made));
  }
  return text + fmt::format(
                    "- Intervals by a paired bootstrap over {} clips (all cameras of a clip "
                    "together).\n",
                    first.bootstrap.clips);
}

// ---- Markdown ----

std::string markdown(const Rows& rows) {
  std::string text;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    text += fmt::format("| {} |\n", fmt::join(rows[r], " | "));
    if (r == 0) {
      text += '|';
      for (std::size_t c = 0; c < rows[0].size(); ++c) text += c == 0 ? " --- |" : " ---: |";
      text += '\n';
    }
  }
  return text;
}

Rows paper_table(std::span<const Comparison> comparisons, const Metric& metric) {
  Row header{title(metric)};
  Row base{"base"};
  for_actions(comparisons[0].base, [&](const std::string& name, std::int64_t, const Scores& s) {
    header.push_back(name);
    base.push_back(number(s.*metric.value));
  });
  Rows rows{header, base};
  for (const Comparison& c : comparisons) {
    if (!c.refined) continue;
    Row refined{c.name};
    Row drop{"drop (%)"};
    std::vector<double> before;
    for_actions(c.base, [&](const std::string&, std::int64_t, const Scores& s) {
      before.push_back(s.*metric.value);
    });
    for_actions(*c.refined, [&](const std::string&, std::int64_t, const Scores& s) {
      refined.push_back(number(s.*metric.value));
      drop.push_back(number(-change(before[drop.size() - 1], s.*metric.value)));
    });
    rows.insert(rows.end(), {refined, drop});
  }
  return rows;
}

// One row of the summary: figures, and their change against the base with its interval.
std::string summary_row(const std::string& name, const Scores& scores, const Scores& base,
                        const Bootstrap* bootstrap) {
  const auto with_change = [&](std::size_t m) {
    const double value = scores.*kMetrics[m].value;
    if (bootstrap == nullptr) return number(value);
    const Interval& gain = bootstrap->metrics[m].gain;
    const double relative = change(base.*kMetrics[m].value, value);
    const std::string changed = std::isfinite(relative) ? fmt::format("{:+.1f} %", relative) : "-";
    const std::string interval =
        std::isnan(gain.low) ? "-" : fmt::format("{:+.1f} … {:+.1f}", -gain.high, -gain.low);
    return fmt::format("{} ({}, {})", number(value), changed, interval);
  };
  return fmt::format("| {} | {} | {} | {} | {} | {} |", name, with_change(0), with_change(1),
                     number(scores.mpjve), number(scores.acceleration), number(scores.peak_speed));
}

// How many sequences have an MPJPE more than 1 % above the base's, of how many.
std::string worse_sequences(const Comparison& c) {
  const auto& base = c.base.sequences;
  const auto& refined = c.refined->sequences;
  int worse = 0;
  for (std::size_t i = 0; i < base.size(); ++i) {
    worse += refined[i].mean.mpjpe > 1.01 * base[i].mean.mpjpe ? 1 : 0;
  }
  return fmt::format("{} of {}", worse, base.size());
}

// ---- CSV ----

std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? "\"\"" : std::string(1, c);
  return result + '"';
}

std::string csv_number(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "";
}

struct Csv {
  std::string text = "poses,metric,unit,group,value,low,high,scored,made\n";
  std::string scored;

  void add(const std::string& poses, const std::string& metric, const std::string& unit,
           const std::string& group, double value, const Interval* interval,
           const std::string& made) {
    text +=
        fmt::format("{},{},{},{},{},{},{},{},{}\n", csv_text(poses), metric, unit, csv_text(group),
                    csv_number(value), interval ? csv_number(interval->low) : "",
                    interval ? csv_number(interval->high) : "", csv_text(scored), csv_text(made));
  }

  void add_poses(const std::string& poses, const Evaluation& evaluation, const Bootstrap& bootstrap,
                 Interval MetricIntervals::*interval, const std::string& made) {
    for (std::size_t m = 0; m < kMetrics.size(); ++m) {
      for_actions(evaluation, [&](const std::string& name, std::int64_t, const Scores& scores) {
        const bool average = name == "Average";
        add(poses, kMetrics[m].title, kMetrics[m].unit, name, scores.*kMetrics[m].value,
            average ? &(bootstrap.metrics[m].*interval) : nullptr, made);
      });
    }
    for (std::size_t j = 0; j < kJointNames.size(); ++j) {
      add(poses, kMetrics[0].title, kMetrics[0].unit, std::string(kJointNames[j]),
          evaluation.average.joints[j], nullptr, made);
    }
    const std::vector<double> values = sorted(evaluation.poses);
    for (const double q : kQuantiles) {
      add(poses, "MPJPE of a pose", "mm", quantile_name(q), quantile(values, q), nullptr, made);
    }
    const Histogram counts = histogram(evaluation.poses);
    for (std::size_t bin = 0; bin < kBins; ++bin) {
      add(poses, "MPJPE of a pose", "% of poses", bin_name(bin), share(counts[bin], evaluation),
          nullptr, made);
    }
  }

  void add_coverage(const std::string& poses, const Coverage& coverage, const std::string& made) {
    const Rows rows = coverage_rows(coverage);
    for (std::size_t r = 1; r < rows.size(); ++r) {
      for (std::size_t k = 1; k < rows[r].size(); ++k) {
        const auto at = static_cast<int>(k - 1);
        add(poses, "Truths inside of the region, " + rows[0][k], "%", rows[r][0],
            coverage.share(static_cast<int>(r - 1), at / 3, at % 3), nullptr, made);
      }
    }
  }

  void add_changes(const Comparison& c, const std::string& made) {
    std::vector<Scores> base;
    for_actions(c.base,
                [&](const std::string&, std::int64_t, const Scores& s) { base.push_back(s); });
    for (std::size_t m = 0; m < kMetrics.size(); ++m) {
      const Metric& metric = kMetrics[m];
      const MetricIntervals& intervals = c.bootstrap.metrics[m];
      std::size_t a = 0;
      for_actions(*c.refined, [&](const std::string& name, std::int64_t, const Scores& scores) {
        const double before = base[a++].*metric.value;
        const double after = scores.*metric.value;
        const bool average = name == "Average";
        add(c.name + " - base", metric.title, metric.unit, name, after - before,
            average ? &intervals.difference : nullptr, made);
        if (!is_error(metric)) return;
        add(c.name + " drop", metric.title, "%", name, -change(before, after),
            average ? &intervals.gain : nullptr, made);
      });
    }
  }
};

// ---- JSON ----

Json scores_json(const Scores& scores) {
  Json json;
  for (const Metric& metric : kMetrics) json[metric.key] = scores.*metric.value;
  for (std::size_t j = 0; j < kJointNames.size(); ++j) {
    json["joints_mpjpe_mm"][std::string(kJointNames[j])] = scores.joints[j];
  }
  return json;
}

Json interval_json(const Interval& interval) {
  return {{"median", interval.median}, {"low", interval.low}, {"high", interval.high}};
}

Json distribution_json(const Evaluation& evaluation) {
  Json json;
  const std::vector<double> values = sorted(evaluation.poses);
  for (const double q : kQuantiles)
    json["quantiles_mm"][fmt::format("{}", q)] = quantile(values, q);
  json["bin_width_mm"] = kBinWidth;
  json["histogram_poses"] = histogram(evaluation.poses);
  return json;
}

Json evaluation_json(const Evaluation& evaluation, const Bootstrap& bootstrap,
                     Interval MetricIntervals::*interval, const Json& made) {
  Json json;
  json["made"] = made;
  json["frames"] = evaluation.frames;
  json["average"] = scores_json(evaluation.average);
  for (std::size_t m = 0; m < kMetrics.size(); ++m) {
    json["average_interval_95"][kMetrics[m].key] = interval_json(bootstrap.metrics[m].*interval);
  }
  json["poses_mpjpe"] = distribution_json(evaluation);
  for (const ActionScores& action : evaluation.actions) {
    json["actions"][action.action] = {{"frames", action.frames}};
    json["actions"][action.action].update(scores_json(action.mean));
  }
  for (const SequenceScores& sequence : evaluation.sequences) {
    Json entry{{"name", sequence.name},
               {"clip", sequence.clip},
               {"action", sequence.action},
               {"frames", sequence.frames}};
    entry.update(scores_json(sequence.mean));
    json["sequences"].push_back(entry);
  }
  return json;
}

}  // namespace

std::string text_report(const Comparison& comparison) {
  const std::span one(&comparison, 1);
  return action_table(comparison) + '\n' + metric_table(comparison) + '\n' +
         text_table(interval_rows(one)) + '\n' + choices(one) + '\n' +
         text_table(distribution_rows(one)) + '\n' + joint_table(comparison) +
         (comparison.coverage ? '\n' + text_table(coverage_rows(*comparison.coverage)) +
                                    sizes_text(*comparison.coverage)
                              : "");
}

std::string summary(std::span<const Comparison> comparisons) {
  const Scores& base = comparisons[0].base.average;
  std::string text =
      "| poses | MPJPE (mm) | P-MPJPE (mm) | MPJVE (mm/frame) | acceleration (mm/frame²) | peak "
      "speed "
      "(%) | clips worse by 1 % |\n"
      "| --- | --- | --- | --- | --- | --- | --- |\n" +
      summary_row("base", base, base, nullptr) + " - |\n";
  for (const Comparison& c : comparisons) {
    text += fmt::format("{} {} |\n",
                        summary_row(c.name, c.refined->average, c.base.average, &c.bootstrap),
                        worse_sequences(c));
  }
  return text + '\n' + choices(comparisons);
}

std::string markdown_report(std::span<const Comparison> comparisons) {
  std::string text;
  for (const Metric& metric : {kMetrics[0], kMetrics[1]}) {
    text += markdown(paper_table(comparisons, metric)) + '\n';
  }
  text += markdown(interval_rows(comparisons)) + '\n' + markdown(distribution_rows(comparisons));
  for (const Comparison& c : comparisons) {
    if (c.coverage)
      text += fmt::format("\n{}:\n\n{}", c.name, markdown(coverage_rows(*c.coverage)));
  }
  return text + '\n' + choices(comparisons);
}

std::string csv_report(std::span<const Comparison> comparisons) {
  const Comparison& first = comparisons[0];
  Csv csv;
  csv.scored = choices_text(first.scoring);
  csv.add_poses("base", first.base, first.bootstrap, &MetricIntervals::base,
                made_text(first.base_made));
  for (const Comparison& c : comparisons) {
    if (!c.refined) continue;
    const std::string made = made_text(c.refined_made);
    csv.add_poses(c.name, *c.refined, c.bootstrap, &MetricIntervals::refined, made);
    if (c.coverage) csv.add_coverage(c.name, *c.coverage, made);
    csv.add_changes(c, made);
  }
  return csv.text;
}

nlohmann::ordered_json json_report(const Comparison& c) {
  Json json;
  json["scoring"] = c.scoring;
  json["base"] = evaluation_json(c.base, c.bootstrap, &MetricIntervals::base, c.base_made);
  if (!c.refined) return json;
  json["refined"] =
      evaluation_json(*c.refined, c.bootstrap, &MetricIntervals::refined, c.refined_made);
  if (c.coverage) json["uncertainty"] = coverage_json(*c.coverage);
  for (std::size_t m = 0; m < kMetrics.size(); ++m) {
    const Metric& metric = kMetrics[m];
    if (is_error(metric)) {
      json["change_percent"][metric.key] =
          change(c.base.average.*metric.value, c.refined->average.*metric.value);
    }
    json["difference_interval_95"][metric.key] = interval_json(c.bootstrap.metrics[m].difference);
  }
  json["gain_percent"] = {{"clips", c.bootstrap.clips},
                          {"interval", 0.95},
                          {"mpjpe", interval_json(c.bootstrap.metrics[0].gain)},
                          {"p_mpjpe", interval_json(c.bootstrap.metrics[1].gain)}};
  return json;
}

}  // namespace posetape::data
