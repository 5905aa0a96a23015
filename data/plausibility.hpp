// Whether what belongs together goes together: mistakes in other people's files that no shape
// reveals and that ruin every result, such as millimetres, a vertical axis that points up, joints
// in the order of COCO or 2D poses from 0 to 1. Everything that reads poses from outside asks here.
//
// The figures are those of data/figures.hpp, and the limits lie between what they are on good clips
// and with a mistake planted (data/README.md, "What is noticed", has both).
#pragma once

#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "engine/choices.hpp"

namespace posetape::data {

enum class Severity { warning, refusal };

// What is doubted.
enum class Check { unit, scale, axes, sides, order, root, image, rate, match };
constexpr auto choices(Check) {
  using enum Check;
  return make_choices<Check>("check", {{unit, "unit"},
                                       {scale, "scale"},
                                       {axes, "axes"},
                                       {sides, "sides"},
                                       {order, "order"},
                                       {root, "root"},
                                       {image, "image"},
                                       {rate, "rate"},
                                       {match, "match"}});
}

struct Doubt {
  Severity severity = Severity::warning;
  Check check = Check::unit;
  std::string field;  // "noisy_3d"
  double figure = 0;  // what was measured, in the unit of `found`
  std::string
      found;  // "expected metres, found thighs and shins of 43.1; they look like centimetres"
  std::string mend;  // "multiply noisy_3d by 0.01"
};

// Fields that a network of ours made: their unit, axes and order are known, and the rest is the
// network's quality, which is not examined.
struct OwnFields {
  bool noisy_3d = false;
  bool refined_3d = false;
};
// Those of a dataset, by its metadata.
OwnFields own_fields(const Dataset& dataset);

// What is doubtful about a sequence, worst first; nothing where all is well. Confidence 0 takes a
// joint out of what is said of the image.
std::vector<Doubt> examine(const Sequence& sequence, const OwnFields& own = {});

// All of a dataset. A doubt that several sequences share stands once.
struct SharedDoubt {
  Doubt doubt;                         // of the first
  std::vector<std::string> sequences;  // names
};
std::vector<SharedDoubt> examine(const Dataset& dataset);

// "sequence 'a/b/0' (and 3 more), noisy_3d: expected metres, ...; multiply noisy_3d by 0.01"
std::string doubt_text(const SharedDoubt& shared);

// Estimates whose joint 0 lies a little off the origin (kRootNoise to kRootLimit metres on average)
// and no network of ours left it there: subtracts it from every joint. Returns how far it was, 0
// where nothing was done.
inline constexpr double kRootNoise = 0.005;
inline constexpr double kRootLimit = 0.5;
double subtract_root(Sequence& sequence, const OwnFields& own = {});

}  // namespace posetape::data
