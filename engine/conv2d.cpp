#include "engine/conv2d.hpp"

#include "engine/ops/elementwise.hpp"
#include "engine/ops/linear.hpp"
#include "engine/ops/matmul.hpp"
#include "engine/ops/reshape.hpp"
#include "engine/ops/sum.hpp"
#include "engine/ops/transpose.hpp"

namespace posetape {
namespace {

void check(const Tensor& x, const Tensor& weight, Index groups) {
  if (!x.defined() || !weight.defined()) fail("conv2d: x or weight is undefined");
  const Shape& s = x.shape();
  const Shape& w = weight.shape();
  if (s.rank() != 4 || w.rank() != 4 || groups < 1 || s[3] % groups != 0 || w[0] % groups != 0 ||
      w[3] != s[3] / groups) {
    fail(
        "conv2d: x is {}, weight {}, groups {}; expected [B, H, W, C] and [O, K, L, C / groups], C "
        "and O multiples of groups",
        s.text(), w.text(), groups);
  }
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o) {
  check(x, weight, o.groups);
  const Shape& s = x.shape();
  const Shape& w = weight.shape();
  const Index taps = w[1] * w[2];
  const Index groups = o.groups;
  const auto patches_of = [&](const Tensor& image) {
    return unfold(image, {w[1], w[2]}, {o.stride, o.dilation, o.before, o.after});
  };
  if (groups == 1) {
    const Tensor patches = patches_of(x);
    const Shape& p = patches.shape();
    return linear(reshape(patches, {p[0], p[1], p[2], taps * s[3]}),
                  reshape(weight, {w[0], taps * s[3]}), bias);
  }
  Tensor y;
  Shape image;
  if (groups == s[3] && w[0] == s[3]) {  // depthwise: sums of a few terms each, and no product
    const Tensor patches = patches_of(x);
    image = patches.shape();
    const Tensor columns = reshape(patches, {image.outer(3), taps, groups});
    y = sum(mul(columns, transpose(reshape(weight, {groups, taps}), {1, 0})), {{1}});
  } else {
    // The groups are a batch of images, and then of products.
    const Tensor parts = transpose(reshape(x, {s.outer(3), groups, w[3]}), {1, 0, 2});
    const Tensor patches = patches_of(reshape(parts, {groups * s[0], s[1], s[2], w[3]}));
    image = patches.shape().with(0, s[0]);
    const Tensor products =
        matmul(reshape(patches, {groups, image.outer(3), taps * w[3]}),
               reshape(weight, {groups, w[0] / groups, taps * w[3]}), {.transpose_b = true});
    y = transpose(products, {1, 0, 2});
  }
  y = reshape(y, {image[0], image[1], image[2], w[0]});
  return bias.defined() ? add(y, bias) : y;
}

}  // namespace posetape
