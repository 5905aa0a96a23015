// The oracles at inputs that the caller did not think of: one tensor as two inputs, equal elements,
// other sizes. Bugs that need them are common, and no test that was written for one point sees
// them.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "engine/gradcheck.hpp"

namespace posetape {

// `same`, `ties` and `sizes` of every input that is checked, on the CPU. A trial that f refuses (it
// throws), or where its results are not finite, tells nothing; where all are so, the finding is
// `skipped`, with a note, and counts as passed.
//
//   same   Each pair of inputs of one shape, or of which one's shape ends in the other's, is given
//   as
//          one tensor: its gradient is the sum of those that two equal tensors have. Once more with
//          all extents of all inputs equal, so that matrices become square.
//   ties   All elements of an input are equal, those along one axis, or those of two inputs. They
//          then move together: along such a direction a maximum has a derivative, whichever of the
//          equal elements gets its gradient.
//   sizes  Extents that are equal vary together, in all inputs, as first extents alone, and as last
//          ones alone: 1, sizes around the width of vectors, and one at which an input has more
//          than 1000 elements. The values are like the input's own.
std::vector<Finding> check_trials(const TensorFunction& f, std::span<const Tensor> inputs,
                                  const GradcheckOptions& options,
                                  std::optional<Oracle> only = std::nullopt);

}  // namespace posetape
