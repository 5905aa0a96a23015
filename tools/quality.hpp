// What `pose` and `info --quality` say of each clip.
#pragma once

#include <string>

#include "data/dataset.hpp"

namespace posetape::tools {

// A table with a line a clip that has 3D poses, of the base estimate and of the refined ones, of at
// most so many clips (the rest is counted); and below it what should be looked at.
std::string quality_table(const data::Dataset& dataset, std::size_t most);

}  // namespace posetape::tools
