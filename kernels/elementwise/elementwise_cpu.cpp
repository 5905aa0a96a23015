#include "kernels/cpu/broadcast.hpp"
#include "kernels/elementwise/binary.hpp"
#include "kernels/elementwise/unary.hpp"

namespace posetape {

template <class T, class F>
static void compute(const UnaryForward<T, F>& a) {
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      a.y[i] = store<T>(F::value(load(a.x[i])));
    }
  });
}

template <class T, class F>
static void compute(const UnaryBackward<T, F>& a) {
  parallel_elements(a.size, [&](Index begin, Index end) {
    const auto slope = [&](Index i) {
      return load(a.dy[i]) * F::slope(load(a.x[i]), load(a.y[i]));
    };
    // Not put(): with its choice inside, the loop over a long slope is not vectorised.
    T* dx = a.dx.data;
    if (a.dx.into == Into::add) {
      for (Index i = begin; i < end; ++i) dx[i] = store<T>(load(dx[i]) + slope(i));
    } else {
      for (Index i = begin; i < end; ++i) dx[i] = store<T>(slope(i));
    }
  });
}

template <class T, class F>
static void compute(const BinaryForward<T, F>& g) {
  each_run(g.broadcast, [&](Place p, Index n, auto step_a, auto step_b) {
    const T* a = g.a + p.a;
    const T* b = g.b + p.b;
    T* y = g.y + p.out;
    if constexpr (step_a == 0) {
      const auto same = load(*a);
      for (Index i = 0; i < n; ++i) y[i] = store<T>(F::value(same, load(b[i])));
    } else if constexpr (step_b == 0) {
      const auto same = load(*b);
      for (Index i = 0; i < n; ++i) y[i] = store<T>(F::value(load(a[i]), same));
    } else {
      for (Index i = 0; i < n; ++i) y[i] = store<T>(F::value(load(a[i]), load(b[i])));
    }
  });
}

template <class T, class F>
[[gnu::always_inline]] static inline auto da_at(const BinaryBackward<T, F>& g, Index out, Index a,
                                                Index b) {
  if constexpr (F::kLinear) {
    return F::da(load(g.dy[out]));
  } else {
    return F::da(load(g.dy[out]), load(g.a[a]), load(g.b[b]));
  }
}
template <class T, class F>
[[gnu::always_inline]] static inline auto db_at(const BinaryBackward<T, F>& g, Index out, Index a,
                                                Index b) {
  if constexpr (F::kLinear) {
    return F::db(load(g.dy[out]));
  } else {
    return F::db(load(g.dy[out]), load(g.a[a]), load(g.b[b]));
  }
}

template <class T, class F>
static void compute(const BinaryBackward<T, F>& g) {
  using A = Accumulator<T>;
  const Broadcast& s = g.broadcast;
  const Broadcast other = exchanged(s);
  const bool each_a = g.da.wanted() && !a_is_repeated(s);
  const bool each_b = g.db.wanted() && !a_is_repeated(other);
  if (each_a || each_b) {
    each_run(s, [&](Place p, Index n, auto step_a, auto step_b) {
      if (each_a) {
        for (Index i = 0; i < n; ++i) {
          g.da.put(p.a + i, da_at(g, p.out + i, p.a + i * step_a, p.b + i * step_b));
        }
      }
      if (each_b) {
        for (Index i = 0; i < n; ++i) {
          g.db.put(p.b + i, db_at(g, p.out + i, p.a + i * step_a, p.b + i * step_b));
        }
      }
    });
  }
  const Index step_a = s.a[s.rank - 1];
  const Index step_b = s.b[s.rank - 1];
  if (g.da.wanted() && !each_a) {
    reduce_repeated<A>(
        s,
        [&](LongSum<A>* sums, Place p, Index n) {
          add_run<A>(sums, n, step_a != 0, [&](Index i) {
            return da_at(g, p.out + i, p.a + i * step_a, p.b + i * step_b);
          });
        },
        [&](Index i, A sum) { g.da.put(i, sum); });
  }
  if (g.db.wanted() && !each_b) {
    reduce_repeated<A>(
        other,
        [&](LongSum<A>* sums, Place p, Index n) {  // here p.a is a place of b, and p.b one of a
          add_run<A>(sums, n, step_b != 0, [&](Index i) {
            return db_at(g, p.out + i, p.b + i * step_a, p.a + i * step_b);
          });
        },
        [&](Index i, A sum) { g.db.put(i, sum); });
  }
}

#define POSETAPE_UNARY(op)                      \
  POSETAPE_CPU_KERNEL(UnaryForward, unary::op); \
  POSETAPE_CPU_KERNEL(UnaryBackward, unary::op);
#define POSETAPE_BINARY(op)                       \
  POSETAPE_CPU_KERNEL(BinaryForward, binary::op); \
  POSETAPE_CPU_KERNEL(BinaryBackward, binary::op);
#include "kernels/ops.def"

}  // namespace posetape
