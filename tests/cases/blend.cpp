#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto put_as = [&](const char* name, std::vector<Tensor> inputs, const auto& make,
                          GradcheckOptions options = {}) {
    if (options.zero.empty()) options.composite = make(blend_composite);
    list.push_back({name, std::move(inputs), make(blend), std::move(options)});
  };
  const auto call = [](auto op) {
    return [op](std::span<const Tensor> in) { return std::vector{op(in[0], in[1], in[2], in[3])}; };
  };
  const auto inputs = [](const Shape& shape, std::uint64_t seed, double scale = 1) {
    return std::vector<Tensor>{
        random_normal({shape[0]}, seed, scale), random_normal(shape, seed + 1, scale),
        random_normal({shape[0]}, seed + 2, scale), random_normal(shape, seed + 3, scale)};
  };
  const auto put = [&](const char* name, const Shape& shape, std::uint64_t seed,
                       GradcheckOptions options = {}) {
    put_as(name, inputs(shape, seed), call, std::move(options));
  };
  put("poses", {2, 3, 5, 3}, 10);
  put("constant_factors", {3, 17}, 20, constant_inputs({0, 2}));
  put("rank1", {5}, 30);
  put("rank3", {2, 3, 4}, 34);
  put("rank5", {2, 1, 3, 1, 4}, 38);
  put("rank6", {2, 1, 2, 1, 2, 3}, 44);
  put("one_element", {1, 1}, 40);
  put("samples_15", {3, 15}, 54);
  put("samples_16", {3, 16}, 58);
  put("tail_33", {2, 33}, 50);
  put("tail_65", {2, 65}, 62);
  put("empty_samples", {2, 0}, 70, zero_gradient({0, 2}, kEmptyResult));
  // A factor's gradient is summed 1024 elements at a time, the rest cut every 4096.
  put("stretch_1023", {2, 1023}, 110);
  put("stretch_1024", {2, 1024}, 114);
  put("stretch_1025", {2, 1025}, 118);
  put("block_4097", {2, 4097}, 122);
  put("long_samples", {3, 9000}, 80);
  put("many_samples", {20000, 2}, 90);
  put("p_constant", {2, 3}, 130, constant_inputs({0}));
  put("x_constant", {2, 3}, 134, constant_inputs({1}));
  put("q_constant", {2, 3}, 138, constant_inputs({2}));
  put("y_constant", {2, 3}, 142, constant_inputs({3}));
  put("factors_alone", {2, 3}, 146, constant_inputs({1, 3}));
  put_as("tiny", inputs({2, 3}, 150, 1e-6), call);
  put_as("huge", inputs({2, 3}, 154, 1e6), call);
  std::vector<Tensor> empty = inputs({0, 3}, 158);
  empty.push_back(random_normal({2}, 162));
  list.push_back({"empty_batch", empty, beside_last(call(blend))});
  const auto repeated = [](auto op) {
    return [op](std::span<const Tensor> in) { return std::vector{op(in[0], in[1], in[0], in[1])}; };
  };
  put_as("same_tensor_twice", {random_normal({3}, 100), random_normal({3, 4}, 101)}, repeated);
  const auto everywhere = [](auto op) {
    return [op](std::span<const Tensor> in) { return std::vector{op(in[0], in[0], in[0], in[0])}; };
  };
  put_as("same_tensor_everywhere", {random_normal({3}, 102)}, everywhere);
  const auto two_calls = [](auto op) {
    return [op](std::span<const Tensor> in) {
      return std::vector{op(in[0], in[1], in[2], in[3]), op(in[2], in[1], in[0], in[3])};
    };
  };
  put_as("two_calls", inputs({2, 3}, 166), two_calls);
  return list;
}

Numbers reference(const Shape& shape, const std::vector<Numbers>& in) {
  Numbers y(in[1].size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t b = i / static_cast<std::size_t>(shape.inner(0));
    y[i] = in[0][b] * in[1][i] + in[2][b] * in[3][i];
  }
  return y;
}

void values(const CheckValues& check) {
  for (const Shape& shape :
       {Shape{1}, Shape{0, 3}, Shape{2, 0}, Shape{3, 17}, Shape{2, 3, 5, 3}, Shape{2, 9001}}) {
    const Shape batch{shape[0]};
    check(
        shape.text(),
        {random_normal(batch, 1), random_normal(shape, 2), random_normal(batch, 3),
         random_normal(shape, 4)},
        [](std::span<const Tensor> in) { return blend(in[0], in[1], in[2], in[3]); },
        [&](const auto& in) { return reference(shape, in); });
  }
}

std::vector<ModelCall> calls() {
  return {
      {"",
       [] {
         return std::vector{random_normal({kBatch}, 1), random_normal(kPoses, 2),
                            random_normal({kBatch}, 3), random_normal(kPoses, 4)};
       },
       [](std::span<const Tensor> in) { return std::vector{blend(in[0], in[1], in[2], in[3])}; }}};
}

DrawnCall draw(Draw& d) {
  const int x = d.any(1);
  const Shape shape = d.shape_of(x);
  const Shape batch{shape[0]};
  const auto call = [](const auto& op) {
    return [op](std::span<const Tensor> in) { return std::vector{op(in[0], in[1], in[2], in[3])}; };
  };
  return {{d.of(batch), x, d.of(batch), d.of(shape)},
          call(blend),
          "blend(@0, @1, @2, @3)",
          {[shape](const auto& in) { return reference(shape, in); }},
          call(blend_composite)};
}

}  // namespace

const Facts blend_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] {
                  blend(zeros({2}), zeros({2, 3}), zeros({2}), zeros({2, 4}));
                },
                [] {
                  blend(zeros({3}), zeros({2, 3}), zeros({2}), zeros({2, 3}));
                }},
    .ulp = {{-1, 2.7, 0.5},
            {0, 12.0, 0.5},
            {1, 0.5, 0.5},
            {2, 20.0, 0.5},
            {3, 0.5, 0.5},
            {4, 0.0, 0.0}},
    .drawn = {{-1, 1.7, 0.5, 1.7}, {0, 8.5, 0.5}, {1, 0.5, 0.5}, {2, 7.9, 0.5}, {3, 0.5, 0.5}},
};

}  // namespace posetape
