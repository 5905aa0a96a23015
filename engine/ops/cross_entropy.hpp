#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// The mean of -log(softmax(logits)[class]) over all rows: logits [..., C], classes i32 [...] -> [].
// Of f32 for bf16 logits, else of their type. A class outside of 0 ... C - 1 is an Error on the
// CPU, and gives NaN on another device. Classes take no gradient.
Tensor cross_entropy(const Tensor& logits, const Tensor& classes);

}  // namespace posetape
