// One of the sequences that attention works on, for its CPU kernels.
#pragma once

#include "kernels/axial_attention/axial_attention.hpp"
#include "kernels/cpu/vector.hpp"

namespace posetape {

// Where the tokens of one sequence and the channels of its segment are.
struct Place {
  Index first_token;
  Index token_step;
  Index length;
  Index channel;   // of the first head's first channel in [0, D)
  Index lse_slot;  // of the first head in [0, segments * heads)

  Place(const AttentionShape& s, Index segment, Index sequence)
      : first_token(s.first_token(segment, sequence)),
        token_step(s.token_step(segment)),
        length(s.length(segment)),
        channel(segment * s.heads * s.head_width()),
        lse_slot(segment * s.heads) {}
  Index token(Index i) const { return first_token + i * token_step; }
};

static inline Index padded(Index n, Index to) {
  return (n + to - 1) / to * to;
}

// The next tokens' channels are too far away for the processor to see them coming: so many tokens
// ahead they are asked for.
static constexpr Index kAhead = 16;

// Calls f(i, row) for the tokens of a sequence: the row of x where its channels begin.
template <class T, class F>
static void each_row_ahead(const T* x, Index stride, const Place& p, Index channels, const F& f) {
  for (Index i = 0; i < p.length; ++i) {
    const T* row = x + p.token(i) * stride + p.channel;
    prefetch(row + kAhead * p.token_step * stride, channels);
    f(i, row);
  }
}

}  // namespace posetape
