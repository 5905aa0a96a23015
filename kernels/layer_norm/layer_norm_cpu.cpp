#include "kernels/layer_norm/layer_norm.hpp"

#include <type_traits>

#include "kernels/cpu/kernel.hpp"

namespace posetape {

static constexpr Index kRowsAtLeast = 16;  // rows worth a thread

// s = x + residual + shift over one row.
template <class T>
static void add_up(const LayerNormForward<T>& a, Index row) {
  const T* x = a.x + row * a.width;
  const T* residual = a.residual != nullptr ? a.residual + row * a.width : nullptr;
  const T* shift = a.shift != nullptr ? a.shift + row / a.rows_per_shift * a.width : nullptr;
  T* s = a.s + row * a.width;
  // One loop for each case, so that each is vectorised.
  if (residual == nullptr) {
    for (Index i = 0; i < a.width; ++i) s[i] = store<T>(load(x[i]) + load(shift[i]));
  } else if (shift == nullptr) {
    for (Index i = 0; i < a.width; ++i) s[i] = store<T>(load(x[i]) + load(residual[i]));
  } else {
    for (Index i = 0; i < a.width; ++i) {
      s[i] = store<T>(load(x[i]) + load(residual[i]) + load(shift[i]));
    }
  }
}

template <class T>
static void run(const LayerNormForward<T>& a) {
  using A = Accumulator<T>;
  parallel_for(a.rows, kRowsAtLeast, [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const T* s = a.x + r * a.width;
      if (a.s != nullptr) {
        add_up(a, r);
        s = a.s + r * a.width;
      }
      // Two passes over a row that is in the cache: the one-pass formula cancels.
      A sum = 0;
#pragma omp simd reduction(+ : sum)
      for (Index i = 0; i < a.width; ++i) sum += load(s[i]);
      const A mean = sum / static_cast<A>(a.width);
      A squares = 0;
#pragma omp simd reduction(+ : squares)
      for (Index i = 0; i < a.width; ++i) {
        const A d = load(s[i]) - mean;
        squares += d * d;
      }
      const A rstd = A(1) / sqrt_(squares / static_cast<A>(a.width) + static_cast<A>(a.eps));
      T* y = a.y + r * a.width;
      for (Index i = 0; i < a.width; ++i) {
        y[i] = store<T>((load(s[i]) - mean) * rstd * load(a.gamma[i]) + load(a.beta[i]));
      }
      a.mean[r] = mean;
      a.rstd[r] = rstd;
    }
  });
}
POSETAPE_CPU_KERNEL(LayerNormForward);

template <class T>
static void run(const LayerNormBackward<T>& a) {
  using A = Accumulator<T>;
  const Index width = a.width;
  // One pass for everything: the parameter gradients are partial sums of the rows in hand.
  reduce_rows<A>(
      a.rows, 2 * width,
      [&](Index begin, Index end, A* sums) {
        A* dgamma = sums;
        A* dbeta = sums + width;
        for (Index r = begin; r < end; ++r) {
          const T* s = a.s + r * width;
          const T* dy = a.dy + r * width;
          const A mean = a.mean[r];
          const A rstd = a.rstd[r];
          A sum_g = 0;
          A sum_gn = 0;
#pragma omp simd reduction(+ : sum_g, sum_gn)
          for (Index i = 0; i < width; ++i) {
            const A n = (load(s[i]) - mean) * rstd;
            const A d = load(dy[i]);
            const A g = d * load(a.gamma[i]);
            dgamma[i] += d * n;
            dbeta[i] += d;
            sum_g += g;
            sum_gn += g * n;
          }
          if (!a.ds.wanted()) continue;
          const A mean_g = sum_g / static_cast<A>(width);
          const A mean_gn = sum_gn / static_cast<A>(width);
          const T* ds_out = a.ds_out ? a.ds_out + r * width : nullptr;
          T* ds = a.ds.data + r * width;
          // One loop for each case, so that each is vectorised.
          const auto each = [&](auto adds, auto has_ds_out) {
            for (Index i = 0; i < width; ++i) {
              const A n = (load(s[i]) - mean) * rstd;
              A value = rstd * (load(dy[i]) * load(a.gamma[i]) - mean_g - n * mean_gn);
              if constexpr (has_ds_out) value += load(ds_out[i]);
              if constexpr (adds) value += load(ds[i]);
              ds[i] = store<T>(value);
            }
          };
          using Yes = std::true_type;
          using No = std::false_type;
          if (a.ds.into == Into::add) {
            ds_out != nullptr ? each(Yes{}, Yes{}) : each(Yes{}, No{});
          } else {
            ds_out != nullptr ? each(No{}, Yes{}) : each(No{}, No{});
          }
        }
      },
      [&](Index i, A sum) {
        if (i < width && a.dgamma.wanted()) a.dgamma.put(i, sum);
        if (i >= width && a.dbeta.wanted()) a.dbeta.put(i - width, sum);
      });
}
POSETAPE_CPU_KERNEL(LayerNormBackward);

template <class T>
static void run(const LayerNormShiftBackward<T>& a) {
  using A = Accumulator<T>;
  for (Index group = 0; group < a.groups; ++group) {
    const T* ds = a.ds + group * a.rows_per_shift * a.width;
    reduce_rows<A>(
        a.rows_per_shift, a.width,
        [&](Index begin, Index end, A* sums) {
          for (Index r = begin; r < end; ++r) {
            for (Index i = 0; i < a.width; ++i) sums[i] += load(ds[r * a.width + i]);
          }
        },
        [&](Index i, A sum) { a.dshift.put(group * a.width + i, sum); });
  }
}
POSETAPE_CPU_KERNEL(LayerNormShiftBackward);

}  // namespace posetape
