// How far a NaN spreads: whoever looks for its source must be able to trust that.
#pragma once

#include <vector>

#include "engine/gradcheck.hpp"

namespace posetape {

// What was found of one input.
struct NanFinding {
  int input = 0;
  std::string note;  // empty where the claim holds
};

// A NaN in an element reaches every output that depends on it, and no other: for each input that is
// not constant, on cases of at most 2000 elements.
std::vector<NanFinding> check_nan(const Case& c);

}  // namespace posetape
