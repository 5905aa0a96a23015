#include "model/pose_denoiser.hpp"
#include "tests/model/whole_model.hpp"

using namespace posetape;
using model::PoseDenoiser;
using model::PoseDenoiserConfig;

namespace {

PoseDenoiserConfig tiny() {
  PoseDenoiserConfig config;
  config.width = 16;
  config.depth = 2;
  config.heads = 2;
  config.mlp_ratio = 2;
  return config;
}

}  // namespace

TEST_CASE("PoseDenoiser has about 4.6 M parameters at its default size") {
  Index count = 0;
  const PoseDenoiser network({}, DType::f32, 1);
  for (const auto& entry : network.parameters().entries()) count += entry.value.size();
  CHECK(count > 4'500'000);
  CHECK(count < 4'800'000);
}

TEST_CASE("PoseDenoiser tells timesteps apart, sequence by sequence") {
  const PoseDenoiser network(tiny(), DType::f64, 5);
  const Tensor one = random_normal({1, 3, 17, 3}, 1);
  const Tensor y1 = random_normal({1, 3, 17, 2}, 2);
  const Tensor x = concat({one, one}, 0);
  const Tensor y = concat({y1, y1}, 0);
  const std::vector<int> t{3, 40};
  const std::vector<int> early{3};
  const std::vector<double> both = network(x, y, t).to_doubles();
  const std::vector<double> alone = network(one, y1, early).to_doubles();
  double same = 0;
  double other = 0;
  for (std::size_t i = 0; i < alone.size(); ++i) {
    same = std::max(same, std::fabs(both[i] - alone[i]));
    other = std::max(other, std::fabs(both[alone.size() + i] - alone[i]));
  }
  CHECK(same < 1e-12);
  CHECK(other > 1e-4);
  CHECK_THROWS_WITH_AS(network(x, y, early),
                       doctest::Contains(doctest::Contains("for 2 sequences")), Error);
}

TEST_CASE("the embedding of t has cosines and sines from frequency 1 down") {
  const std::vector<int> t{0, 3};
  const std::vector<double> e = model::sinusoidal_embedding(t, 4, DType::f64).to_doubles();
  const std::vector<double> expected{
      1, 1, 0, 0, std::cos(3.0), std::cos(0.03), std::sin(3.0), std::sin(0.03)};
  for (std::size_t i = 0; i < e.size(); ++i) CHECK(e[i] == doctest::Approx(expected[i]));
}
