#include "kernels/joint_distance_loss/joint_distance_loss.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static inline Accumulator<T> distance(const T* x, const T* y, Index width) {
  Accumulator<T> squares = 0;
  for (Index i = 0; i < width; ++i) {
    const auto d = load(x[i]) - load(y[i]);
    squares += d * d;
  }
  return sqrt_(squares);
}

template <class T>
static void compute(const JointDistanceLossForward<T>& a) {
  using A = Accumulator<T>;
  reduce_rows<LongSum<A>>(
      a.rows, 1,
      [&](Index begin, Index end, LongSum<A>* sum) {
        for (Index r = begin; r < end; ++r) {
          *sum += distance(a.x + r * a.width, a.y + r * a.width, a.width);
        }
      },
      [&](Index, LongSum<A> sum) { *a.loss = static_cast<A>(sum / static_cast<double>(a.rows)); },
      1024);
}
POSETAPE_CPU_KERNEL(JointDistanceLossForward);

template <class T>
static void compute(const JointDistanceLossBackward<T>& a) {
  using A = Accumulator<T>;
  const A slope = *a.dloss / static_cast<A>(a.rows);
  parallel_for(a.rows, 2048, [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const T* x = a.x + r * a.width;
      const T* y = a.y + r * a.width;
      const A length = distance(x, y, a.width);
      const A factor = length == A(0) ? A(0) : slope / length;  // a NaN stays a NaN
      for (Index i = 0; i < a.width; ++i) {
        const A g = factor * (load(x[i]) - load(y[i]));
        if (a.dx.wanted()) a.dx.put(r * a.width + i, g);
        if (a.dy.wanted()) a.dy.put(r * a.width + i, -g);
      }
    }
  });
}
POSETAPE_CPU_KERNEL(JointDistanceLossBackward);

}  // namespace posetape
