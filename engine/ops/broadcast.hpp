// From shapes to the strides of a broadcast, for all ops that repeat an operand or sum over axes.
#pragma once

#include <algorithm>

#include "engine/shape.hpp"
#include "kernels/broadcast.hpp"

namespace posetape {

static_assert(kMaxAxes == kMaxRank);

// a and b must broadcast to `result`. See Broadcast for the form.
inline Broadcast broadcast_steps(const Shape& result, const Shape& a, const Shape& b) {
  const auto step = [&](const Shape& shape, int axis) -> Index {
    const int own = axis - (result.rank() - shape.rank());
    return own < 0 || shape[own] == 1 ? 0 : shape.inner(own);
  };
  Broadcast s;
  for (int i = 0; i < result.rank(); ++i) {
    if (result[i] == 1) continue;
    const Index of_a = step(a, i);
    const Index of_b = step(b, i);
    const int last = s.rank - 1;
    const bool merge = last >= 0 && s.a[last] == of_a * result[i] && s.b[last] == of_b * result[i];
    const int at = merge ? last : s.rank++;
    s.extents[at] = (merge ? s.extents[at] : 1) * result[i];
    s.a[at] = of_a;
    s.b[at] = of_b;
  }
  if (s.rank == 0) {
    s.rank = 1;
    s.extents[0] = s.a[0] = s.b[0] = 1;
  }
  return s;
}

}  // namespace posetape
