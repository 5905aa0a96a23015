// A kernel has all functions of its kind and is told which one: memory is what it waits for, and
// kernels for each function would be most of what there is to compile.
#include "kernels/cuda/broadcast.hpp"
#include "kernels/elementwise/binary.hpp"
#include "kernels/elementwise/unary.hpp"

namespace posetape {
namespace {

enum class Function : Index {  // no int: arguments have no padding
#define POSETAPE_UNARY(op) op,
#define POSETAPE_BINARY(op) op,
#include "kernels/ops.def"
};

template <class F>
constexpr Function kFunction{};
#define POSETAPE_UNARY(op) \
  template <>              \
  constexpr Function kFunction<unary::op> = Function::op;
#define POSETAPE_BINARY(op) \
  template <>               \
  constexpr Function kFunction<binary::op> = Function::op;
#include "kernels/ops.def"

// g of one of the functions.
template <class G>
__device__ inline auto with_unary(Function function, const G& g) {
  switch (function) {
#define POSETAPE_UNARY(op) \
  case Function::op:       \
    return g(unary::op{});
#include "kernels/ops.def"
    default:
      __builtin_unreachable();
  }
}
template <class G>
__device__ inline auto with_binary(Function function, const G& g) {
  switch (function) {
#define POSETAPE_BINARY(op) \
  case Function::op:        \
    return g(binary::op{});
#include "kernels/ops.def"
    default:
      __builtin_unreachable();
  }
}

// In the place of a function in the arguments.
struct Any {};

}  // namespace

template <class T>
static void forward(Function function, const UnaryForward<T, Any>& a) {
  cuda::for_each(a.size, [function, x = a.x, y = a.y] __device__(Index i) {
    const auto value = load(x[i]);
    y[i] = store<T>(with_unary(function, [&](auto f) { return f.value(value); }));
  });
}

template <class T>
static void backward(Function function, const UnaryBackward<T, Any>& a) {
  cuda::for_each(a.size, [function, x = a.x, y = a.y, dy = a.dy, dx = a.dx] __device__(Index i) {
    const auto in = load(x[i]);
    const auto out = load(y[i]);
    dx.put(i, load(dy[i]) * with_unary(function, [&](auto f) { return f.slope(in, out); }));
  });
}

template <class T>
static void forward(Function function, const BinaryForward<T, Any>& g) {
  cuda::each_place(g.broadcast, [function, a = g.a, b = g.b, y = g.y] __device__(cuda::Place p) {
    const auto left = load(a[p.a]);
    const auto right = load(b[p.b]);
    y[p.out] = store<T>(with_binary(function, [&](auto f) { return f.value(left, right); }));
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

// Of one operand, whose places are p.a in `broadcast`.
template <class T>
static void backward(Function function, bool of_a, const BinaryBackward<T, Any>& g,
                     const Broadcast& broadcast, const GradientOut<T>& gradient) {
  using A = Accumulator<T>;
  cuda::reduce_repeated<A>(
      broadcast,
      [function, which = Index{of_a}, a = g.a, b = g.b, dy = g.dy] __device__(cuda::Place p) {
        return with_binary(function, [&](auto f) {
          using F = decltype(f);
          return which != 0 ? da_at<F, T>(dy, a, b, p)
                            : db_at<F, T>(dy, a, b, cuda::Place{p.out, p.b, p.a});
        });
      },
      [gradient] __device__(Index i, A sum) { gradient.put(i, sum); });
}

template <class T, class F>
static void compute(const UnaryForward<T, F>& a) {
  forward<T>(kFunction<F>, {a.x, a.y, a.size});
}
template <class T, class F>
static void compute(const UnaryBackward<T, F>& a) {
  backward<T>(kFunction<F>, {a.x, a.y, a.dy, a.dx, a.size});
}
template <class T, class F>
static void compute(const BinaryForward<T, F>& g) {
  forward<T>(kFunction<F>, {g.a, g.b, g.y, g.broadcast});
}
template <class T, class F>
static void compute(const BinaryBackward<T, F>& g) {
  const BinaryBackward<T, Any> any{g.a, g.b, g.dy, g.da, g.db, g.broadcast};
  const Function function = kFunction<F>;
  if (g.da.wanted()) backward<T>(function, true, any, g.broadcast, g.da);
  if (g.db.wanted()) backward<T>(function, false, any, cuda::exchanged(g.broadcast), g.db);
}

#define POSETAPE_UNARY(op)                       \
  POSETAPE_CUDA_KERNEL(UnaryForward, unary::op); \
  POSETAPE_CUDA_KERNEL(UnaryBackward, unary::op);
#define POSETAPE_BINARY(op)                        \
  POSETAPE_CUDA_KERNEL(BinaryForward, binary::op); \
  POSETAPE_CUDA_KERNEL(BinaryBackward, binary::op);
#include "kernels/ops.def"

}  // namespace posetape
