// --ablate, --lens and --saliency of `posetape inspect`: what diffusion/study.hpp finds, as tables
// and as arrays of the inspection file.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "diffusion/study.hpp"
#include "tools/commands.hpp"

namespace posetape::tools {

struct StudyOptions {
  std::optional<diffusion::Substitute> ablate;
  bool lens = false;
  std::string saliency;  // JOINT or JOINT:FRAME; empty: none

  void add_to(const Command& command);
  bool need_truth() const { return ablate.has_value() || lens; }
};

struct StudyArray {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

struct Studies {
  std::vector<StudyArray> arrays;
  nlohmann::ordered_json description;  // of the metadata: "ablation", "lens", "saliency"
  std::string text;                    // tables
};

// `first_frame` is that of the sequence with which the study's begins. Throws Error where a joint
// or a frame does not exist.
Studies run_studies(const StudyOptions& options, const diffusion::Study& study, int first_frame);

}  // namespace posetape::tools
