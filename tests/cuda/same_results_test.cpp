// Every op's gradient-check cases on the CUDA device: the results of the CPU's kernels.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "engine/ops.hpp"
#include "kernels/cuda/runtime.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/precision.hpp"

using namespace posetape;

namespace {

// Both in f64 and far apart in their order of additions.
constexpr double kTolerance = 1e-12;

// Under ThreadSanitizer the smaller cases: they run the same code.
#ifdef __SANITIZE_THREAD__
constexpr Index kMostElements = 500;
#else
constexpr Index kMostElements = std::numeric_limits<Index>::max();
#endif

// The worst difference, relative to the largest entry.
double difference(const Tensor& got, const Tensor& expected) {
  const std::vector<double> g = got.to_doubles();
  const std::vector<double> e = expected.to_doubles();
  double scale = 0;
  for (const double x : e) {
    if (std::isfinite(x)) scale = std::max(scale, std::fabs(x));
  }
  double worst = 0;
  for (std::size_t i = 0; i < e.size(); ++i) {
    if (g[i] == e[i] || (std::isnan(g[i]) && std::isnan(e[i]))) continue;
    const double d = std::fabs(g[i] - e[i]) / std::max(scale, 1e-300);
    worst = std::isnan(d) ? HUGE_VAL : std::max(worst, d);
  }
  return worst;
}

void check_f64(const Case& c, const std::string& label) {
  std::vector<Tensor> moved;
  for (const Tensor& x : c.inputs) moved.push_back(x.to(Device::cuda));
  const CaseResults expected = results(c, c.inputs, DType::f64);
  const CaseResults got = results(c, moved, DType::f64);
  REQUIRE(got.outputs.size() == expected.outputs.size());
  for (std::size_t o = 0; o < got.outputs.size(); ++o) {
    if (!got.outputs[o].defined()) continue;
    CHECK(got.outputs[o].device() == Device::cuda);
    const double d = difference(got.outputs[o], expected.outputs[o]);
    CHECK_MESSAGE(d <= kTolerance, label, ": output ", o, " differs by ", d);
  }
  REQUIRE(got.gradients.size() == expected.gradients.size());
  for (std::size_t g = 0; g < got.gradients.size(); ++g) {
    const double d = difference(got.gradients[g].second, expected.gradients[g].second);
    CHECK_MESSAGE(d <= kTolerance, label, ": gradient of input ", got.gradients[g].first,
                  " differs by ", d);
  }
}

void check(Op op) {
  std::vector<Case> some = cases(op);
  std::erase_if(some, [](const Case& c) { return input_size(c) > kMostElements; });
  for (const Case& c : some) check_f64(c, c.name);
  for (const SuiteRow& row : check_precision(op, some, true, Device::cuda)) {
    CHECK_MESSAGE(row.passed, row.case_name, " in ", row.dtype, ", input ", row.input, ", ",
                  row.where, ": ", row.note);
  }
}

}  // namespace

#define POSETAPE_OP(op)                                \
  TEST_CASE("cuda: " #op " gives the CPU's results") { \
    check(Op::op);                                     \
  }
#include "kernels/ops.def"

// The host cannot look at indices that lie on the device.
TEST_CASE("cuda: an index that is out of range makes NaN of its column, and of no other") {
  const Tensor x = Tensor::full({3, 2}, 1.0, DType::f32, Device::cuda);
  for (const std::int32_t wrong : {-1, 4}) {
    const std::vector<std::int32_t> index{0, 1, wrong, 3, 2, 0};
    const Tensor on_device = Tensor::of<std::int32_t>({3, 2}, index).to(Device::cuda);
    const std::vector<double> sums = scatter_add(x, on_device, 0, 4).to_doubles();
    for (std::size_t i = 0; i < sums.size(); ++i) CHECK(std::isnan(sums[i]) == (i % 2 == 0));
    CHECK(sums[1] == 1);
    CHECK(sums[3] == 1);
    CHECK(sums[7] == 1);
  }
}

TEST_CASE("cuda: concat of more inputs than a kernel takes gives the CPU's bits") {
  for (const int axis : {0, 1}) {
    std::vector<Tensor> inputs, on_device;
    for (Index i = 0; i < 9; ++i) {
      inputs.push_back(random_normal(Shape{2, 2}.with(axis, 1 + i % 3), 60 + i));
      on_device.push_back(inputs.back().to(Device::cuda));
    }
    CHECK(concat(on_device, axis).to_doubles() == concat(inputs, axis).to_doubles());
  }
}
