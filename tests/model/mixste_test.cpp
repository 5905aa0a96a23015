#include "model/mixste.hpp"

#include <cmath>

#include "tests/model/whole_model.hpp"

using namespace posetape;
using model::Mixste;
using model::MixsteLoss;

namespace {

constexpr Index kJoints = 17;

Tensor noise(const Shape& shape, std::uint64_t seed, DType dtype) {
  return Tensor::of(shape, random_normal(shape, seed).values<double>(), dtype);
}

}  // namespace

TEST_CASE("MixSTE has exactly the parameters of the released network") {
  CHECK(test::parameter_count(Mixste({}, DType::f32, 1).parameters()) == 33'783'811);
}

TEST_CASE("MixSTE computes the same bits for any thread count") {
  const Mixste network({32, 2, 2, 2, 9}, DType::f32, 3);
  const Tensor y = noise({2, 9, kJoints, 2}, 1, DType::f32);
  test::check_thread_independence([&] { return network(y).to_doubles(); });
}

TEST_CASE("MixSTE refuses windows and skeletons that it wasn't made for") {
  const Mixste network({16, 1, 2, 2, 9}, DType::f32, 3);
  CHECK(network(Tensor::zeros({1, 9, kJoints, 2}, DType::f32)).shape() == Shape{1, 9, kJoints, 3});
  CHECK_THROWS_WITH_AS(network(Tensor::zeros({1, 27, kJoints, 2}, DType::f32)),
                       doctest::Contains("its windows have 9 frames"), Error);
  CHECK_THROWS_WITH_AS(network(Tensor::zeros({1, 9, 16, 2}, DType::f32)),
                       doctest::Contains("expected [B, 9, 17, 2]"), Error);
  CHECK_THROWS_WITH_AS(Mixste({30, 1, 4, 2, 9}, DType::f32, 1),
                       doctest::Contains("multiple of heads"), Error);
}

TEST_CASE("MixSTE tells joints and frames apart by its embeddings alone") {
  Mixste network({16, 1, 2, 2, 3}, DType::f64, 3);
  const Tensor same = Tensor::full({1, 3, kJoints, 2}, 0.3, DType::f64);
  const auto at = [&](Index frame, Index joint) {
    return network(same).to_doubles()[static_cast<std::size_t>((frame * kJoints + joint) * 3)];
  };
  CHECK(at(2, 16) == doctest::Approx(at(0, 0)).epsilon(1e-12));
  for (const auto& entry : network.parameters().entries()) {
    if (!entry.name.ends_with("_embedding")) continue;
    copy(noise(entry.value.shape(), 4, DType::f64), entry.value);
    CHECK(std::fabs(at(2, 16) - at(0, 0)) > 1e-3);
    if (entry.name.starts_with("joint"))
      CHECK(at(2, 4) == doctest::Approx(at(0, 4)).epsilon(1e-12));
  }
}

TEST_CASE("MixSTE's drops leave out more from block to block, and keep the mean") {
  const model::MixsteConfig config{16, 3, 2, 2, 9};
  const Index batch = 200;
  const auto drops = model::mixste_drops(config, 0.5, batch, DType::f32, 7, 3);
  REQUIRE(drops.size() == 12);
  for (std::size_t i = 0; i < drops.size(); ++i) {
    const double rate = 0.25 * static_cast<double>(i / 4);
    CHECK(drops[i].defined() == (rate > 0));
    if (!drops[i].defined()) continue;
    CHECK(drops[i].shape() == (i % 4 < 2 ? Shape{batch, 9, 1, 1} : Shape{batch, 1, kJoints, 1}));
    double dropped = 0;
    for (const double f : drops[i].to_doubles()) {
      if (f == 0) ++dropped;
      if (f != 0) CHECK(f == doctest::Approx(1 / (1 - rate)));
    }
    CHECK(dropped / static_cast<double>(drops[i].size()) == doctest::Approx(rate).epsilon(0.1));
  }
  const auto again = model::mixste_drops(config, 0.5, batch, DType::f32, 7, 3);
  const auto next = model::mixste_drops(config, 0.5, batch, DType::f32, 7, 4);
  CHECK(again.back().to_doubles() == drops.back().to_doubles());
  CHECK(next.back().to_doubles() != drops.back().to_doubles());
}

TEST_CASE("MixSTE without its updates is its embedding and its norms") {
  const model::MixsteConfig config{16, 2, 2, 2, 3};
  const Mixste network(config, DType::f64, 3);
  const Tensor y = noise({2, 3, kJoints, 2}, 1, DType::f64);
  std::vector<Tensor> drops;
  for (int i = 0; i < 8; ++i) {
    drops.push_back(
        Tensor::full(i % 4 < 2 ? Shape{2, 3, 1, 1} : Shape{2, 1, kJoints, 1}, 1.0, DType::f64));
  }
  CHECK(network(y, drops).to_doubles() == network(y).to_doubles());
  for (Tensor& drop : drops) drop = Tensor::zeros(drop.shape(), DType::f64);
  // Joints with the same coordinates are then the same: nothing attends to the others.
  const Tensor other = y.clone();
  for (int c = 0; c < 2; ++c) other.data<double>()[c] = 5;
  const std::vector<double> a = network(y, drops).to_doubles();
  const std::vector<double> b = network(other, drops).to_doubles();
  CHECK(a[0] != b[0]);
  CHECK(std::equal(a.begin() + 3, a.end(), b.begin() + 3));
  drops.pop_back();
  CHECK_THROWS_WITH_AS(network(y, drops), doctest::Contains("7 drops"), Error);
}

TEST_CASE("MixSTE's loss is the sum of its three terms") {
  const Index B = 2;
  const Index N = 4;
  const double w[] = {1, 1, 2.5, 2.5, 1, 2.5, 2.5, 1, 1, 1, 1.5, 1.5, 4, 4, 1.5, 4, 4};
  const Tensor p = noise({B, N, kJoints, 3}, 1, DType::f64);
  const Tensor t = noise({B, N, kJoints, 3}, 2, DType::f64);
  const auto at = [&](const Tensor& x, Index b, Index n, Index j, Index c) {
    return x.data<double>()[((b * N + n) * kJoints + j) * 3 + c];
  };
  double error = 0;
  double motion = 0;
  double velocity = 0;
  for (Index b = 0; b < B; ++b) {
    for (Index n = 0; n < N; ++n) {
      for (Index j = 0; j < kJoints; ++j) {
        double distance = 0;
        double wrong = 0;
        for (Index c = 0; c < 3; ++c) {
          distance += std::pow(at(p, b, n, j, c) - at(t, b, n, j, c), 2);
          if (n == 0) continue;
          const double dp = at(p, b, n, j, c) - at(p, b, n - 1, j, c);
          const double dt = at(t, b, n, j, c) - at(t, b, n - 1, j, c);
          motion += w[j] * dp * dp;
          wrong += (dp - dt) * (dp - dt);
        }
        error += w[j] * std::sqrt(distance);
        velocity += std::sqrt(wrong);
      }
    }
  }
  error /= static_cast<double>(B * N * kJoints);
  motion /= static_cast<double>(B * (N - 1) * kJoints * 3);
  velocity /= static_cast<double>(B * (N - 1) * kJoints);
  const MixsteLoss loss(DType::f64);
  CHECK(loss(p, t).item() == doctest::Approx(error + 0.5 * motion + 2 * velocity).epsilon(1e-13));
  CHECK(loss(slice(p, 1, 0, 1), slice(p, 1, 0, 1)).item() == 0);
}
