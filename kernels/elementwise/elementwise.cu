#include "kernels/cuda/broadcast.hpp"
#include "kernels/elementwise/binary.hpp"
#include "kernels/elementwise/unary.hpp"

namespace posetape {

template <class T, class F>
static void compute(const UnaryForward<T, F>& a) {
  cuda::for_each(a.size,
                 [x = a.x, y = a.y] __device__(Index i) { y[i] = store<T>(F::value(load(x[i]))); });
}

template <class T, class F>
static void compute(const UnaryBackward<T, F>& a) {
  cuda::for_each(a.size, [x = a.x, y = a.y, dy = a.dy, dx = a.dx] __device__(Index i) {
    dx.put(i, load(dy[i]) * F::slope(load(x[i]), load(y[i])));
  });
}

template <class T, class F>
static void compute(const BinaryForward<T, F>& g) {
  cuda::each_place(g.broadcast, [a = g.a, b = g.b, y = g.y] __device__(cuda::Place p) {
    y[p.out] = store<T>(F::value(load(a[p.a]), load(b[p.b])));
  });
}

// The slopes at one place.
template <class F, class T>
__device__ inline Accumulator<T> da_at(const T* dy, const T* a, const T* b, cuda::Place p) {
  if constexpr (F::kLinear) {
    return F::da(load(dy[p.out]));
  } else {
    return F::da(load(dy[p.out]), load(a[p.a]), load(b[p.b]));
  }
}
template <class F, class T>
__device__ inline Accumulator<T> db_at(const T* dy, const T* a, const T* b, cuda::Place p) {
  if constexpr (F::kLinear) {
    return F::db(load(dy[p.out]));
  } else {
    return F::db(load(dy[p.out]), load(a[p.a]), load(b[p.b]));
  }
}

template <class T, class F>
static void compute(const BinaryBackward<T, F>& g) {
  using A = Accumulator<T>;
  const T* a = g.a;
  const T* b = g.b;
  const T* dy = g.dy;
  if (g.da.wanted()) {
    cuda::reduce_repeated<A>(
        g.broadcast, [a, b, dy] __device__(cuda::Place p) { return da_at<F, T>(dy, a, b, p); },
        [da = g.da] __device__(Index i, A sum) { da.put(i, sum); });
  }
  if (g.db.wanted()) {
    // Here a place of b is p.a, and one of a is p.b.
    cuda::reduce_repeated<A>(
        cuda::exchanged(g.broadcast),
        [a, b, dy] __device__(cuda::Place p) {
          return db_at<F, T>(dy, a, b, cuda::Place{p.out, p.b, p.a});
        },
        [db = g.db] __device__(Index i, A sum) { db.put(i, sum); });
  }
}

#define POSETAPE_UNARY(op)                       \
  POSETAPE_CUDA_KERNEL(UnaryForward, unary::op); \
  POSETAPE_CUDA_KERNEL(UnaryBackward, unary::op);
#define POSETAPE_BINARY(op)                        \
  POSETAPE_CUDA_KERNEL(BinaryForward, binary::op); \
  POSETAPE_CUDA_KERNEL(BinaryBackward, binary::op);
#include "kernels/ops.def"

}  // namespace posetape
