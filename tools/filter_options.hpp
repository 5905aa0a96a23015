// The options of commands that filter poses over time (data/smoothing.hpp).
#pragma once

#include "data/dataset.hpp"
#include "data/smoothing.hpp"
#include "tools/command_line.hpp"

namespace posetape::tools {

struct FilterOptions {
  data::Filter filter;
  std::optional<data::FilterKind> kind;  // as --filter says

  // `otherwise` says the default of --filter, for the help.
  void add_to(const Command& command, const std::string& otherwise);
};

// Filters the refined poses of every sequence; `fps` is the rate of those that don't say theirs,
// 0: as they stand.
void filter_refined(data::Dataset& dataset, const data::Filter& filter, double fps);

}  // namespace posetape::tools
