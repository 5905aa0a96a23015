#include "kernels/linear/linear.hpp"

#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/kernel.hpp"
#include "kernels/elementwise/unary.hpp"

namespace posetape {
namespace {

struct Identity {
  template <class A>
  [[gnu::always_inline]] static A value(A x) {
    return x;
  }
};

// Takes the products of gemm(): adds the bias and activates.
template <class F, class T>
struct Epilogue {
  const LinearForward<T>& a;

  template <class Count>
  void put(Index i, Index j, Count count, const Accumulator<T>* sums) const {
    T* y = a.y + i * a.out + j;
    if constexpr (std::is_same_v<F, Identity>) return put_sums(y, j, count, sums);
    // A load of what two stores have written waits until they are in the cache, so that the values
    // to activate are kept in whole vectors, as they are after rounding.
    constexpr Index kMost = 32;
    alignas(64) Accumulator<T> values[kMost];
    for (Index first = 0; first < count; first += kMost) {
      const Index some = std::min<Index>(kMost, count - first);
      if (a.z != nullptr) put_sums(a.z + i * a.out + j + first, j + first, some, sums + first);
      each_vector<Accumulator<T>>(some, [&](Index x, auto v) {
        write(values + x,
              rounded_to<T>(with_bias(j + first + x, read<decltype(v)>(sums + first + x))));
      });
      for (Index x = 0; x < some; ++x) y[first + x] = store<T>(F::value(values[x]));
    }
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

template <class F, class T>
static void activation_backward(const LinearBackward<T>& a) {
  parallel_elements(a.rows * a.out, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const auto z = load(a.z[i]);
      a.dz[i] = store<T>(load(a.dy[i]) * F::slope(z, z));
    }
  });
}

template <class T>
static void compute(const LinearBackward<T>& a) {
  const T* dz = a.dy;
  if (a.activation != Activation::none) {
    a.activation == Activation::gelu ? activation_backward<unary::gelu>(a)
                                     : activation_backward<unary::silu>(a);
    dz = a.dz;
  }
  if (a.dx.wanted()) {
    gemm<T>(a.rows, a.in, a.out, {dz, a.out}, {a.w, a.in}, Result<T>{a.dx.data, a.in, a.dx.into});
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
