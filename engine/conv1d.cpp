#include "engine/conv1d.hpp"

#include <algorithm>
#include <vector>

#include "engine/ops/concat.hpp"
#include "engine/ops/linear.hpp"
#include "engine/ops/reshape.hpp"
#include "engine/ops/slice.hpp"

namespace posetape {
namespace {

// The number of results.
Index check(const Tensor& x, const Tensor& weight, const Conv1dOptions& o) {
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
  return (length - reach) / o.stride + 1;
}

}  // namespace

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv1dOptions& o) {
  const Index results = check(x, weight, o);
  const Shape& s = x.shape();
  const Index taps = weight.shape()[1];
  const Index channels = s[2];
  // A tap takes `stride` frames for each result, of which the first is looked at: the last one's
  // may lie behind the end.
  const Index taken = (taps - 1) * o.dilation + results * o.stride;
  const Index after = std::max<Index>(0, taken - o.before - s[1]);
  std::vector<Tensor> parts{x};
  const auto zeros = [&](Index frames) {
    return Tensor::zeros({s[0], frames, channels}, x.dtype(), x.device());
  };
  if (o.before > 0) parts.insert(parts.begin(), zeros(o.before));
  if (after > 0) parts.push_back(zeros(after));
  const Tensor padded = parts.size() > 1 ? concat(parts, 1) : x;
  std::vector<Tensor> columns;
  for (Index k = 0; k < taps; ++k) {
    const Index begin = k * o.dilation;
    Tensor tap = slice(padded, 1, begin, begin + results * o.stride);
    if (o.stride > 1) {
      tap = slice(reshape(tap, {s[0], results, o.stride * channels}), 2, 0, channels);
    }
    columns.push_back(tap);
  }
  const Tensor all = taps > 1 ? concat(columns, 2) : columns[0];
  return linear(all, reshape(weight, {weight.shape()[0], taps * channels}), bias);
}

}  // namespace posetape
