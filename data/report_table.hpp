// An evaluation as text and Markdown for people, as CSV and JSON for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/evaluation.hpp"
#include "data/uncertainty.hpp"

namespace posetape::data {

// A base estimate, and what refinement made of it where there is any.
struct Comparison {
  std::string name;  // of the refined poses where several files are compared
  Evaluation base;
  std::optional<Evaluation> refined;
  // How often the truth is where refined_std says, where the poses have it.
  std::optional<Coverage> coverage;
  Bootstrap bootstrap;               // of base against itself where nothing is refined
  nlohmann::ordered_json scoring;    // data/protocol.hpp: how the figures came about,
  nlohmann::ordered_json base_made;  // and the poses; null where the file doesn't say
  nlohmann::ordered_json refined_made;
};

// Aligned plain text: MPJPE and P-MPJPE of each action, then all average metrics with the gains'
// intervals, the intervals of the averages and of the difference, the distribution of the poses'
// MPJPE, MPJPE of each joint, and how many truths lie in the regions of refined_std. A change in
// percent is negative where errors got smaller, a gain is positive there. "-" stands for what is
// not known.
std::string text_report(const Comparison& comparison);

// Several refinements of one base: a Markdown row each with the averages and, in brackets, the
// change against the base and its 95 % interval.
std::string summary(std::span<const Comparison> comparisons);

// The tables of D3PRefiner's paper in Markdown, a column an action: MPJPE (its Table I) and P-MPJPE
// (Table II) of the base and of each refinement with its drop in percent of the base; then the
// averages with their intervals, and the distribution. All comparisons have the same base.
std::string markdown_report(std::span<const Comparison> comparisons);

// One line a figure: poses, metric, unit, group (an action, "Average", a joint, a quantile or a
// bin), value, low and high end of the 95 % interval where there is one, how it was scored, how the
// poses were made. Figures "refined - base" and "drop" (percent) stand beside those of the poses.
std::string csv_report(std::span<const Comparison> comparisons);

// All of it and the scores of each sequence. Units are in the keys; null is what is not known.
nlohmann::ordered_json json_report(const Comparison& comparison);

}  // namespace posetape::data
