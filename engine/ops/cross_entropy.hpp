#pragma once

#include <optional>

#include "engine/tensor.hpp"

namespace posetape {

// The mean of -log(softmax(logits)[class]) over all rows: logits [..., C], classes i32 [...] -> [].
// Of f32 for bf16 logits, else of their type. Classes take no gradient. Rows whose class is
// `ignored`, any number, have no part: neither in the mean, nor a gradient. A class outside of
// 0 ... C - 1 that is not ignored is an Error on the CPU, and so are rows that are all ignored;
// another device gives NaN.
Tensor cross_entropy(const Tensor& logits, const Tensor& classes,
                     std::optional<std::int32_t> ignored = {});

}  // namespace posetape
