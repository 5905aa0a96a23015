#include "kernels/transpose/transpose.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

static constexpr Index kTile = 32;

static inline Index result_step(const Permuted& p, int axis) {
  Index step = 1;
  for (int i = axis + 1; i < p.rank; ++i) step *= p.extents[i];
  return step;
}

// Calls f(to, from, n, step): elements to, to + 1, ... of the result are from, from + step, ... of
// the source. Where the source's last axis is another one than the result's, its tiles of both are
// walked, so that a cache line is used up while it is there.
template <class F>
static void permute(const Permuted& p, const F& f) {
  const int last = p.rank - 1;
  int source_last = last;
  for (int i = 0; i < p.rank; ++i) {
    if (p.steps[i] == 1) source_last = i;
  }
  const bool tiled = source_last != last;
  const Index columns = p.extents[last];
  const Index lines = tiled ? p.extents[source_last] : 1;
  const Index bands = (lines + kTile - 1) / kTile;
  const Index line_step = tiled ? result_step(p, source_last) : 0;
  Index outer = 1;
  for (int i = 0; i < last; ++i) outer *= i == source_last ? 1 : p.extents[i];
  const Index work = std::max<Index>(1, columns * std::min(lines, kTile));
  parallel_for(outer * bands, std::max<Index>(1, 16384 / work), [&](Index begin, Index end) {
    for (Index item = begin; item < end; ++item) {
      Index number = item / bands;
      const Index first_line = item % bands * kTile;
      Index to = first_line * line_step;
      Index from = tiled ? first_line : 0;
      for (int i = last - 1; i >= 0; --i) {
        if (tiled && i == source_last) continue;
        const Index k = number % p.extents[i];
        number /= p.extents[i];
        to += k * result_step(p, i);
        from += k * p.steps[i];
      }
      if (!tiled) {
        f(to, from, columns, p.steps[last]);
        continue;
      }
      const Index tile_lines = std::min(kTile, lines - first_line);
      for (Index column = 0; column < columns; column += kTile) {
        const Index n = std::min(kTile, columns - column);
        for (Index line = 0; line < tile_lines; ++line) {
          f(to + line * line_step + column, from + line + column * p.steps[last], n, p.steps[last]);
        }
      }
    }
  });
}

template <class T>
static void compute(const TransposeForward<T>& a) {
  permute(a.permuted, [&](Index to, Index from, Index n, Index step) {
    const T* x = a.x + from;
    T* y = a.y + to;
    if (step == 1) {
      for (Index i = 0; i < n; ++i) y[i] = x[i];
    } else {
      for (Index i = 0; i < n; ++i) y[i] = x[i * step];
    }
  });
}
POSETAPE_CPU_KERNEL(TransposeForward);

template <class T>
static void compute(const TransposeBackward<T>& a) {
  permute(a.permuted, [&](Index to, Index from, Index n, Index step) {
    const T* dy = a.dy + from;
    if (step == 1) {
      for (Index i = 0; i < n; ++i) a.dx.put(to + i, load(dy[i]));
    } else {
      for (Index i = 0; i < n; ++i) a.dx.put(to + i, load(dy[i * step]));
    }
  });
}
POSETAPE_CPU_KERNEL(TransposeBackward);

}  // namespace posetape
