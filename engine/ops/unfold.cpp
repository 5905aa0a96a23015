#include "engine/ops/unfold.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"
#include "kernels/unfold/unfold.hpp"

namespace posetape {
namespace {

// The number of patches along an axis of the image.
Index count_along(int axis, const Shape& x, std::array<Index, 2> size, const UnfoldOptions& o) {
  const auto i = static_cast<std::size_t>(axis);
  if (o.stride[i] < 1 || o.dilation[i] < 1 || o.before[i] < 0 || o.after[i] < 0) {
    fail(
        "unfold: stride {}, dilation {}, zeros before {} and after {}; the first two must be at "
        "least 1, the others not negative",
        o.stride[i], o.dilation[i], o.before[i], o.after[i]);
  }
  const Index reach = (size[i] - 1) * o.dilation[i] + 1;
  const Index length = o.before[i] + x[1 + axis] + o.after[i];
  if (size[i] < 1 || reach > length) {
    fail(
        "unfold: patches of {} by {} with dilation {} reach over {} {}, x {} has {} with its zeros",
        size[0], size[1], o.dilation[i], reach, axis == 0 ? "rows" : "columns", x.text(), length);
  }
  return (length - reach) / o.stride[i] + 1;
}

UnfoldSizes sizes_of(const Shape& x, const Shape& y) {
  return {x[0], {x[1], x[2]}, {y[1], y[2]}, x[3]};
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& dy = backward.cotangent();
  const UnfoldSizes sizes = sizes_of(node.inputs[0].shape, dy.shape());
  dispatch(dy, [&]<class T>(auto where) {
    launch(where, UnfoldBackward<T>{dy.data<T>(), backward.gradient<T>(0), sizes,
                                    node.attributes.as<Patches>()});
  });
}

double flops(const Node&) {
  return 0;
}

}  // namespace

Tensor unfold(const Tensor& x, std::array<Index, 2> size, const UnfoldOptions& o) {
  check_operands(Op::unfold, {{"x", x}});
  const Shape& shape = x.shape();
  if (shape.rank() != 4) fail("unfold: x is {}; expected [B, H, W, C]", shape.text());
  const Tensor y = Tensor::empty({shape[0], count_along(0, shape, size, o),
                                  count_along(1, shape, size, o), size[0], size[1], shape[3]},
                                 x.dtype(), x.device());
  const Patches patches{{size[0], size[1]},
                        {o.stride[0], o.stride[1]},
                        {o.dilation[0], o.dilation[1]},
                        {o.before[0], o.before[1]}};
  dispatch(x, [&]<class T>(auto where) {
    launch(where, UnfoldForward<T>{x.data<T>(), y.data<T>(), sizes_of(shape, y.shape()), patches});
  });
  record(Op::unfold, {x}, {y}, {}, patches);
  return y;
}

const Rule unfold_rule{backward_rule, flops};

}  // namespace posetape
