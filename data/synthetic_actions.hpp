// What the puppet of synthetic_body.hpp does: each action as controls over time.
#pragma once

#include <functional>
#include <string_view>

#include "data/synthetic_body.hpp"

namespace posetape::data {

// Controls at a time in seconds, from 0 on. Continuous, with continuous velocity.
using Action = std::function<Controls(double)>;

// One performance of an action of kSyntheticActions by a body; its chances come from `random`.
// Throws for an unknown action.
Action make_action(std::string_view action, const Body& body, double seconds, Random& random);

}  // namespace posetape::data
