// An evaluation as text for people and as JSON for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "data/metrics.hpp"

namespace posetape::data {

// A base estimate, and what refinement made of it where there is any. Gains need both.
struct Comparison {
  Evaluation base;
  std::optional<Evaluation> refined;
  std::optional<Gains> gains;
};

// Aligned plain text: MPJPE and P-MPJPE of each action, then all average metrics with the gains'
// intervals, then MPJPE of each joint. A change in percent is negative where errors got smaller,
// a gain is positive there. "-" stands for what is not known.
std::string text_report(const Comparison& comparison);

// The same and the scores of each sequence. Units are in the keys; null is what is not known.
nlohmann::ordered_json json_report(const Comparison& comparison);

}  // namespace posetape::data
