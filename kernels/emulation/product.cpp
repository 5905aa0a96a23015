#include "kernels/emulation/product.hpp"

#include <algorithm>
#include <vector>

namespace posetape::emulation {
namespace {

// D is computed in tiles that stay in registers, from strips of A and B that lie in order.
constexpr Index kTileRows = 8;
constexpr Index kTileColumns = 4;

template <class A>
using Lanes [[gnu::vector_size(kTileRows * sizeof(A))]] = A;

// Strips of `width` of x's `count` vectors: out[strip][k][i], zero past the last one. Vector i has
// its element k at x[i i_step + k k_step].
template <class A, class T>
std::vector<A> strips(const T* x, Index count, Index i_step, Index inner, Index k_step,
                      Index width) {
  const Index all = (count + width - 1) / width * width;
  std::vector<A> out(static_cast<std::size_t>(all * inner));
  for (Index i = 0; i < count; ++i) {
    A* strip = out.data() + (i / width * width) * inner + i % width;
    for (Index k = 0; k < inner; ++k) strip[k * width] = load(x[i * i_step + k * k_step]);
  }
  return out;
}

template <class T>
void multiply_one(const ProductArgs<T>& p, const T* a, const T* b, const T* c, T* d) {
  using A = Accumulator<T>;
  const auto left =
      strips<A>(a, p.m, p.transpose_a ? p.a.ld : 1, p.k, p.transpose_a ? 1 : p.a.ld, kTileRows);
  const auto right =
      strips<A>(b, p.n, p.transpose_b ? 1 : p.b.ld, p.k, p.transpose_b ? p.b.ld : 1, kTileColumns);
  for (Index j = 0; j < p.n && p.b_sums != nullptr; ++j) {
    const A* column = right.data() + (j / kTileColumns * kTileColumns) * p.k + j % kTileColumns;
    A sum = 0;
    for (Index k = 0; k < p.k; ++k) sum += column[k * kTileColumns];
    p.b_sums[j] = store<T>(sum);
  }
  for (Index j = 0; j < p.n; j += kTileColumns) {
    for (Index i = 0; i < p.m; i += kTileRows) {
      const A* l = left.data() + i * p.k;
      const A* r = right.data() + j * p.k;
      Lanes<A> sums[kTileColumns] = {};
      for (Index k = 0; k < p.k; ++k) {
        Lanes<A> x;
        __builtin_memcpy(&x, l + k * kTileRows, sizeof x);
        for (Index t = 0; t < kTileColumns; ++t) sums[t] += x * r[k * kTileColumns + t];
      }
      for (Index t = 0; t < std::min(kTileColumns, p.n - j); ++t) {
        for (Index s = 0; s < std::min(kTileRows, p.m - i); ++s) {
          A value = p.alpha * sums[t][s];
          if (p.beta != 0) value += p.beta * load(c[(j + t) * p.c.ld + i + s]);
          if (p.bias != nullptr) value += load(p.bias[i + s]);
          d[(j + t) * p.d.ld + i + s] = store<T>(value);
        }
      }
    }
  }
}

}  // namespace

template <class T>
void multiply(const ProductArgs<T>& p) {
  for (Index i = 0; i < p.batch; ++i) {
    multiply_one(p, p.a.data + i * p.a.step, p.b.data + i * p.b.step, p.c.data + i * p.c.step,
                 p.d.data + i * p.d.step);
  }
}

template void multiply(const ProductArgs<double>&);
template void multiply(const ProductArgs<float>&);
template void multiply(const ProductArgs<bf16>&);

}  // namespace posetape::emulation
