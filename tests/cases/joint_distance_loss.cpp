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
    list.push_back({name, std::move(inputs), make(joint_distance_loss),
                    with_composite(make(joint_distance_loss_composite), std::move(options))});
  };
  const auto call = [](auto op) {
    return [op](std::span<const Tensor> in) { return std::vector{op(in[0], in[1])}; };
  };
  const auto two_calls = [](auto op) {
    return [op](std::span<const Tensor> in) {
      return std::vector{op(in[0], in[1]), op(in[0], in[2])};
    };
  };
  // The target is moved away, so that no distance is near the kink at 0.
  const auto inputs = [](const Shape& shape, std::uint64_t seed, double scale = 1) {
    return std::vector<Tensor>{random_normal(shape, seed, scale),
                               random_normal(shape, seed + 1, scale, 6 * scale)};
  };
  const auto put = [&](const char* name, const Shape& shape, std::uint64_t seed,
                       GradcheckOptions options = {}) {
    put_as(name, inputs(shape, seed), call, std::move(options));
  };
  put("poses", {2, 3, 5, 3}, 10);
  put("constant_target", {4, 3}, 20, constant_inputs({1}));
  put("constant_prediction", {4, 3}, 22, constant_inputs({0}));
  put("one_joint", {3}, 30);
  put("one_element", {1}, 32);
  put("rank3", {2, 2, 3}, 34);
  put("rank5", {1, 2, 1, 2, 3}, 36);
  put("rank6", {2, 1, 2, 1, 1, 3}, 38);
  put("in_training", {2, 5, 17, 3}, 110, constant_inputs({1}));
  put("width_1", {5, 1}, 42);
  put("width_2", {17, 2}, 40);
  put("width_15", {3, 15}, 44);
  put("width_16", {3, 16}, 46);
  put("width_17", {3, 17}, 50);
  put("width_33", {1, 33}, 52);
  put("width_65", {2, 65}, 54);
  // The sum is cut every 1024 rows. A step is spread over all of them.
  put("rows_127", {127, 2}, 90);
  put("rows_129", {129, 2}, 92);
  put("rows_1023", {1023, 2}, 94, steps_from(1));
  put("rows_1024", {1024, 2}, 96, steps_from(1));
  put("rows_1025", {1025, 2}, 98, steps_from(1));
  put("many_rows", {5000, 3}, 60, steps_from(2));
  put_as("tiny", inputs({3, 3}, 100, 1e-6), call, steps_from(1e-7));
  put_as("huge", inputs({3, 3}, 102, 1e6), call);
  // Small distances between poses that are far from 0.
  put_as("close_to_the_target",
         {random_normal({3, 3}, 104, 1e-3, 1), random_normal({3, 3}, 105, 1e-3, 1)}, call,
         steps_from(1e-4));
  put_as("two_calls",
         {random_normal({2, 3}, 106), random_normal({2, 3}, 107, 1, 4),
          random_normal({2, 3}, 108, 1, -4)},
         two_calls);
  // Equal everywhere: on the kink, where the slope is taken as 0 and the loss is constant.
  GradcheckOptions at_the_kink =
      zero_gradient({0}, "constant, on the kink, where a square root has no derivative");
  at_the_kink.without = {Oracle::adjoint, Oracle::complex_step};
  list.push_back(
      {"same_tensor_twice",
       {random_normal({4, 3}, 80)},
       [](std::span<const Tensor> in) { return std::vector{joint_distance_loss(in[0], in[0])}; },
       at_the_kink});
  return list;
}

Numbers reference(const Shape& shape, const std::vector<Numbers>& in) {
  const auto width = static_cast<std::size_t>(shape.back());
  const auto rows = static_cast<std::size_t>(shape.outer(shape.rank() - 1));
  long double total = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    long double squares = 0;
    for (std::size_t i = r * width; i < (r + 1) * width; ++i) {
      squares += (in[0][i] - in[1][i]) * (in[0][i] - in[1][i]);
    }
    total += std::sqrt(squares);
  }
  return {total / static_cast<long double>(rows)};
}

void values(const CheckValues& check) {
  for (const Shape& shape : {Shape{3}, Shape{0, 3}, Shape{1, 1}, Shape{4, 17, 3}, Shape{5000, 3}}) {
    check_loss(check, shape, joint_distance_loss,
               [&](const auto& in) { return reference(shape, in); });
  }
}

DrawnCall draw(Draw& d) {
  return drawn_loss(d, "joint_distance_loss(@0, @1)", joint_distance_loss, reference,
                    joint_distance_loss_composite, true);
}

}  // namespace

const Facts joint_distance_loss_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = [] { return loss_calls(joint_distance_loss); },
    .refused = {[] {
      joint_distance_loss(zeros({2, 3}), zeros({3}));
    }},
    .ulp = {{-1, 0.8, 2.1}, {0, 2.8, 0.5}, {1, 2.8, 0.5}, {2, 0.8, 0.4}},
    .drawn = {{-1, 6.4, 0.6, 9.8}, {0, 6.5, 0.5}, {1, 6.5, 0.5}},
};

}  // namespace posetape
