// Random numbers drawn on the device.
#include "engine/random_fill.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/dispatch.hpp"
#include "engine/gradcheck.hpp"
#include "engine/ops/dropout.hpp"
#include "engine/replay.hpp"
#include "kernels/ar1/ar1.hpp"

using namespace posetape;

namespace {

// The worst difference in ULP of `dtype`.
double difference(const Tensor& got, const Tensor& expected, DType dtype) {
  const std::vector<double> g = got.to_doubles();
  const std::vector<double> e = expected.to_doubles();
  const int digits = dtype == DType::f64 ? 53 : dtype == DType::f32 ? 24 : 8;
  double worst = 0;
  for (std::size_t i = 0; i < e.size(); ++i) {
    const double ulp = std::ldexp(1.0, std::ilogb(e[i]) + 1 - digits);
    worst = std::max(worst, std::fabs(g[i] - e[i]) / ulp);
  }
  return worst;
}

}  // namespace

// CUDA's f64 logarithm is right to 1 ULP and its sine and cosine to 2 (CUDA C++ Programming Guide,
// "Mathematical Functions"); the narrower types are rounded once, from f64.
TEST_CASE("cuda: normal numbers are the CPU's") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for (const Index size : {0, 1, 2, 3, 4, 5, 1023, 4096, 10001}) {
      CAPTURE(size);
      const Tensor expected = Tensor::empty({size}, dtype);
      const Tensor got = Tensor::empty({size}, dtype, Device::cuda);
      fill_normal(expected, 42, Stream::test, 7);
      fill_normal(got, 42, Stream::test, 7);
      CHECK(difference(got, expected, dtype) <= (dtype == DType::f64 ? 4 : 1));
    }
  }
}

TEST_CASE("cuda: normal numbers of a step that is read from memory") {
  const Tensor step = Tensor::full({1}, 3, DType::f64, Device::cuda);
  const Tensor got = Tensor::empty({101}, DType::f64, Device::cuda);
  const Tensor expected = Tensor::empty({101}, DType::f64);
  fill_normal(got, 1, Stream::noise, step);
  fill_normal(expected, 1, Stream::noise, 3);
  CHECK(difference(got, expected, DType::f64) <= 4);
}

TEST_CASE("cuda: nothing is drawn beyond the end") {
  const Tensor room = Tensor::zeros({12}, DType::f32, Device::cuda);
  fill_normal(room.alias({5}, 3), 42, Stream::test, 7);
  const std::vector<double> x = room.to_doubles();
  for (std::size_t i = 0; i < x.size(); ++i) CHECK((x[i] == 0) == (i < 3 || i >= 8));
}

TEST_CASE("cuda: noise that goes on along frames is the CPU's, of each window by itself") {
  constexpr Index kWindows = 3, kFrames = 4, kWidth = 5;
  const auto correlated = [](const Tensor& x) {
    dispatch_real(x, [&]<class T>(auto where) {
      launch(where, Ar1<T>{x.data<T>(), kWindows, kFrames, kWidth, 0.8, 0.6});
    });
    return x.to_doubles();
  };
  const Tensor white = random_normal({kWindows, kFrames, kWidth}, 3);
  const std::vector<double> expected = correlated(white.clone());
  const std::vector<double> got = correlated(white.to(Device::cuda));
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(expected[i]));
}

TEST_CASE("cuda: dropout keeps what the CPU keeps, to the bit") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for (const Index size : {0, 1, 2, 3, 4, 5, 1023, 4096, 10001}) {
      CAPTURE(size);
      const Tensor x = Tensor::of({size}, random_normal({size}, 1).values<double>(), dtype);
      const Tensor expected = dropout(x, 0.4, 42, Stream::dropout, 7);
      const Tensor got = dropout(x.to(Device::cuda), 0.4, 42, Stream::dropout, 7);
      CHECK(same_bytes(got.to(Device::cpu), expected));
    }
  }
}

TEST_CASE("cuda: dropout that was recorded draws anew by the step in memory") {
  Replay replay(Device::cuda, [](std::span<const Tensor> in, int) {
    return dropout(in[0], 0.5, 42, Stream::dropout, in[1]);
  });
  const Tensor x = Tensor::full({1000}, 1, DType::f32);
  for (int step = 0; step < 4; ++step) {
    const Tensor got = replay(std::vector{x, Tensor::full({1}, step, DType::f64)});
    const auto number = static_cast<std::uint64_t>(step);
    CHECK(got.to_doubles() == dropout(x, 0.5, 42, Stream::dropout, number).to_doubles());
  }
  CHECK(replay.recorded() == 1);
}
