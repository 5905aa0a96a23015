#include <cmath>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto put_as = [&](const char* name, std::vector<Tensor> inputs, const auto& make,
                          GradcheckOptions options = {}) {
    list.push_back({name, std::move(inputs), make(mse_loss),
                    with_composite(make(mse_loss_composite), std::move(options))});
  };
  const auto call = [](auto op) {
    return [op](std::span<const Tensor> in) { return std::vector{op(in[0], in[1])}; };
  };
  const auto two_calls = [](auto op) {
    return [op](std::span<const Tensor> in) {
      return std::vector{op(in[0], in[1]), op(in[0], in[2])};
    };
  };
  const auto inputs = [](const Shape& shape, std::uint64_t seed, double scale = 1) {
    return std::vector<Tensor>{random_normal(shape, seed, scale),
                               random_normal(shape, seed + 1, scale)};
  };
  const auto put = [&](const char* name, const Shape& shape, std::uint64_t seed,
                       GradcheckOptions options = {}) {
    put_as(name, inputs(shape, seed), call, std::move(options));
  };
  put("poses", {2, 3, 5, 3}, 10);
  put("constant_target", {17}, 20, constant_inputs({1}));
  put("constant_prediction", {2, 3}, 22, constant_inputs({0}));
  put("in_training", {2, 5, 17, 3}, 100, constant_inputs({1}));
  put("scalar", {}, 30);
  put("one_element", {1}, 40);
  put("rank1_15", {15}, 42);
  put("rank2_16", {2, 16}, 44);
  put("rank3_31", {1, 2, 31}, 46);
  put("rank5", {2, 1, 2, 1, 3}, 48);
  put("rank6", {1, 2, 1, 2, 1, 3}, 52);
  put("tail_33", {3, 33}, 50);
  put("tail_65", {1, 65}, 54);
  // The sum is in stretches of 128 elements and blocks of 4096.
  put("stretch_127", {127}, 80);
  put("stretch_128", {128}, 82);
  put("stretch_129", {129}, 84);
  put("block_4095", {4095}, 86);
  put("block_4096", {4096}, 88);
  put("block_4097", {4097}, 90);
  put("long", {3, 10001}, 60);
  put_as("tiny", inputs({2, 3}, 92, 1e-6), call, steps_from(1e-6));
  put_as("huge", inputs({2, 3}, 94, 1e6), call);
  put_as("two_calls",
         {random_normal({2, 3}, 96), random_normal({2, 3}, 97), random_normal({2, 3}, 98)},
         two_calls);
  // The loss is 0 whatever x is.
  list.push_back({"same_tensor_twice",
                  {random_normal({2, 3}, 70)},
                  [](std::span<const Tensor> in) { return std::vector{mse_loss(in[0], in[0])}; },
                  zero_gradient({0}, "a mean of zeros, at its minimum everywhere")});
  return list;
}

Numbers reference(const Shape&, const std::vector<Numbers>& in) {
  long double total = 0;
  for (std::size_t i = 0; i < in[0].size(); ++i) {
    total += (in[0][i] - in[1][i]) * (in[0][i] - in[1][i]);
  }
  return {total / static_cast<long double>(in[0].size())};
}

void values(const CheckValues& check) {
  for (const Shape& shape : {Shape{3}, Shape{0, 3}, Shape{1, 1}, Shape{4, 17, 3}, Shape{5000, 3}}) {
    check_loss(check, shape, mse_loss, [&](const auto& in) { return reference(shape, in); });
  }
}

DrawnCall draw(Draw& d) {
  return drawn_loss(d, "mse_loss(@0, @1)", mse_loss, reference, mse_loss_composite, false);
}

}  // namespace

const Facts mse_loss_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = [] { return loss_calls(mse_loss); },
    .refused = {[] { mse_loss(zeros({2}), zeros({3})); }},
    .ulp = {{-1, 4.1, 3.9}, {0, 1.8, 0.5}, {1, 1.8, 0.5}, {2, 0.4, 0.4}},
    .drawn = {{-1, 4.7, 0.6, 5.5}, {0, 1.9, 0.5}, {1, 1.9, 0.5}},
};

}  // namespace posetape
