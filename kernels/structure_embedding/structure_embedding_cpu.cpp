#include "kernels/structure_embedding/structure_embedding.hpp"

#include "kernels/cpu/kernel.hpp"
#include "kernels/cpu/vector.hpp"

namespace posetape {

// The neighbours of (row, j), where row = b N + n: of each frame next to it, `count` joints side by
// side from x on, that belong to the taps from `tap` on. Neighbours outside of the grid are left
// out, so that a weight that is not finite stays where it is.
template <class T>
struct Neighbours {
  struct Run {
    Index tap;
    const T* x;
    Index count;
  };
  Run runs[3];
  Index count = 0;

  Neighbours(const Grid<T>& g, Index row, Index j) {
    const Index n = row % g.frames;
    const Index first = j > 0 ? j - 1 : 0;
    const Index last = j + 1 < g.joints ? j + 1 : j;
    for (Index dn = n > 0 ? -1 : 0; dn <= (n + 1 < g.frames ? 1 : 0); ++dn) {
      const T* x = g.data + ((row + dn) * g.joints + first) * g.step;
      runs[count++] = {(dn + 1) * 3 + (first - j + 1), x, last - first + 1};
    }
  }
};

// sum + the sum of w[tap][c] x[tap][c] over the neighbours.
template <class V, class T, class A>
[[gnu::always_inline]] static inline V correlate(const Grid<T>& g, const Neighbours<T>& neighbours,
                                                 const A* weights, Index c, V sum) {
  const Index width = g.width;
  for (Index r = 0; r < neighbours.count; ++r) {
    const auto& run = neighbours.runs[r];
    const A* w = weights + run.tap * width + c;
    const T* x = run.x + c;
    if (run.count == 3) {
      sum = sum + (read<V>(w) * load_as<V>(x) + read<V>(w + width) * load_as<V>(x + g.step) +
                   read<V>(w + 2 * width) * load_as<V>(x + 2 * g.step));
      continue;
    }
    for (Index t = 0; t < run.count; ++t) {
      sum = sum + read<V>(w + t * width) * load_as<V>(x + t * g.step);
    }
  }
  return sum;
}

// Of all joints of a row: sums[tap][c] += d[c] x[tap][c] for the three taps of one neighbouring
// frame, whose first joint is at x, and which stay in registers meanwhile.
template <class V, class T, class A>
[[gnu::always_inline]] static inline void correlate_weights(const Grid<T>& g, const T* d,
                                                            const T* x, Index width, A* sums) {
  if (g.joints == 0) return;
  V before = read<V>(sums), same = read<V>(sums + width), after = read<V>(sums + 2 * width);
  V left = {}, here = load_as<V>(x);
  for (Index j = 0; j < g.joints; ++j) {
    const V each = load_as<V>(d + j * width);
    if (j > 0) before = before + each * left;
    same = same + each * here;
    left = here;
    if (j + 1 == g.joints) break;
    here = load_as<V>(x + (j + 1) * g.step);
    after = after + each * here;
  }
  write(sums, before);
  write(sums + width, same);
  write(sums + 2 * width, after);
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
  const Grid<T> values = values_of(a);
  parallel_for(a.batch * a.frames, 1, [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      for (Index j = 0; j < a.joints; ++j) {
        const Neighbours<T> neighbours(values, row, j);
        // Two thirds of a token are in between, so the processor does not see these coming.
        prefetch(values.data + ((row + 2) * a.joints + j) * values.step, width);
        T* out = a.out + (row * a.joints + j) * width;
        each_vector<A>(width, [&](Index c, auto v) {
          using V = decltype(v);
          const V from = read<V>(start.data() + j * width + c);
          store_as(out + c, correlate(values, neighbours, weights.data(), c, from));
        });
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
  const Grid<T> cotangents = cotangents_of(a);
  parallel_for(a.batch * a.frames, 1, [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      for (Index j = 0; j < a.joints; ++j) {
        const Neighbours<T> neighbours(cotangents, row, j);
        prefetch(cotangents.data + ((row + 2) * a.joints + j) * width, width);
        if (a.dqkv.into == Into::add) {
          prefetch(a.dqkv.data + (((row + 1) * a.joints + j) * 3 + 2) * width, width);
        }
        T* to = a.dqkv.data + (row * a.joints + j) * 3 * width;
        if (a.dqkv.into == Into::write) {
          for (Index c = 0; c < 2 * width; ++c) to[c] = T(0);
        }
        to += 2 * width;
        each_vector<A>(width, [&](Index c, auto v) {
          put_as(to + c, correlate(cotangents, neighbours, weights.data(), c, decltype(v){}),
                 a.dqkv.into);
        });
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
  const Grid<T> values = values_of(a);
  Scratch<A> table(a.parts * a.table_width);
  for (Index i = 0; i < a.parts * a.table_width; ++i) table[i] = A(0);
  // A chunk's sums are 10 D and more numbers: at most 64 chunks, so that adding them up is cheap.
  const Index chunk_rows = std::max<Index>(8, (rows + 63) / 64);
  reduce_rows<A>(
      rows, table_at + a.parts * half,
      [&](Index begin, Index end, A* sums) {
        for (Index row = begin; row < end; ++row) {
          const Index n = row % a.frames;
          for (Index dn = n > 0 ? -1 : 0; dn <= (n + 1 < a.frames ? 1 : 0); ++dn) {
            if (!a.dweight.wanted()) break;
            const T* d = a.dout + row * a.joints * width;
            const T* x = values.data + (row + dn) * a.joints * values.step;
            for (Index j = 0; dn == 0 && j < a.joints; ++j) {
              prefetch(x + (2 * a.joints + j) * values.step, width);
            }
            A* of_frame = sums + (dn + 1) * 3 * width;
            each_vector<A>(width, [&](Index c, auto v) {
              correlate_weights<decltype(v)>(values, d + c, x + c, width, of_frame + c);
            });
          }
          for (Index j = 0; j < a.joints; ++j) {
            const T* d = a.dout + (row * a.joints + j) * width;
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
