// A dataset's poses in the formats of other programs (data/motion_format.hpp).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "data/motion_format.hpp"
#include "tools/commands.hpp"

namespace posetape::tools {

enum class ExportField { refined_3d, noisy_3d, pose_3d, pose_2d };
constexpr auto choices(ExportField) {
  using enum ExportField;
  return make_choices<ExportField>("field", {{refined_3d, "refined_3d"},
                                             {noisy_3d, "noisy_3d"},
                                             {pose_3d, "pose_3d"},
                                             {pose_2d, "pose_2d", "pixels"}});
}

struct PoseExport {
  std::string input;   // where the dataset came from, for messages
  std::string output;  // a file, or a folder of a file a sequence
  ExportField field = ExportField::refined_3d;
  const data::FormatRule* format = nullptr;
  std::optional<data::BvhBones> bones;  // none: mean
  std::optional<data::Unit> unit;       // none: the format's, and so for `up`
  std::optional<data::Axes> up;
  std::vector<std::string> sequences;  // only these; all where empty
  bool quiet = false;
};
// Writes, and says what. Throws Error where there are no such poses or sequences, for more than one
// sequence in a file that holds one, and where two would have one name.
void export_poses(const PoseExport& options, const data::Dataset& dataset);

}  // namespace posetape::tools
