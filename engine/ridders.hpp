// Differentiation by central differences that knows its own error.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace posetape {

struct Derivative {
  double value;
  double error;  // the scheme's own estimate
};

// f'(0) by Ridders' extrapolation of (f(h) - f(-h)) / 2h to h = 0 ("Accurate computation of F'(x)
// and F'(x)F''(x)", Adv. Eng. Software 4, 1982): a Neville tableau over shrinking steps, from
// `step` on; the entry with the least difference to its neighbours wins, and that difference is its
// error.
template <class F>
Derivative ridders(const F& f, double step) {
  constexpr int kTable = 12;
  constexpr double kShrink = 1.6;
  std::array<std::array<double, kTable>, kTable> table;
  Derivative best{0, std::numeric_limits<double>::infinity()};
  double h = step;
  for (int i = 0; i < kTable; ++i, h /= kShrink) {
    table[0][i] = (f(h) - f(-h)) / (2 * h);
    double factor = kShrink * kShrink;
    for (int j = 1; j <= i; ++j, factor *= kShrink * kShrink) {
      table[j][i] = (table[j - 1][i] * factor - table[j - 1][i - 1]) / (factor - 1);
      const double error = std::max(std::fabs(table[j][i] - table[j - 1][i]),
                                    std::fabs(table[j][i] - table[j - 1][i - 1]));
      if (error <= best.error) best = {table[j][i], error};
    }
    // The higher order has begun to lose digits: further steps only get worse.
    if (i > 0 && std::fabs(table[i][i] - table[i - 1][i - 1]) >= 2 * best.error) break;
  }
  return best;
}

// The slopes of a function at 0 to both sides, from `step` on.
struct Sides {
  double left;
  double right;
  double step;
  // They do not come together as the step shrinks: f bends or has a pole at 0 or closer to it than
  // any step of ridders().
  bool apart;
};

// By one-sided differences over `step` and over a step below the last of ridders(). Where f is
// smooth the difference of the slopes shrinks with the step.
template <class F>
Sides sides(const F& f, double step) {
  constexpr double kFurther = 512;
  const double at = f(0.0);
  const auto over = [&](double h) { return Sides{(at - f(-h)) / h, (f(h) - at) / h, h, false}; };
  const auto gap = [](const Sides& s) { return std::fabs(s.right - s.left); };
  Sides narrow = over(step / kFurther);
  narrow.apart = !(gap(narrow) < gap(over(step)) / 2);
  return narrow;
}

}  // namespace posetape
