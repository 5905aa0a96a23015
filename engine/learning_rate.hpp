// Learning rates that change from step to step. Steps count from 0.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace posetape {

// The part of the full rate while it rises: (step + 1) / warm_up, and 1 from step warm_up - 1 on.
// A warm_up of 0 steps is none.
inline double warm_up_part(std::int64_t step, std::int64_t warm_up) {
  if (step >= warm_up) return 1;
  return static_cast<double>(step + 1) / static_cast<double>(warm_up);
}

// The rise to `lr` over `warm_up` steps, and from there half a cosine down to `floor`, which step
// number `steps`, the first after the training, would have (Loshchilov and Hutter, arXiv
// 1608.03983, without restarts).
inline double cosine_rate(std::int64_t step, std::int64_t steps, std::int64_t warm_up, double lr,
                          double floor = 0) {
  if (step < warm_up) return lr * warm_up_part(step, warm_up);
  const auto length = static_cast<double>(std::max<std::int64_t>(steps - warm_up, 1));
  const double done = std::min(static_cast<double>(step - warm_up) / length, 1.0);
  return floor + (lr - floor) * 0.5 * (1 + std::cos(std::numbers::pi * done));
}

}  // namespace posetape
