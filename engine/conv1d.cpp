#include "engine/conv1d.hpp"

#include "engine/conv2d.hpp"
#include "engine/ops/reshape.hpp"

namespace posetape {
namespace {

void check(const Tensor& x, const Tensor& weight, const Conv1dOptions& o) {
  if (!x.defined() || !weight.defined()) fail("conv1d: x or weight is undefined");
  const Shape& s = x.shape();
  const Shape& w = weight.shape();
  if (s.rank() != 3 || w.rank() != 3 || s[2] != w[2]) {
    fail("conv1d: x is {}, weight {}; expected [B, T, C] and [O, K, C]", s.text(), w.text());
  }
  if (o.stride < 1 || o.dilation < 1 || o.before < 0 || o.after < 0) {
    fail(
        "conv1d: stride {}, dilation {}, zeros before {} and after {}; the first two must be at "
        "least 1, the others not negative",
        o.stride, o.dilation, o.before, o.after);
  }
  const Index reach = (w[1] - 1) * o.dilation + 1;
  const Index length = o.before + s[1] + o.after;
  if (w[1] < 1 || reach > length) {
    fail("conv1d: weight {} with dilation {} reaches over {} frames, x {} has {} with its zeros",
         w.text(), o.dilation, reach, s.text(), length);
  }
}

}  // namespace

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv1dOptions& o) {
  check(x, weight, o);
  const Shape& s = x.shape();
  const Shape& w = weight.shape();
  const Tensor y =
      conv2d(reshape(x, {s[0], 1, s[1], s[2]}), reshape(weight, {w[0], 1, w[1], w[2]}), bias,
             {.stride = {1, o.stride},
              .dilation = {1, o.dilation},
              .before = {0, o.before},
              .after = {0, o.after}});
  return reshape(y, {s[0], y.shape()[2], w[0]});
}

}  // namespace posetape
