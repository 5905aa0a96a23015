// One person's bones do not change their length.
#pragma once

#include "data/dataset.hpp"
#include "engine/choices.hpp"

namespace posetape::data {

enum class BoneLengths {
  free,      // of each frame its own
  constant,  // one each a clip, the same left and right
};
constexpr auto choices(BoneLengths) {
  using enum BoneLengths;
  return make_choices<BoneLengths>("bone lengths",
                                   {{free, "free", "each frame's own"},
                                    {constant, "constant", "a clip's, the same left and right"}});
}

// The poses, relative to joint 0, with bones that keep their directions and have the median of
// their lengths over the frames, and that of left and right the mean. From joint 0 outwards, so
// that a joint moves by what the bones towards the hip do.
PoseArray with_constant_bones(const PoseArray& poses);

}  // namespace posetape::data
