// Where parameters lie, how they start, and how masters and values stay together.
#include "engine/parameters.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/ops/elementwise.hpp"
#include "engine/rng.hpp"
#include "engine/taps.hpp"

using namespace posetape;

namespace {

// Of n numbers: the means of x, x^2, x^3 and x^4.
std::array<double, 4> moments(const std::vector<double>& x) {
  std::array<double, 4> sums{};
  for (const double v : x) {
    for (std::size_t p = 0; p < 4; ++p) sums[p] += std::pow(v, static_cast<double>(p + 1));
  }
  for (double& s : sums) s /= static_cast<double>(x.size());
  return sums;
}

// |mean - expected| at most five of its standard errors, from the variance of one number.
bool within(double mean, double expected, double variance, std::size_t n) {
  return std::abs(mean - expected) <= 5 * std::sqrt(variance / static_cast<double>(n));
}

constexpr Index kMany = 50000;

std::vector<double> started(Init init, std::uint64_t seed, DType dtype = DType::f64) {
  ParameterList list(kMany, dtype, seed);
  return list.add("p", {kMany}, init).to_doubles();
}

float rounded(float value) {
  return static_cast<float>(bf16(value));
}

}  // namespace

TEST_CASE("Init::uniform is U(-a, a)") {
  for (const double a : {0.02, 0.5, 3.0}) {
    for (const std::uint64_t seed : {1, 2}) {
      const std::vector<double> x = started({Init::uniform, a}, seed);
      const auto [low, high] = std::ranges::minmax(x);
      // The largest of n is below a by more than 20 a / n with a chance of e^-10.
      CHECK(low >= -a);
      CHECK(high <= a);
      CHECK(low < -a * (1 - 20.0 / kMany));
      CHECK(high > a * (1 - 20.0 / kMany));
      // E x^k = a^k / (k + 1) for even k.
      const auto m = moments(x);
      CHECK(within(m[0], 0, std::pow(a, 2) / 3, x.size()));
      CHECK(within(m[1], std::pow(a, 2) / 3, std::pow(a, 4) * (1.0 / 5 - 1.0 / 9), x.size()));
      CHECK(within(m[2], 0, std::pow(a, 6) / 7, x.size()));
      CHECK(within(m[3], std::pow(a, 4) / 5, std::pow(a, 8) * (1.0 / 9 - 1.0 / 25), x.size()));
    }
  }
}

TEST_CASE("Init::normal is N(0, a^2)") {
  for (const double a : {0.02, 0.5, 3.0}) {
    for (const std::uint64_t seed : {1, 2}) {
      const std::vector<double> x = started({Init::normal, a}, seed);
      const auto m = moments(x);
      // E x^k = a^k (k - 1)!! for even k.
      CHECK(within(m[0], 0, std::pow(a, 2), x.size()));
      CHECK(within(m[1], std::pow(a, 2), 2 * std::pow(a, 4), x.size()));
      CHECK(within(m[2], 0, 15 * std::pow(a, 6), x.size()));
      CHECK(within(m[3], 3 * std::pow(a, 4), 96 * std::pow(a, 8), x.size()));
      const auto inside = std::ranges::count_if(x, [&](double v) { return std::abs(v) < a; });
      const double share = std::erf(std::sqrt(0.5));
      CHECK(within(static_cast<double>(inside) / kMany, share, share * (1 - share), x.size()));
    }
  }
}

TEST_CASE("Init::constant is that, and the default is zero") {
  CHECK(started({Init::constant, -0.75}, 1) == std::vector<double>(kMany, -0.75));
  CHECK(started({}, 1) == std::vector<double>(kMany, 0.0));
}

TEST_CASE("parameter i draws from (seed, init, i) alone, rounded once") {
  const auto check = [](DType dtype, auto stored) {
    ParameterList list(256, dtype, 77);
    list.add("first", {3, 5}, {Init::normal, 0.3});
    list.add("ones", {4}, {Init::constant, 1});
    list.add("second", {17}, {Init::uniform, 0.2});
    Random of_first(77, Stream::init, 0);
    for (const double x : list.entries()[0].master.to_doubles()) {
      CHECK(x == stored(0.3 * of_first.normal()));
    }
    Random of_second(77, Stream::init, 2);
    for (const double x : list.entries()[2].master.to_doubles()) {
      CHECK(x == stored(of_second.uniform(-0.2, 0.2)));
    }
  };
  check(DType::f64, [](double x) { return x; });
  check(DType::f32, [](double x) { return static_cast<double>(static_cast<float>(x)); });
  check(DType::bf16, [](double x) { return static_cast<double>(static_cast<float>(x)); });
}

TEST_CASE("parameters of equal shape start differently, and so do those of another seed") {
  for (const Init::Kind kind : {Init::uniform, Init::normal}) {
    const auto two = [&](std::uint64_t seed) {
      ParameterList list(2 * 4096, DType::f64, seed);
      const Tensor a = list.add("a", {4096}, {kind, 1});
      const Tensor b = list.add("b", {4096}, {kind, 1});
      return std::pair(a.to_doubles(), b.to_doubles());
    };
    const auto [a, b] = two(5);
    const auto [c, d] = two(6);
    CHECK(two(5) == std::pair(a, b));
    // Independent: their products have mean 0 and at most variance 1.
    const auto product = [](const auto& x, const auto& y) {
      double sum = 0;
      for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
      return sum / static_cast<double>(x.size());
    };
    for (const auto& [x, y] : {std::pair(a, b), {a, c}, {b, d}, {a, d}}) {
      CHECK(within(product(x, y), 0, 1, x.size()));
    }
  }
}

TEST_CASE("parameters lie one after the other, each at a multiple of 16 elements") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    ParameterList counting;
    CHECK_FALSE(counting.add("a", {3}, {Init::constant, 1}).defined());
    CHECK(counting.size() == 16);
    counting.add("b", {16}, {});
    CHECK(counting.size() == 32);
    counting.add("c", {17}, {});
    CHECK(counting.size() == 64);
    CHECK(counting.entries().empty());

    ParameterList list(counting.size(), dtype, 1);
    list.add("a", {3}, {Init::constant, 1});
    list.add("b", {4, 4}, {Init::constant, 2});
    list.add("c", {17}, {Init::constant, 3});
    CHECK(list.size() == 64);
    CHECK_THROWS_WITH_AS(list.add("d", {1}, {}),
                         doctest::Contains("parameter d: the block of 64 elements is full"), Error);
    std::vector<double> expected(64, 0.0);
    std::fill_n(expected.begin(), 3, 1.0);
    std::fill_n(expected.begin() + 16, 16, 2.0);
    std::fill_n(expected.begin() + 32, 17, 3.0);
    CHECK(list.values().to_doubles() == expected);
    CHECK(list.masters().to_doubles() == expected);
    CHECK(list.gradients().to_doubles() == std::vector<double>(64, 0.0));
    CHECK(list.values().dtype() == dtype);
    CHECK(list.masters().dtype() == (dtype == DType::bf16 ? DType::f32 : dtype));
    CHECK(list.gradients().dtype() == dtype);

    const Index starts[] = {0, 16, 32};
    for (std::size_t i = 0; i < 3; ++i) {
      const ParameterList::Entry& e = list.entries()[i];
      CHECK(e.value.raw() == list.values().alias({1}, starts[i]).raw());
      CHECK(e.master.raw() == list.masters().alias({1}, starts[i]).raw());
      CHECK(e.gradient.raw() == list.gradients().alias({1}, starts[i]).raw());
      CHECK(e.value.shape() == e.gradient.shape());
      CHECK(e.value.shape() == e.master.shape());
      // The backward pass is told to put each value's gradient there.
      CHECK(list.destinations()[i].first.id() == e.value.id());
      CHECK(list.destinations()[i].second.raw() == e.gradient.raw());
    }
  }
}

TEST_CASE("masters_changed() brings every value into line") {
  ParameterList list(32, DType::bf16, 1);
  const Tensor a = list.add("a", {3}, {Init::constant, 1});
  const Tensor b = list.add("b", {2}, {Init::constant, 1});
  const float numbers[] = {1.00390625f, 1.01171875f, -3.14159274f};  // two ties, and none
  std::copy(numbers, numbers + 3, list.entries()[0].master.data<float>());
  fill(list.entries()[1].master, 0.1);
  CHECK(a.to_doubles() == std::vector<double>(3, 1.0));  // not yet
  list.masters_changed();
  CHECK(a.to_doubles() == std::vector<double>{1, 1.015625, -3.140625});
  CHECK(b.to_doubles() == std::vector<double>(2, rounded(0.1f)));

  // Elsewhere they are the same memory.
  ParameterList same(16, DType::f32, 1);
  const Tensor c = same.add("c", {2}, {});
  fill(same.entries()[0].master, 0.1);
  same.masters_changed();
  CHECK(c.to_doubles() == std::vector<double>(2, 0.1f));
}

TEST_CASE("loading writes masters as they are and values rounded") {
  ParameterList list(16, DType::bf16, 1);
  const Tensor p = list.add("p", {2}, {});
  const double numbers[] = {0.1, -1000.5};
  list.load([&](const std::string&) { return Tensor::of({2}, numbers, DType::f32); }, "file");
  CHECK(list.entries()[0].master.to_doubles() == std::vector<double>{0.1f, -1000.5});
  CHECK(p.to_doubles() == std::vector<double>{rounded(0.1f), rounded(-1000.5f)});
}

TEST_CASE("watch() watches every parameter") {
  ParameterList list(32, DType::f64, 1);
  const Tensor a = list.add("a", {1}, {Init::constant, 3});
  const Tensor b = list.add("b", {1}, {Init::constant, 5});
  Tape tape;
  list.watch(tape);
  const Recording on(tape);
  CHECK(recording({a}));
  CHECK(recording({b}));
}

TEST_CASE("tap() gives every parameter its name, and its gradient") {
  ParameterList list(32, DType::f64, 1);
  const Tensor a = list.add("first.weight", {1}, {Init::constant, 3});
  const Tensor b = list.add("second.weight", {1}, {Init::constant, 5});
  list.tap();  // to nobody
  const Taps taps({"*.weight", "second.*.grad"});
  Tape tape;
  list.watch(tape);
  Tensor loss;
  {
    const Recording on(tape);
    list.tap();
    loss = mul(a, b);
  }
  (void)tape.backward(loss);
  CHECK(taps.at("first.weight").values == std::vector<double>{3});
  CHECK(taps.at("second.weight").values == std::vector<double>{5});
  CHECK(taps.at("second.weight.grad").values == std::vector<double>{3});
}
