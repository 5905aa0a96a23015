// The same poses under two names: what a training is measured on must not be what it trains on.
#pragma once

#include <span>
#include <vector>

#include "data/dataset.hpp"

namespace posetape::data {

struct Copy {
  int sequence = 0;  // not in `train`
  int of = 0;        // in it
};

// Sequences whose 2D poses are, to the bit, those of one that trains, and which do not train.
std::vector<Copy> copies(const Dataset& dataset, std::span<const int> train);

}  // namespace posetape::data
