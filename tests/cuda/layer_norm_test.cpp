// Layer norm of rows that are too wide for a warp, with a shift a group.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

using namespace posetape;

TEST_CASE("cuda: layer norm of wide rows gives the CPU's gradients, the shift's too") {
  constexpr Index kWidth = 700;
  const Case c{"wide",
               {random_normal({6, kWidth}, 1), random_normal({kWidth}, 2),
                random_normal({kWidth}, 3), random_normal({2, kWidth}, 4)},
               [](std::span<const Tensor> in) {
                 const Normalized n = layer_norm(in[0], in[1], in[2], 1e-5, {}, in[3]);
                 return std::vector{n.y, n.s};
               }};
  std::vector<Tensor> moved;
  for (const Tensor& x : c.inputs) moved.push_back(x.to(Device::cuda));
  const CaseResults expected = results(c, c.inputs, DType::f64);
  const CaseResults got = results(c, moved, DType::f64);
  REQUIRE(got.gradients.size() == 2 * c.inputs.size());  // of each output
  for (std::size_t g = 0; g < got.gradients.size(); ++g) {
    const std::vector<double> e = expected.gradients[g].second.to_doubles();
    const std::vector<double> d = got.gradients[g].second.to_doubles();
    REQUIRE(d.size() == e.size());
    for (std::size_t i = 0; i < e.size(); ++i) CHECK(std::fabs(d[i] - e[i]) < 1e-10);
  }
}
