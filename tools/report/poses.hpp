// The report's poses: sequences to play, and the figures of all that were scored.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/report_table.hpp"

namespace posetape::tools::report {

struct PoseOptions {
  std::vector<std::string> sequences;  // these and no others, where not empty
  bool worst = false;                  // the largest losses instead of the largest changes
  int limit = 12;                      // sequences at most
};

// Names and parents of the joints.
nlohmann::ordered_json skeleton_json();

// Which of the sequences `chosen` are shown: those named in the options, else those whose error
// refining changed most, or, with `worst`, raised most (or lowered least). Without a comparison the
// first ones of the file. Throws Error where a named sequence is not among them.
std::vector<int> shown_sequences(const data::Dataset& dataset, std::span<const int> chosen,
                                 const std::optional<data::Comparison>& comparison,
                                 const PoseOptions& options);

// Their poses as encoding.hpp codes them, relative to the hip, with their MPJPE where it is known.
nlohmann::ordered_json poses_json(const data::Dataset& dataset, std::span<const int> shown,
                                  const std::optional<data::Comparison>& comparison);

}  // namespace posetape::tools::report
