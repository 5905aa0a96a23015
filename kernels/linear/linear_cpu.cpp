#include "kernels/linear/linear.hpp"

#include "kernels/activation.hpp"
#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/kernel.hpp"

namespace posetape {

static constexpr Index kRowsAtLeast = 16;

template <class F, class T>
static void add_bias_and_activate(const LinearForward<T>& a, T* z) {
  parallel_for(a.rows, kRowsAtLeast, [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      T* zr = z + r * a.out;
      T* yr = a.y + r * a.out;
      if (a.b != nullptr) {
        for (Index i = 0; i < a.out; ++i) zr[i] = store<T>(load(zr[i]) + load(a.b[i]));
      }
      for (Index i = 0; i < a.out; ++i) yr[i] = store<T>(F::value(load(zr[i])));
    }
  });
}

template <class T>
static void run(const LinearForward<T>& a) {
  T* z = a.z != nullptr ? a.z : a.y;
  gemm<T>(a.rows, a.out, a.in, {a.x, a.in}, {a.w, a.in, Transpose::yes}, z, a.out, Into::write);
  switch (a.activation) {
    case Activation::gelu:
      return add_bias_and_activate<Gelu>(a, z);
    case Activation::silu:
      return add_bias_and_activate<Silu>(a, z);
    case Activation::none:
      break;
  }
  if (a.b == nullptr) return;
  parallel_for(a.rows, kRowsAtLeast, [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      T* yr = a.y + r * a.out;
      for (Index i = 0; i < a.out; ++i) yr[i] = store<T>(load(yr[i]) + load(a.b[i]));
    }
  });
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
static void run(const LinearBackward<T>& a) {
  const T* dz = a.dy;
  if (a.activation != Activation::none) {
    a.activation == Activation::gelu ? activation_backward<Gelu>(a) : activation_backward<Silu>(a);
    dz = a.dz;
  }
  if (a.dx.wanted()) {
    gemm<T>(a.rows, a.in, a.out, {dz, a.out}, {a.w, a.in}, a.dx.data, a.in, a.dx.into);
  }
  if (a.dw.wanted()) {
    gemm<T>(a.out, a.in, a.rows, {dz, a.out, Transpose::yes}, {a.x, a.in}, a.dw.data, a.in,
            a.dw.into);
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
