// layer_norm where f32 is short of digits: long rows, rows far from zero, and rows that overflow.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"

using namespace posetape;

namespace {

// y and the gradients of x, gamma and beta.
std::vector<std::vector<double>> results(const std::vector<Tensor>& in, const Tensor& cotangent) {
  Tape tape;
  for (const Tensor& t : in) tape.watch(t);
  Tensor y;
  {
    const Recording on(tape);
    y = layer_norm(in[0], in[1], in[2]).y;
  }
  Tape::Options options;
  options.cotangent = cotangent;
  const Gradients g = tape.backward(y, options);
  std::vector<std::vector<double>> all{y.to_doubles()};
  for (const Tensor& t : in) all.push_back(g.of(t).to_doubles());
  return all;
}

// The largest error in units of f32's last place, at the root mean square or the value if larger.
double error_in_ulp(const std::vector<double>& got, const std::vector<double>& exact) {
  double squares = 0;
  for (const double v : exact) squares += v * v;
  const double rms = std::sqrt(squares / static_cast<double>(exact.size()));
  double worst = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double unit = std::ldexp(1.0, std::ilogb(std::max(std::fabs(exact[i]), rms)) - 23);
    const double error = std::fabs(got[i] - exact[i]) / unit;
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

Tensor in_f32(const Tensor& t) {
  return cast(t, DType::f32);
}

}  // namespace

TEST_CASE("layer_norm keeps f32's digits in long rows, wherever their mean is") {
  const Index width = 100'000;
  for (const double mean : {0.0, 100.0, -1e4}) {
    std::vector<Tensor> in{random_normal({2, width}, 3, 1, mean), random_normal({width}, 4),
                           random_normal({width}, 5)};
    const Tensor cotangent = in_f32(random_normal({2, width}, 6));
    std::vector<Tensor> wide;
    for (Tensor& t : in) {
      t = in_f32(t);
      wide.push_back(cast(t, DType::f64));
    }
    const auto got = results(in, cotangent);
    const auto exact = results(wide, cast(cotangent, DType::f64));
    for (std::size_t k = 0; k < got.size(); ++k) {
      CHECK_MESSAGE(error_in_ulp(got[k], exact[k]) < 16, "mean ", mean, ", result ", k);
    }
  }
}

TEST_CASE("layer_norm of a constant row is beta, also without eps' help") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor x = Tensor::full({3, 1000}, 0.1, dtype);
    const Tensor gamma = Tensor::full({1000}, 2, dtype);
    const Tensor beta = Tensor::full({1000}, 5, dtype);
    for (const double y : layer_norm(x, gamma, beta).y.to_doubles()) {
      REQUIRE(y == doctest::Approx(5).epsilon(1e-6));
    }
    for (const double y : layer_norm(x, gamma, beta, 1e-30).y.to_doubles()) {
      REQUIRE(std::isfinite(y));
    }
  }
}

TEST_CASE("a row whose squares overflow gives beta and no gradient, as the header says") {
  const std::vector<Tensor> in{in_f32(random_normal({4, 64}, 1, 1e20)),
                               in_f32(random_normal({64}, 2)), in_f32(random_normal({64}, 3))};
  const auto got = results(in, in_f32(random_normal({4, 64}, 4)));
  const std::vector<double> beta = in[2].to_doubles();
  for (std::size_t i = 0; i < got[0].size(); ++i) REQUIRE(got[0][i] == beta[i % 64]);
  for (const double v : got[1]) REQUIRE(v == 0);
}
