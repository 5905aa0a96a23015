// The sequences that several ranks train on (engine/ranks/ranks.hpp): each keeps the poses of some,
// and a batch is put together of what all have, so that the memory of a rank falls with their
// number.
#pragma once

#include <cstdint>
#include <span>

#include "data/batches.hpp"

namespace posetape::data {

// Of a dataset that all ranks have read, gives back the memory of the poses that are others', which
// are not to be read here any more; all keep those of the sequences in `whole`.
void spread(Dataset& dataset, std::span<const int> whole);

// gather() of windows that all ranks ask for together, of a dataset that they have spread.
Tensor gather_spread(const Dataset& dataset, std::span<const Window> windows,
                     std::span<const std::uint8_t> flips, int frames, Field field);

}  // namespace posetape::data
