// The options of commands that finish refined poses: a filter over time (data/smoothing.hpp), bones
// of constant length (data/bone_lengths.hpp), feet that stand (data/planted_feet.hpp).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include "data/bone_lengths.hpp"
#include "data/dataset.hpp"
#include "data/planted_feet.hpp"
#include "data/smoothing.hpp"
#include "tools/command_line.hpp"

namespace posetape::tools {

struct FinishOptions {
  data::Filter filter;
  std::optional<data::FilterKind> kind;           // as --filter says
  std::optional<data::BoneLengths> bone_lengths;  // as --bone-lengths says
  data::Feet feet = data::Feet::free;

  // `otherwise` says where neither is the default, for the help.
  void add_to(const Command& command, const std::string& otherwise);
  // What was chosen, or is where nothing was: both, or neither.
  void choose(bool by_default);
};

// Throws Error where feet are to be planted and a sequence, of the file `path`, has no lens.
void check_lenses(const data::Dataset& dataset, const FinishOptions& options,
                  const std::string& path);

// Finishes the refined poses of every sequence, after choose(); `fps` is the rate of those that
// don't say theirs, 0: as they stand. Returns what is stored of it beside them.
nlohmann::ordered_json finish(data::Dataset& dataset, const FinishOptions& options, double fps);

}  // namespace posetape::tools
