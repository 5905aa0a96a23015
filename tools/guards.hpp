// What commands say, and refuse, of poses that make no sense (data/plausibility.hpp), and of clips
// unlike those that a network was trained on (data/domain.hpp). All of it is on standard error.
#pragma once

#include <map>
#include <string>
#include "tools/command_line.hpp"

#include "data/dataset.hpp"
#include "data/plausibility.hpp"
#include "engine/safetensors.hpp"

namespace posetape::tools {

// --force, of every command that refuses poses.
void add_force(const Command& command, bool& force);

// An option of a command that mends what is doubted: "give the files' unit with --unit".
using Mends = std::map<data::Check, std::string>;

// A line for each doubt; throws Error for the first that is a clear mistake, or with `force` warns
// of it, too. `path` is where the poses came from.
void guard(const data::Dataset& dataset, const std::string& path, bool force,
           const Mends& mends = {});
// Subtracts a root that is a little off, and says so.
void subtract_roots(data::Dataset& dataset, const std::string& path);

// The metadata under which a checkpoint keeps data::fit_domain's JSON of what it was trained on.
inline constexpr const char* kDomain = "domain";
// Says in a line which sequences lie outside of that. Of checkpoints without it, nothing.
void compare_domain(const TensorFile& file, const std::string& checkpoint,
                    const data::Dataset& dataset, bool estimate);

}  // namespace posetape::tools
