// Tensors of random numbers, drawn in parallel.
#pragma once

#include <cstdint>

#include "engine/rng.hpp"
#include "engine/tensor.hpp"

namespace posetape {

// Fills `out` (f64, f32 or bf16) with independent standard normal numbers. Element e takes its two
// words from Philox block e / 4 of (seed, stream, step), so its value depends on nothing but these
// and e: not on shape, type (up to rounding) or thread count. Element e is what the e-th call of
// Random(seed, stream, step).normal() returns.
void fill_normal(const Tensor& out, std::uint64_t seed, Stream stream, std::uint64_t step = 0);
// The same with the address read from memory when the numbers are drawn, so that work that is
// recorded once draws anew each time it runs (engine/replay.hpp). f64: its first element is the
// step, a whole number below 2^48; its second, where it has more than one, says how many rows of a
// larger tensor lie before those of `out`, whose numbers these are then.
void fill_normal(const Tensor& out, std::uint64_t seed, Stream stream, const Tensor& address);

}  // namespace posetape
