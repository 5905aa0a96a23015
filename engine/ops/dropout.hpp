#pragma once

#include <cstdint>

#include "engine/rng.hpp"
#include "engine/tensor.hpp"

namespace posetape {

// Each element of x is 0 with probability `rate`, in [0, 1), and else x / (1 - rate). Which are
// kept depends on (seed, stream, step) and the element's number alone, and is the same on all
// devices and for all types. Two layers of one network need two seeds, or streams. Nothing but
// these numbers is kept for the backward pass.
Tensor dropout(const Tensor& x, double rate, std::uint64_t seed, Stream stream,
               std::uint64_t step = 0);
// The same with the step read from memory when the numbers are drawn: f64, one element, a whole
// number below 2^48, on x's device. So work that is recorded once drops anew each time it runs
// (engine/replay.hpp).
Tensor dropout(const Tensor& x, double rate, std::uint64_t seed, Stream stream, const Tensor& step);

}  // namespace posetape
