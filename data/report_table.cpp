#include "data/report_table.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "data/skeleton.hpp"
#include "data/text_table.hpp"

namespace posetape::data {
namespace {

using Json = nlohmann::ordered_json;

struct Metric {
  const char* title;
  const char* key;
  double Scores::*member;
  Interval Gains::*gain;  // null where it is not bootstrapped
};
constexpr std::array<Metric, 5> kMetrics{{
    {"MPJPE (mm)", "mpjpe_mm", &Scores::mpjpe, &Gains::mpjpe},
    {"P-MPJPE (mm)", "p_mpjpe_mm", &Scores::p_mpjpe, &Gains::p_mpjpe},
    {"N-MPJPE (mm)", "n_mpjpe_mm", &Scores::n_mpjpe, nullptr},
    {"MPJVE (mm/frame)", "mpjve_mm_per_frame", &Scores::mpjve, nullptr},
    {"Acceleration error (mm/frame^2)", "acceleration_error_mm_per_frame2", &Scores::acceleration,
     nullptr},
}};

// ---- Text ----

using Row = std::vector<std::string>;

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

std::string interval_text(const Interval& gain) {
  if (std::isnan(gain.low)) return percent(gain.median) + " [-]";
  return fmt::format("{} [{:+.2f}, {:+.2f}]", percent(gain.median), gain.low, gain.high);
}

// The columns of one metric: base alone, or base, refined and change.
void add_header(Row& row, const std::string& title, bool refined) {
  if (!refined) {
    row.push_back(title);
    return;
  }
  row.insert(row.end(), {title + " base", "refined", "change"});
}

void add_values(Row& row, double base, std::optional<double> refined) {
  row.push_back(number(base));
  if (refined) row.insert(row.end(), {number(*refined), percent(change(base, *refined))});
}

// Calls f(name, frames, base scores, refined scores or null) for each action and the average.
template <class F>
void for_actions(const Comparison& c, F f) {
  for (std::size_t i = 0; i < c.base.actions.size(); ++i) {
    const ActionScores& base = c.base.actions[i];
    f(base.action, base.frames, base.mean, c.refined ? &c.refined->actions.at(i).mean : nullptr);
  }
  f(std::string("Average"), c.base.frames, c.base.average,
    c.refined ? &c.refined->average : nullptr);
}

std::string action_table(const Comparison& c) {
  Row header{"Action", "frames"};
  add_header(header, kMetrics[0].title, c.refined.has_value());
  add_header(header, kMetrics[1].title, c.refined.has_value());
  std::vector<Row> rows{header};
  for_actions(c, [&](const std::string& name, std::int64_t frames, const Scores& base,
                     const Scores* refined) {
    Row row{name, std::to_string(frames)};
    for (const Metric& metric : {kMetrics[0], kMetrics[1]}) {
      add_values(row, base.*metric.member,
                 refined ? std::optional(refined->*metric.member) : std::nullopt);
    }
    rows.push_back(row);
  });
  return text_table(rows);
}

std::string metric_table(const Comparison& c) {
  Row header{"Average over the actions"};
  add_header(header, "", c.refined.has_value());
  header[1] = "base";
  if (c.gains) header.push_back("gain, median [95 % interval]");
  std::vector<Row> rows{header};
  for (const Metric& metric : kMetrics) {
    Row row{metric.title};
    add_values(row, c.base.average.*metric.member,
               c.refined ? std::optional(c.refined->average.*metric.member) : std::nullopt);
    if (c.gains) row.push_back(metric.gain ? interval_text((*c.gains).*metric.gain) : "-");
    rows.push_back(row);
  }
  return text_table(rows);
}

std::string joint_table(const Comparison& c) {
  Row header{"Joint"};
  add_header(header, kMetrics[0].title, c.refined.has_value());
  std::vector<Row> rows{header};
  for (std::size_t j = 0; j < kJointNames.size(); ++j) {
    Row row{std::string(kJointNames[j])};
    add_values(row, c.base.average.joints[j],
               c.refined ? std::optional(c.refined->average.joints[j]) : std::nullopt);
    rows.push_back(row);
  }
  return text_table(rows);
}

// ---- JSON ----

Json scores_json(const Scores& scores) {
  Json json;
  for (const Metric& metric : kMetrics) json[metric.key] = scores.*metric.member;
  for (std::size_t j = 0; j < kJointNames.size(); ++j) {
    json["joints_mpjpe_mm"][std::string(kJointNames[j])] = scores.joints[j];
  }
  return json;
}

Json evaluation_json(const Evaluation& evaluation) {
  Json json;
  json["frames"] = evaluation.frames;
  json["average"] = scores_json(evaluation.average);
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

Json interval_json(const Interval& gain) {
  return {{"median", gain.median}, {"low", gain.low}, {"high", gain.high}};
}

}  // namespace

std::string text_report(const Comparison& comparison) {
  std::string text = action_table(comparison) + '\n' + metric_table(comparison);
  if (comparison.gains) {
    text += fmt::format(
        "Gains by a paired bootstrap over {} clips (all cameras of a clip "
        "together).\n",
        comparison.gains->clips);
  }
  return text + '\n' + joint_table(comparison);
}

nlohmann::ordered_json json_report(const Comparison& comparison) {
  Json json;
  json["base"] = evaluation_json(comparison.base);
  if (!comparison.refined) return json;
  json["refined"] = evaluation_json(*comparison.refined);
  for (const Metric& metric : kMetrics) {
    json["change_percent"][metric.key] =
        change(comparison.base.average.*metric.member, comparison.refined->average.*metric.member);
  }
  if (comparison.gains) {
    json["gain_percent"] = {{"clips", comparison.gains->clips},
                            {"interval", 0.95},
                            {"mpjpe", interval_json(comparison.gains->mpjpe)},
                            {"p_mpjpe", interval_json(comparison.gains->p_mpjpe)}};
  }
  return json;
}

}  // namespace posetape::data
