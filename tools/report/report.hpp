// The page of `posetape report`.
#pragma once

#include <string>

#include "data/dataset.hpp"
#include "tools/commands.hpp"

namespace posetape::tools {

// Of a dataset in memory, which came from `input`.
void write_report(const std::string& output, const std::string& input, data::Dataset dataset,
                  const Common& common, bool quiet);

}  // namespace posetape::tools
