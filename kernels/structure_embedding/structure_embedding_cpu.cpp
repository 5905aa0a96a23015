#include "kernels/structure_embedding/structure_embedding.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

static constexpr Index kTaps = 9;

// Vectors of `width` channels on the grid of frames and joints; `step` elements from one joint to
// the next.
template <class T>
struct Grid {
  const T* data;
  Index step;
  Index frames;
  Index joints;
  Index width;
};

// Calls f(tap, x, count) for each frame next to (row, j), where row = b N + n: `count` neighbouring
// joints from x on belong to the taps from `tap` on. Neighbours outside of the grid are left out,
// so that a weight that is not finite stays where it is.
template <class T, class F>
static void each_neighbour(const Grid<T>& g, Index row, Index j, const F& f) {
  const Index n = row % g.frames;
  const Index first = j > 0 ? j - 1 : 0;
  const Index last = j + 1 < g.joints ? j + 1 : j;
  for (Index dn = n > 0 ? -1 : 0; dn <= (n + 1 < g.frames ? 1 : 0); ++dn) {
    const T* x = g.data + ((row + dn) * g.joints + first) * g.step;
    f((dn + 1) * 3 + (first - j + 1), x, last - first + 1);
  }
}

// sums[c] += sum of w[tap][c] x[tap][c] over the neighbours. Three taps at a time, so that a sum is
// read and written once for three products.
template <class T, class A>
static void correlate(const Grid<T>& g, Index row, Index j, const A* weights, A* __restrict sums) {
  const Index width = g.width;
  each_neighbour(g, row, j, [&](Index tap, const T* x, Index count) {
    const A* w = weights + tap * width;
    if (count == 3) {
      for (Index c = 0; c < width; ++c) {
        sums[c] += w[c] * load(x[c]) + w[width + c] * load(x[g.step + c]) +
                   w[2 * width + c] * load(x[2 * g.step + c]);
      }
      return;
    }
    for (Index t = 0; t < count; ++t) {
      for (Index c = 0; c < width; ++c) sums[c] += w[t * width + c] * load(x[t * g.step + c]);
    }
  });
}

// Of three taps side by side, s_t[c] += d[c] x_t[c]. The sums are arguments of their own for
// __restrict: with one type for all six arrays the compiler would not vectorise the loop.
template <class T, class A>
static inline void add_three(Index width, const T* __restrict d, const T* __restrict x, Index step,
                             A* __restrict s0, A* __restrict s1, A* __restrict s2) {
  for (Index c = 0; c < width; ++c) {
    const A each = load(d[c]);
    s0[c] += each * load(x[c]);
    s1[c] += each * load(x[step + c]);
    s2[c] += each * load(x[2 * step + c]);
  }
}

// sums[tap][c] += d[c] x[tap][c]
template <class T, class A>
static void correlate_weights(const Grid<T>& g, Index row, Index j, const T* d, A* sums) {
  const Index width = g.width;
  each_neighbour(g, row, j, [&](Index tap, const T* x, Index count) {
    A* s = sums + tap * width;
    if (count == 3) return add_three(width, d, x, g.step, s, s + width, s + 2 * width);
    for (Index t = 0; t < count; ++t) {
      for (Index c = 0; c < width; ++c) s[t * width + c] += load(d[c]) * load(x[t * g.step + c]);
    }
  });
}

template <class T>
static void compute(const StructureEmbeddingForward<T>& a) {
  using A = Accumulator<T>;
  const Index width = a.width;
  const Index half = width / 2;
  // Channels last, as the values are, so that the loops over channels are vector loops.
  Scratch<A> weights(kTaps * width);
  for (Index c = 0; c < width; ++c) {
    for (Index t = 0; t < kTaps; ++t) weights[t * width + c] = load(a.weight[c * kTaps + t]);
  }
  // What every frame begins with: bias and part embedding.
  Scratch<A> start(a.joints * width);
  for (Index j = 0; j < a.joints; ++j) {
    for (Index c = 0; c < width; ++c) {
      A value = load(a.bias[c]);
      if (a.table != nullptr && c < half) {
        value +=
            static_cast<A>(a.scale) * load(a.table[a.part[j] * a.table_width + c % a.table_width]);
      }
      start[j * width + c] = value;
    }
  }
  const Grid<T> values{a.qkv + 2 * width, 3 * width, a.frames, a.joints, width};
  parallel_for(a.batch * a.frames, 1, [&](Index begin, Index end) {
    Scratch<A> sums(width);
    for (Index row = begin; row < end; ++row) {
      for (Index j = 0; j < a.joints; ++j) {
        for (Index c = 0; c < width; ++c) sums[c] = start[j * width + c];
        correlate(values, row, j, weights.data(), sums.data());
        T* out = a.out + (row * a.joints + j) * width;
        for (Index c = 0; c < width; ++c) out[c] = store<T>(sums[c]);
      }
    }
  });
}
POSETAPE_CPU_KERNEL(StructureEmbeddingForward);

template <class T>
static void values_backward(const StructureEmbeddingBackward<T>& a) {
  using A = Accumulator<T>;
  const Index width = a.width;
  // What reads v at (n, j) is the same neighbourhood with the taps in reverse.
  Scratch<A> weights(kTaps * width);
  for (Index c = 0; c < width; ++c) {
    for (Index t = 0; t < kTaps; ++t) {
      weights[t * width + c] = load(a.weight[c * kTaps + kTaps - 1 - t]);
    }
  }
  const Grid<T> cotangents{a.dout, width, a.frames, a.joints, width};
  parallel_for(a.batch * a.frames, 1, [&](Index begin, Index end) {
    Scratch<A> sums(width);
    for (Index row = begin; row < end; ++row) {
      for (Index j = 0; j < a.joints; ++j) {
        for (Index c = 0; c < width; ++c) sums[c] = A(0);
        correlate(cotangents, row, j, weights.data(), sums.data());
        const Index at = (row * a.joints + j) * 3 * width;
        if (a.dqkv.into == Into::write) {
          for (Index c = 0; c < 2 * width; ++c) a.dqkv.data[at + c] = T(0);
        }
        for (Index c = 0; c < width; ++c) a.dqkv.put(at + 2 * width + c, sums[c]);
      }
    }
  });
}

template <class T>
static void parameters_backward(const StructureEmbeddingBackward<T>& a) {
  using A = Accumulator<T>;
  const Index width = a.width;
  const Index half = a.dtable.wanted() ? width / 2 : 0;
  const Index bias_at = kTaps * width;
  const Index table_at = bias_at + width;
  const Index rows = a.batch * a.frames;
  const Grid<T> values{a.qkv + 2 * width, 3 * width, a.frames, a.joints, width};
  Scratch<A> table(a.parts * a.table_width);
  for (Index i = 0; i < a.parts * a.table_width; ++i) table[i] = A(0);
  // A chunk's sums are 10 D and more numbers: at most 64 chunks, so that adding them up is cheap.
  const Index chunk_rows = std::max<Index>(8, (rows + 63) / 64);
  reduce_rows<A>(
      rows, table_at + a.parts * half,
      [&](Index begin, Index end, A* sums) {
        for (Index row = begin; row < end; ++row) {
          for (Index j = 0; j < a.joints; ++j) {
            const T* d = a.dout + (row * a.joints + j) * width;
            if (a.dweight.wanted()) correlate_weights(values, row, j, d, sums);
            for (Index c = 0; c < width; ++c) sums[bias_at + c] += load(d[c]);
            if (half == 0) continue;
            A* of_part = sums + table_at + a.part[j] * half;
            for (Index c = 0; c < half; ++c) of_part[c] += load(d[c]);
          }
        }
      },
      [&](Index i, A sum) {
        if (i < bias_at) {
          if (a.dweight.wanted()) a.dweight.put(i % width * kTaps + i / width, sum);
        } else if (i < table_at) {
          if (a.dbias.wanted()) a.dbias.put(i - bias_at, sum);
        } else {
          const Index p = (i - table_at) / half;
          const Index c = (i - table_at) % half;
          table[p * a.table_width + c % a.table_width] += sum;
        }
      },
      chunk_rows);
  for (Index i = 0; i < a.parts * a.table_width && a.dtable.wanted(); ++i) {
    a.dtable.put(i, static_cast<A>(a.scale) * table[i]);
  }
}

template <class T>
static void compute(const StructureEmbeddingBackward<T>& a) {
  if (a.dqkv.wanted()) values_backward(a);
  if (a.dweight.wanted() || a.dbias.wanted() || a.dtable.wanted()) parameters_backward(a);
}
POSETAPE_CPU_KERNEL(StructureEmbeddingBackward);

}  // namespace posetape
