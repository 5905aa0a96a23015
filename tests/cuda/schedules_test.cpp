// Every op's smaller cases give the same bits in whatever order threads, blocks and streams run, in
// f32, and in bf16 where that has kernels of its own.
#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "engine/ops.hpp"
#include "kernels/emulation/control.hpp"
#include "kernels/emulation/schedule.hpp"
#include "tests/cases/cases.hpp"

using namespace posetape;

namespace {

constexpr Index kMostElements = 3000;  // of a case's inputs

// All outputs and gradients, converted to f64, one after the other.
std::vector<double> bits(const Case& c, std::span<const Tensor> inputs, DType dtype) {
  const CaseResults got = results(c, inputs, dtype);
  std::vector<double> all;
  const auto put = [&](const Tensor& t) {
    if (!t.defined()) return;
    const std::vector<double> values = t.to_doubles();
    all.insert(all.end(), values.begin(), values.end());
  };
  for (const Tensor& output : got.outputs) put(output);
  for (const auto& [input, gradient] : got.gradients) put(gradient);
  return all;
}

void check(const Case& c, DType dtype) {
  CAPTURE(c.name);
  std::vector<Tensor> moved;
  for (const Tensor& x : c.inputs) moved.push_back(converted(x, dtype).to(Device::cuda));
  const auto run = [&] { return bits(c, moved, dtype); };
  const std::vector<double> first = emulation::same_under_all_schedules(run);
  CHECK(emulation::same_under_all_stream_orders(run).size() == first.size());
  CHECK_FALSE(first.empty());
}

void check(Op op, DType dtype) {
  for (const Case& c : cases(op)) {
    if (input_size(c) <= kMostElements) check(c, dtype);
  }
}

}  // namespace

#define POSETAPE_OP(op)                                                 \
  TEST_CASE("cuda: " #op " gives the same bits whatever comes first") { \
    check(Op::op, DType::f32);                                          \
  }
#include "kernels/ops.def"

TEST_CASE("cuda: kernels on tensor cores give the same bits whatever comes first") {
  check(Op::axial_attention, DType::bf16);
  check(Op::linear, DType::bf16);
  check(
      {"after_norm",
       {random_normal({2, 70, 24}, 1), random_normal({72, 24}, 2), random_normal({72}, 3),
        random_normal({24}, 4), random_normal({24}, 5), random_normal({2, 70, 24}, 6),
        random_normal({2, 24}, 7)},
       [](std::span<const Tensor> in) {
         const auto [y, sum] = norm_linear({in[0], in[3], in[4], 1e-5, in[5], in[6]}, in[1], in[2]);
         return std::vector{y, sum};
       }},
      DType::bf16);
  check({"several",
         {random_normal({5, 16}, 1), random_normal({40, 16}, 2), random_normal({40}, 3),
          random_normal({40, 16}, 4), random_normal({40}, 5)},
         [](std::span<const Tensor> in) {
           return linears(in[0], std::vector<LinearLayer>{{in[1], in[2]}, {in[3], in[4]}});
         }},
        DType::bf16);
  // Three chunks of rows, whose sums meet.
  check({"rows_600",
         {random_normal({600, 8}, 1), random_normal({72, 8}, 2), random_normal({72}, 3)},
         [](std::span<const Tensor> in) {
           return std::vector{linear(in[0], in[1], in[2], Activation::gelu)};
         }},
        DType::bf16);
}
