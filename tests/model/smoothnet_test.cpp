#include "model/smoothnet.hpp"

#include "tests/model/whole_model.hpp"

using namespace posetape;
using model::Smoothnet;
using model::SmoothnetConfig;

namespace {

Tensor poses(const Shape& shape, std::uint64_t seed) {
  return Tensor::of(shape, random_normal(shape, seed).values<double>(), DType::f32);
}

}  // namespace

TEST_CASE("SmoothNet has the parameters of the released network of 32 frames") {
  Index count = 0;
  const Smoothnet network({}, DType::f32, 1);
  for (const auto& entry : network.parameters().entries()) count += entry.value.size();
  CHECK(count == 691'872);
}

TEST_CASE("SmoothNet treats every coordinate of every joint alike, and apart from the others") {
  const Smoothnet network({6, 16, 8, 2}, DType::f64, 3);
  const Tensor x = random_normal({1, 6, 17, 3}, 1);
  const std::vector<double> out = network(x).to_doubles();
  // One series moves to another place, and so does its result; the rest stays.
  const Tensor moved = x.clone();
  for (Index f = 0; f < 6; ++f) {
    std::swap(moved.data<double>()[f * 51 + 4], moved.data<double>()[f * 51 + 29]);
  }
  std::vector<double> expected = out;
  for (std::size_t f = 0; f < 6; ++f) std::swap(expected[f * 51 + 4], expected[f * 51 + 29]);
  const std::vector<double> found = network(moved).to_doubles();
  for (std::size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i] == doctest::Approx(expected[i]).epsilon(1e-12));
  }
}

TEST_CASE("SmoothNet is what its layers say, written out for one series") {
  const Smoothnet network({4, 3, 2, 1}, DType::f64, 5);
  const auto weights = [&](const char* name) {
    for (const auto& entry : network.parameters().entries()) {
      if (entry.name == name) return entry.value.to_doubles();
    }
    return std::vector<double>();
  };
  const auto layer = [&](const std::vector<double>& x, const std::string& name, double slope) {
    const std::vector<double> w = weights((name + ".weight").c_str());
    std::vector<double> y = weights((name + ".bias").c_str());
    for (std::size_t o = 0; o < y.size(); ++o) {
      for (std::size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
      if (y[o] < 0) y[o] *= slope;
    }
    return y;
  };
  const Tensor x = random_normal({1, 4, 1, 3}, 2);
  std::vector<double> series;
  for (Index f = 0; f < 4; ++f) series.push_back(x.data<double>()[f * 3 + 1]);
  std::vector<double> h = layer(series, "input", 0.1);
  const std::vector<double> update = layer(layer(h, "pairs.0.fc1", 0.2), "pairs.0.fc2", 0.2);
  for (std::size_t i = 0; i < h.size(); ++i) h[i] += update[i];
  const std::vector<double> expected = layer(h, "output", 1);
  const std::vector<double> out = network(x).to_doubles();
  for (std::size_t f = 0; f < 4; ++f) CHECK(out[f * 3 + 1] == doctest::Approx(expected[f]));
}

TEST_CASE("SmoothNet's loss is the absolute error of positions and of accelerations") {
  const Tensor zero = Tensor::zeros({1, 4, 1, 3}, DType::f64);
  const Tensor x = zero.clone();
  x.data<double>()[3] = -0.6;  // frame 1: second differences -0.6 and 1.2
  CHECK(model::smoothnet_loss(x, zero).item() == doctest::Approx(0.6 / 12 + 1.8 / 6));
  CHECK(model::smoothnet_loss(zero, x).item() == doctest::Approx(0.6 / 12 + 1.8 / 6));
  const Tensor two = Tensor::zeros({1, 2, 1, 3}, DType::f64);
  CHECK_THROWS_WITH_AS(model::smoothnet_loss(two, two), doctest::Contains("N >= 3"), Error);
}

TEST_CASE("SmoothNet computes the same bits for any thread count, and refuses other lengths") {
  const Smoothnet network({8, 32, 16, 2}, DType::f32, 3);
  const Tensor x = poses({5, 8, 17, 3}, 1);
  test::check_thread_independence([&] { return network(x).to_doubles(); });
  CHECK_THROWS_WITH_AS(network(poses({1, 9, 17, 3}, 1)), doctest::Contains("[B, 8, J, 3]"), Error);
}
