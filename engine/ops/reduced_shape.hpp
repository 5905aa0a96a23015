// Axes that calls name, and shapes of reductions over some of them, or over all where none is
// named.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "engine/error.hpp"
#include "engine/shape.hpp"

namespace posetape {

// The axis counted from 0. Throws where it is none.
inline int axis_of(const char* op, const Shape& shape, int axis) {
  if (axis < -shape.rank() || axis >= shape.rank()) {
    fail("{}: axis {} of {}; it must be below the rank {}", op, axis, shape.text(), shape.rank());
  }
  return axis < 0 ? axis + shape.rank() : axis;
}

inline bool is_reduced(const Shape& shape, std::span<const int> axes, int axis) {
  return axes.empty() || std::ranges::any_of(axes, [&](int named) {
           return (named < 0 ? named + shape.rank() : named) == axis;
         });
}

// The shape with the reduced dimensions as 1. Throws where an axis is none, or named twice.
inline Shape kept_shape(const char* op, const Shape& shape, std::span<const int> axes) {
  std::array<bool, kMaxRank> seen{};
  for (int axis : axes) {
    if (axis < 0) axis += shape.rank();
    if (axis < 0 || axis >= shape.rank() || seen[static_cast<std::size_t>(axis)]) {
      fail("{}: axes [{}] of {}; each must be below the rank {} and named once", op,
           fmt::join(axes, ", "), shape.text(), shape.rank());
    }
    seen[static_cast<std::size_t>(axis)] = true;
  }
  Shape kept = shape;
  for (int i = 0; i < shape.rank(); ++i) {
    if (is_reduced(shape, axes, i)) kept = kept.with(i, 1);
  }
  return kept;
}

// The shape without them.
inline Shape without(const Shape& shape, std::span<const int> axes) {
  std::vector<Index> dims;
  for (int i = 0; i < shape.rank(); ++i) {
    if (!is_reduced(shape, axes, i)) dims.push_back(shape[i]);
  }
  return Shape(dims);
}

}  // namespace posetape
