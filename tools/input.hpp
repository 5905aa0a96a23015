// Reading the files that a command is given.
#pragma once

#include <string>
#include "tools/command_line.hpp"

#include "data/dataset.hpp"
#include "engine/safetensors.hpp"

namespace posetape::tools {

// --drop-invalid, which every command has whose refusal of a dataset speaks of it.
void add_drop_invalid(const Command& command, bool& drop_invalid);

// Reads a dataset that makes sense, or with `force` any (tools/guards.hpp). A joint 0
// of noisy_3d that is a little off is subtracted, but with `force` or `keep_root`. How many joints
// were interpolated where is said on standard error and kept in the metadata; with `drop_invalid`,
// sequences with NaN or infinite poses that cannot be are left out, and how many is said.
data::Dataset read_input(const std::string& path, bool drop_invalid, bool force,
                         bool keep_root = false);

// Throws where a sequence of the dataset at `path` has no estimate to start from.
void check_estimate(const data::Sequence& sequence, const std::string& path);

// Reads a network's file, and says what it is where it is of another kind.
TensorFile read_checkpoint(const std::string& path);

}  // namespace posetape::tools
