// Memory for time: activations that are not kept for the backward pass but computed again in it
// (Chen, Xu, Zhang and Guestrin, arXiv 1604.06174).
//
//   Tape tape(/*recompute_level=*/1);
//   ...
//   h = recompute(1, [this](const Tensor& x) { return mlp(norm(x)); }, h);
//
// The nodes of such a segment stand on the tape like all others, but without the tensors that they
// saved: before the backward pass comes to them, the function runs again and gives them back. The
// rules then run on the same numbers in the same order, so that gradients are equal to the bit at
// every level.
#pragma once

#include <functional>
#include <utility>

#include "engine/tape.hpp"

namespace posetape {

// A segment of the tape that records, from the constructor to close(). None where the tape's level
// is below `level`, and none inside another one.
class Segment {
 public:
  explicit Segment(int level);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  bool open() const { return tape_ != nullptr; }
  // `function` records the same nodes again.
  void close(std::function<void()> function);

 private:
  Tape* tape_ = nullptr;
};

// f(inputs...), one tensor or a struct of them. Where the recording tape's level is `level` or
// more, what f's ops save is let go of when the next segment begins; the last segment, with which
// the backward pass begins, would gain nothing and keeps it. Until the backward pass is over the
// tape holds f and the inputs, and what f refers to must live. f must do the same each time
// (anything random comes through the inputs), read no values on the host and keep no tensor.
template <class F, class... Inputs>
auto recompute(int level, F f, const Inputs&... inputs) {
  Segment segment(level);
  auto result = f(inputs...);
  if (segment.open()) segment.close([f, inputs...] { static_cast<void>(f(inputs...)); });
  return result;
}

}  // namespace posetape
