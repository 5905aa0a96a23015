// Generated human motion on the 17 joints: plausible, not real. For tests, for demonstrations and
// for trying the whole system where no motion capture is at hand.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "data/motion.hpp"

namespace posetape::data {

inline constexpr std::array<std::string_view, 8> kSyntheticActions{"walk",  "run",  "turn", "sit",
                                                                   "reach", "wave", "bend", "jump"};

struct SyntheticOptions {
  int subjects = 8;
  int takes = 2;  // of every action
  double seconds = 6;
  double fps = 50;
  std::uint64_t seed = 0;
};

// Subjects P1, P2, ... (bodies with their own bone lengths, tempo and style), each doing every
// action `takes` times: motions "walk_1", "walk_2", "run_1", ... in the order of kSyntheticActions.
// World z up, floor at z = 0, metres. Bones keep their lengths exactly and are equal left and
// right. A subject and a take do not depend on how many others there are.
std::vector<Motion> synthetic_motions(const SyntheticOptions& options = {});

}  // namespace posetape::data
