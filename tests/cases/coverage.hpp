// Is every call that a training step makes covered by a gradient-check case? A call's signature
// says which code it runs: op and form, the inputs that are given and those that need a gradient,
// their types, ranks, broadcasts and size classes.
#pragma once

#include <set>
#include <string>

#include "engine/tape.hpp"

namespace posetape {

std::string signature(const Node& node);

std::set<std::string> signatures(const Tape& tape);

// Of all cases of all ops, run in f64, f32 and bf16.
const std::set<std::string>& covered_signatures();

}  // namespace posetape
