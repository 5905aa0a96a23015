#include <fmt/format.h>

#include <algorithm>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

using Size = std::array<Index, 2>;

TensorFunction patches(Size size, const UnfoldOptions& options = {}) {
  return elementwise(Unary([=](const Tensor& x) { return unfold(x, size, options); }));
}

const UnfoldOptions kZeros{.before = {1, 1}, .after = {1, 1}};
const UnfoldOptions kAll{.stride = {2, 3}, .dilation = {2, 1}, .before = {3, 1}, .after = {0, 4}};

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto put = [&](const char* name, const Tensor& x, Size size,
                       const UnfoldOptions& options = {}) {
    const Unary composite = [=](const Tensor& t) { return unfold_composite(t, size, options); };
    list.push_back({name, {x}, patches(size, options), with_composite(elementwise(composite))});
  };
  put("pixels", random_normal({2, 3, 4, 2}, 1), {1, 1});
  put("one_patch", random_normal({1, 3, 2, 2}, 2), {3, 2});
  put("three_by_three", random_normal({2, 4, 5, 3}, 3), {3, 3});
  put("zeros_around", random_normal({1, 4, 3, 2}, 4), {3, 3}, kZeros);
  put("time_alone", random_normal({2, 1, 9, 3}, 5), {1, 3}, {.before = {0, 2}});
  put("strides", random_normal({1, 5, 6, 2}, 6), {2, 2}, {.stride = {2, 2}});
  put("dilations", random_normal({1, 5, 7, 2}, 7), {3, 2}, {.dilation = {2, 3}});
  put("all_of_it", random_normal({2, 6, 5, 3}, 8), {3, 2}, kAll);
  put("uneven_zeros", random_normal({1, 2, 3, 2}, 9), {2, 2}, {.before = {2, 0}, .after = {0, 3}});
  put("one_channel", random_normal({2, 4, 4, 1}, 10), {3, 3}, kZeros);
  put("channels_15", random_normal({1, 2, 3, 15}, 11), {2, 2});
  put("channels_16", random_normal({1, 2, 3, 16}, 12), {2, 2});
  put("channels_17", random_normal({1, 2, 3, 17}, 13), {2, 2});
  put("channels_65", random_normal({1, 2, 2, 65}, 14), {2, 1});
  put("channels_4097", random_normal({1, 1, 2, 4097}, 15), {1, 2});
  put("many_pixels", random_normal({2, 40, 30, 1}, 16), {3, 3}, kZeros);
  put("tiny", random_normal({1, 3, 3, 2}, 17, 1e-6), {2, 2});
  put("huge", random_normal({1, 3, 3, 2}, 18, 1e6), {2, 2});
  // A stride that leaves pixels out: they have no gradient.
  put("gaps", random_normal({1, 5, 5, 2}, 19), {1, 1}, {.stride = {2, 3}});
  list.push_back({"two_calls", {random_normal({1, 4, 4, 2}, 20)}, [](std::span<const Tensor> in) {
                    return std::vector{unfold(in[0], {2, 3}), unfold(in[0], {3, 1}, kZeros)};
                  }});
  list.push_back({"zeros_alone",
                  {random_normal({1, 1, 1, 2}, 21)},
                  patches({1, 1}, {.stride = {2, 2}, .before = {1, 1}}),
                  zero_gradient({0}, "the one patch lies before the image")});
  list.push_back({"no_images",
                  {random_normal({0, 3, 3, 2}, 22), random_normal({2}, 23)},
                  beside_last(patches({2, 2}))});
  list.push_back({"no_channels",
                  {random_normal({1, 3, 3, 0}, 24), random_normal({2}, 25)},
                  beside_last(patches({2, 2}))});
  return list;
}

// So many patches along an axis of the image.
Index patches_along(Index extent, Index size, const UnfoldOptions& o, std::size_t axis) {
  const Index all = o.before[axis] + extent + o.after[axis];
  return (all - (size - 1) * o.dilation[axis] - 1) / o.stride[axis] + 1;
}

Numbers reference(const Shape& image, Size size, const UnfoldOptions& o,
                  const std::vector<Numbers>& in) {
  const Shape y{image[0],
                patches_along(image[1], size[0], o, 0),
                patches_along(image[2], size[1], o, 1),
                size[0],
                size[1],
                image[3]};
  Numbers result(static_cast<std::size_t>(y.size()), 0.0L);
  each_index(y, [&](const std::vector<Index>& i, std::size_t n) {
    std::vector<Index> at{i[0], 0, 0, i[5]};
    for (std::size_t axis = 0; axis < 2; ++axis) {
      at[1 + axis] = i[1 + axis] * o.stride[axis] + i[3 + axis] * o.dilation[axis] - o.before[axis];
      if (at[1 + axis] < 0 || at[1 + axis] >= image[static_cast<int>(1 + axis)]) return;
    }
    result[n] = in[0][place_in(image, at)];
  });
  return result;
}

void values(const CheckValues& check) {
  struct Call {
    Shape x;
    Size size;
    UnfoldOptions options = {};
  };
  for (const auto& [shape, size, o] : {Call{{1, 1, 1, 1}, {1, 1}},
                                       {{2, 4, 5, 3}, {3, 2}},
                                       {{1, 4, 3, 17}, {3, 3}, kZeros},
                                       {{2, 6, 5, 3}, {3, 2}, kAll},
                                       {{0, 3, 3, 1}, {2, 2}},
                                       {{1, 3, 3, 0}, {2, 2}},
                                       {{1, 1, 900, 2}, {1, 5}, {.before = {0, 4}}}}) {
    const auto f = [size = size, o = o](std::span<const Tensor> in) {
      return unfold(in[0], size, o);
    };
    const auto plain = [&, image = shape, size = size, o = o](const auto& in) {
      return reference(image, size, o, in);
    };
    const Tensor x = random_normal(shape, 1);
    check(shape.text(), {x}, f, plain);
    if (x.size() > 0) check("nan", {with_nan(x, x.size() / 2)}, f, plain);
  }
}

std::vector<ModelCall> calls() {
  return {
      {"", [] { return std::vector{random_normal(kTokens, 1)}; }, patches({3, 3}, kZeros)},
  };
}

DrawnCall draw(Draw& d) {
  const int x = d.any(4, 4);
  const Shape image = d.shape_of(x);
  Size size{};
  UnfoldOptions o;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const Index extent = image[static_cast<int>(1 + axis)];
    o.stride[axis] = 1 + d.below(3);
    o.dilation[axis] = 1 + d.below(2);
    o.before[axis] = d.below(3);
    // A patch at least.
    size[axis] = 1 + d.below(3);
    const Index missing = (size[axis] - 1) * o.dilation[axis] + 1 - o.before[axis] - extent;
    o.after[axis] = d.below(3) + std::max<Index>(0, missing);
  }
  const auto two = [](const Size& pair) { return braced(Shape{pair[0], pair[1]}); };
  return {{x},
          patches(size, o),
          fmt::format("unfold(@0, {}, {{{}, {}, {}, {}}})", two(size), two(o.stride),
                      two(o.dilation), two(o.before), two(o.after)),
          {[=](const auto& in) { return reference(image, size, o, in); }},
          elementwise(Unary([=](const Tensor& t) { return unfold_composite(t, size, o); }))};
}

}  // namespace

const Facts unfold_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] {
                  unfold(zeros({2, 3, 3}), {1, 1});
                },
                [] {
                  unfold(zeros({1, 3, 3, 1}), {4, 1});
                },
                [] {
                  unfold(zeros({1, 3, 3, 1}), {1, 4});
                },
                [] {
                  unfold(zeros({1, 3, 3, 1}), {0, 1});
                },
                [] {
                  unfold(zeros({1, 3, 3, 1}), {1, 1}, {.stride = {0, 1}});
                },
                [] {
                  unfold(zeros({1, 3, 3, 1}), {2, 1}, {.dilation = {0, 1}});
                },
                [] {
                  unfold(zeros({1, 3, 3, 1}), {1, 1}, {.before = {0, -1}});
                },
                [] {
                  unfold(zeros({1, 3, 3, 1}), {1, 1}, {.after = {-1, 0}});
                }},
    .ulp = {{-1, 0.0, 0.0}, {0, 2.9, 0.5}, {1, 0.0, 0.0}},
    .drawn = {{-1, 0.0, 0.0, 0.0}, {0, 2.7, 0.5}},
};

}  // namespace posetape
