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
  std::optional<int> limit;            // sequences at most; absent: kFrames
};
// Frames whose poses are in a page at most (10 MB or so), where nothing else is asked for.
inline constexpr int kFrames = 40000;

// Names and parents of the joints, and which are on the left.
nlohmann::ordered_json skeleton_json();

// Which of the sequences `chosen` are shown: those named in the options, else those whose error
// refining changed most, or, with `worst`, raised most (or lowered least), as many as the limit has
// room for; one at least. Without a comparison the first ones of the file. Throws Error where a
// named sequence is not among them.
std::vector<int> shown_sequences(const data::Dataset& dataset, std::span<const int> chosen,
                                 const std::optional<data::Comparison>& comparison,
                                 const PoseOptions& options);

// Their poses as encoding.hpp codes them, relative to the hip.
nlohmann::ordered_json poses_json(const data::Dataset& dataset, std::span<const int> shown);

// The figures of each of the sequences: "name", "frames", its MPJPE where it is known ("base_mm",
// "refined_mm"), and what can be said without the truth: "moved_mm" (the refined joints from the
// base's, mean), "guessed_percent", and of "base" and "refined" in "quality" the figures of
// data/quality.hpp and the "misfit" to the 2D poses (data/figures.hpp) in percent.
nlohmann::ordered_json clips_json(const data::Dataset& dataset, std::span<const int> sequences,
                                  const std::optional<data::Comparison>& comparison);

}  // namespace posetape::tools::report
