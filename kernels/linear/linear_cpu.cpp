#include "kernels/linear/linear.hpp"

#include <concepts>

#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/kernel.hpp"
#include "kernels/cpu/short_math.hpp"
#include "kernels/elementwise/unary.hpp"

namespace posetape {
namespace {

struct Identity {
  template <class A>
  [[gnu::always_inline]] static A value(A x) {
    return x;
  }
};

// f(z) and f'(z) of a vector, or of one number: results in bf16 show no more of GELU than
// short_normal() has.
template <class T, class F, class V>
[[gnu::always_inline]] static inline V activated(F, V z) {
  return lane_by_lane<Accumulator<T>>(z, [](auto x) { return F::value(x); });
}
template <class T, class F, class V>
[[gnu::always_inline]] static inline V slope_of(F, V z) {
  return lane_by_lane<Accumulator<T>>(z, [](auto x) { return F::slope(x, x); });
}
#ifdef __AVX512F__
template <std::same_as<bf16> T, class V>
[[gnu::always_inline]] static inline V activated(unary::gelu, V z) {
  return as_floats(z, [](Floats x) { return x * short_normal(x).cdf; });
}
template <std::same_as<bf16> T, class V>
[[gnu::always_inline]] static inline V slope_of(unary::gelu, V z) {
  return as_floats(z, [](Floats x) {
    const auto normal = short_normal(x);
    return normal.cdf + x * normal.density;
  });
}
#endif

// Takes the products of gemm(): adds the bias and activates.
template <class F, class T>
struct Epilogue {
  const LinearForward<T>& a;

  [[gnu::always_inline]] void expect(Index i, Index j, Index count) const {
    prefetch_to_write(a.y + i * a.out + j, count);
    if (a.z != nullptr) prefetch_to_write(a.z + i * a.out + j, count);
  }
  template <class Count>
  [[gnu::always_inline]] void put(Index i, Index j, Count count, const Accumulator<T>* sums) const {
    T* y = a.y + i * a.out + j;
    if constexpr (std::is_same_v<F, Identity>) return put_sums(y, j, count, sums);
    T* z = a.z != nullptr ? a.z + i * a.out + j : nullptr;
    each_vector<Accumulator<T>>(count, [&](Index x, auto v) {
      const auto sum = with_bias(j + x, read<decltype(v)>(sums + x));
      if (z != nullptr) store_as(z + x, sum);
      store_as(y + x, activated<T>(F{}, rounded_to<T>(sum)));
    });
  }
  // to[x] = sums[x] with the bias of column j + x.
  template <class Count>
  [[gnu::always_inline]] void put_sums(T* to, Index j, Count count,
                                       const Accumulator<T>* sums) const {
    each_vector<Accumulator<T>>(count, [&](Index x, auto v) {
      store_as(to + x, with_bias(j + x, read<decltype(v)>(sums + x)));
    });
  }
  template <class V>
  [[gnu::always_inline]] V with_bias(Index j, V sum) const {
    return a.b != nullptr ? sum + load_as<V>(a.b + j) : sum;
  }
  void put_vector(Index i, Index j,
                  Vector<Accumulator<T>> sums) const requires std::is_same_v<F, Identity> {
    store_as(a.y + i * a.out + j, with_bias(j, sums));
  }
  void begin(Index, Index, Index count, Accumulator<T>* sums) const {
    std::fill_n(sums, count, Accumulator<T>(0));
  }
  template <class Count>
  void end(Index i, Index j, Count count, const Accumulator<T>* sums) const {
    put(i, j, count, sums);
  }
};

}  // namespace

template <class F, class T>
static void multiply(const LinearForward<T>& a) {
  gemm<T>(a.rows, a.out, a.in, {a.x, a.in}, {a.w, a.in, Transpose::yes}, Epilogue<F, T>{a});
}

template <class T>
static void compute(const LinearForward<T>& a) {
  switch (a.activation) {
    case Activation::gelu:
      return multiply<unary::gelu>(a);
    case Activation::silu:
      return multiply<unary::silu>(a);
    case Activation::none:
      return multiply<Identity>(a);
  }
}
POSETAPE_CPU_KERNEL(LinearForward);

// to[i] = dy[i] f'(z[i]); `to` may be dy.
template <class F, class T>
static void times_slope(Index size, const T* dy, const T* z, T* to) {
  using A = Accumulator<T>;
  constexpr Index kAhead = 2048 / sizeof(T);
  parallel_elements(size, [&](Index begin, Index end) {
    each_vector<A>(end - begin, [&](Index x, auto v) {
      using V = decltype(v);
      const Index i = begin + x;
      __builtin_prefetch(z + i + kAhead);
      __builtin_prefetch(dy + i + kAhead);
      store_as(to + i, load_as<V>(dy + i) * slope_of<T>(F{}, load_as<V>(z + i)));
    });
  });
}
template <class T>
static void times_slope(Activation f, Index size, const T* dy, const T* z, T* to) {
  f == Activation::gelu ? times_slope<unary::gelu>(size, dy, z, to)
                        : times_slope<unary::silu>(size, dy, z, to);
}

template <class T>
static void compute(const LinearBackward<T>& a) {
  const T* dz = a.dy;
  if (a.activation != Activation::none) {
    times_slope(a.activation, a.rows * a.out, a.dy, a.z, a.dz);
    dz = a.dz;
  }
  if (a.dx.wanted()) {
    gemm<T>(a.rows, a.in, a.out, {dz, a.out}, {a.w, a.in}, Result<T>{a.dx.data, a.in, a.dx.into});
    if (a.before != Activation::none) {
      times_slope(a.before, a.rows * a.in, a.dx.data, a.z_before, a.dx.data);
    }
  }
  if (a.dw.wanted()) {
    gemm<T>(a.out, a.in, a.rows, {dz, a.out, Transpose::yes}, {a.x, a.in},
            Result<T>{a.dw.data, a.in, a.dw.into});
  }
  if (!a.db.wanted()) return;
  using A = Accumulator<T>;
  reduce_rows<A>(
      a.rows, a.out,
      [&](Index begin, Index end, A* sums) {
        for (Index r = begin; r < end; ++r) {
          for (Index i = 0; i < a.out; ++i) sums[i] += load(dz[r * a.out + i]);
        }
      },
      [&](Index i, A sum) { a.db.put(i, sum); });
}
POSETAPE_CPU_KERNEL(LinearBackward);

}  // namespace posetape
