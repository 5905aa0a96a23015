// One person's limbs do not change their length.
#pragma once

#include "data/dataset.hpp"
#include "engine/choices.hpp"

namespace posetape::data {

enum class BoneLengths {
  free,      // of each frame its own
  constant,  // of the limbs: one each a clip, the same left and right
};
constexpr auto choices(BoneLengths) {
  using enum BoneLengths;
  return make_choices<BoneLengths>(
      "bone lengths", {{free, "free", "each frame's own"},
                       {constant, "constant", "of the limbs a clip's, the same left and right"}});
}

// The poses with thighs, shins, upper arms and forearms that keep their directions and have the
// median of their lengths over the frames, that of left and right the mean. What hangs on them
// moves with them. Torso, shoulders and head stay: between the joints that stand for them nothing
// is rigid.
PoseArray with_constant_bones(const PoseArray& poses);

}  // namespace posetape::data
