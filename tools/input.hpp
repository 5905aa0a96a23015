// Reading a command's dataset.
#pragma once

#include <string>

#include "data/dataset.hpp"

namespace posetape::tools {

// Reads a dataset; with `drop_invalid`, sequences with NaN or infinite poses are left out, and how
// many is said.
data::Dataset read_input(const std::string& path, bool drop_invalid);

}  // namespace posetape::tools
