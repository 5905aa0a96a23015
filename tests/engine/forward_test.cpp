// The values of every op against plain loops, in every type; NaN, sizes 0 and 1, and errors.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/ops.hpp"
#include "engine/tape.hpp"
#include "tests/cases/cases.hpp"

using namespace posetape;

namespace {

using Doubles = std::vector<double>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Relative to the larger of 1 and the value: some roundings of the type.
double tolerance(DType dtype) {
  return dtype == DType::f64 ? 1e-12 : dtype == DType::f32 ? 4e-6 : 0.02;
}

void check(Op op, const std::string& label, const std::vector<Tensor>& inputs,
           const std::function<Tensor(std::span<const Tensor>)>& f, const Reference& reference) {
  const std::string where = std::string(name(op)) + "/" + label;
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    std::vector<Tensor> rounded;
    std::vector<Numbers> plain;
    for (const Tensor& t : inputs) {
      Tensor r = t;
      if (t.defined() && t.dtype() != DType::i32) {
        r = Tensor::empty(t.shape(), dtype);
        copy(t, r);
      }
      rounded.push_back(r);
      plain.push_back(numbers_of(r));
    }
    const Doubles got = f(rounded).to_doubles();
    const Numbers expected = reference(plain);
    REQUIRE_MESSAGE(got.size() == expected.size(), where);
    double worst = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const auto exact = static_cast<double>(expected[i]);
      const bool equal = got[i] == exact || (std::isnan(got[i]) && std::isnan(exact));
      const double error = equal ? 0 : std::fabs(got[i] - exact) / std::max(1.0, std::fabs(exact));
      worst = std::isnan(error) ? kInfinity : std::max(worst, error);
    }
    CHECK_MESSAGE(worst <= tolerance(dtype), where, " ", std::string(name(dtype)), ": error ",
                  worst);
  }
}

}  // namespace

TEST_CASE("the values of every op") {
  for (int i = 0; i < kOps; ++i) {
    const Op op = static_cast<Op>(i);
    int calls = 0;
    facts(op).values(
        [&](const std::string& label, const auto& inputs, const auto& f, const auto& reference) {
          check(op, label, inputs, f, reference);
          ++calls;
        });
    CHECK_MESSAGE(calls > 0, name(op), " is compared with no plain loop");
  }
}

TEST_CASE("elementwise ops far out and at the edges of their domains") {
  const auto at = [](Tensor (*f)(const Tensor&), double x) {
    const double narrow = f(Tensor::full({1}, x, DType::f32)).item();
    const double wide = f(Tensor::full({1}, x, DType::f64)).item();
    CHECK((narrow == wide || (std::isnan(narrow) && std::isnan(wide))));
    return wide;
  };
  CHECK(at(posetape::exp, -1000) == 0);
  CHECK(at(posetape::exp, 1000) == kInfinity);
  CHECK(at(posetape::exp, -kInfinity) == 0);
  CHECK(at(posetape::log, 0) == -kInfinity);
  CHECK(std::isnan(at(posetape::log, -1)));
  CHECK(at(posetape::sqrt, 0) == 0);
  CHECK(std::isnan(at(posetape::sqrt, -1)));
  CHECK(at(posetape::tanh, 100) == 1);
  CHECK(at(posetape::tanh, -100) == -1);
  CHECK(at(sigmoid, 1000) == 1);
  CHECK(at(sigmoid, -1000) == 0);
  CHECK(at(silu, 1000) == 1000);
  CHECK(at(silu, -1000) == 0);
  CHECK(at(gelu, 1000) == 1000);
  CHECK(at(gelu, -1000) == 0);
}

TEST_CASE("GELU of every finite number in bf16, and its slope, to the last bit but for ties") {
  Doubles z;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto x = static_cast<double>(std::bit_cast<float>(bits << 16));
    if (std::isfinite(x)) z.push_back(x);
  }
  const auto count = static_cast<Index>(z.size());
  const Tensor x = Tensor::of({count, 1}, z, DType::bf16);
  const Tensor weight = Tensor::full({1, 1}, 1, DType::bf16);
  Tape tape;
  tape.watch(x);
  Tensor y;
  {
    const Recording on(tape);
    y = linear(x, weight, {}, Activation::gelu);
  }
  Tape::Options options;
  options.cotangent = Tensor::full({count, 1}, 1, DType::bf16);
  const Doubles slopes = tape.backward(y, options).of(x).to_doubles();
  const Doubles values = y.to_doubles();
  // In units of the last place, which of the smallest are that of 1e-34: below 3e-37 zero will do.
  const auto error = [](double got, double exact, double absolute) {
    const double least = 1e-34;
    const double unit = std::ldexp(1, std::ilogb(std::max(std::fabs(exact), least)) - 7);
    return std::max(0.0, std::fabs(got - exact) - absolute) / unit;
  };
  double worst_value = 0, worst_slope = 0;
  for (std::size_t i = 0; i < z.size(); ++i) {
    const double cdf = 0.5 * std::erfc(-z[i] / std::sqrt(2.0));
    const double density = std::exp(-0.5 * z[i] * z[i]) / std::sqrt(2 * std::acos(-1.0));
    worst_value = std::max(worst_value, error(values[i], z[i] * cdf, 0));
    // Near its zero the slope is a difference.
    worst_slope = std::max(worst_slope, error(slopes[i], cdf + z[i] * density, 1e-5));
  }
  CHECK(worst_value <= 0.51);
  CHECK(worst_slope <= 0.51);
}

TEST_CASE("shapes of sum and mean") {
  const Tensor x = random_uniform({2, 3, 4}, 3, 0, 1);
  CHECK(sum(x).shape() == Shape{});
  CHECK(sum(x, {{}, true}).shape() == Shape{1, 1, 1});
  CHECK(sum(x, {{-1, 0}}).shape() == Shape{3});
  CHECK(sum(Tensor::zeros({0, 3}, DType::f64)).item() == 0);
  CHECK(mean(x).item() == doctest::Approx(sum(x).item() / 24).epsilon(1e-14));
  CHECK(mean(x, {{1}}).to_doubles()[5] == doctest::Approx(sum(x, {{1}}).to_doubles()[5] / 3));
  CHECK(std::isnan(mean(Tensor::zeros({0}, DType::f64)).item()));
}

TEST_CASE("a long sum in f32 keeps its digits") {
  const Index size = 3'000'000;
  const double got = sum(Tensor::full({size}, 0.1, DType::f32)).item();
  const double exact = static_cast<double>(0.1f) * static_cast<double>(size);
  CHECK(std::fabs(got / exact - 1) < 1e-6);
  const double loss =
      mse_loss(Tensor::full({size}, 0.1, DType::f32), Tensor::zeros({size}, DType::f32)).item();
  CHECK(std::fabs(loss / 0.01 - 1) < 1e-6);
}

TEST_CASE("softmax of huge numbers") {
  const Doubles huge =
      softmax(Tensor::of<double>({3}, Doubles{1e30, 1e30, -kInfinity})).to_doubles();
  CHECK(huge == Doubles{0.5, 0.5, 0});
}

TEST_CASE("reshape copies nothing, and cast rounds") {
  const Tensor x = random_normal({6}, 2);
  CHECK(reshape(x, {2, 3}).raw() == x.raw());
  const Tensor third = Tensor::full({1}, 1.0 / 3, DType::f64);
  CHECK(cast(third, DType::f32).item() == static_cast<double>(static_cast<float>(1.0 / 3)));
  CHECK(cast(third, DType::bf16).item() == 0.333984375);
}

TEST_CASE("gather refuses an index out of range") {
  const Tensor table = random_normal({3, 2}, 1);
  try {
    gather(table, Tensor::of<std::int32_t>({2}, std::vector<std::int32_t>{0, 3}));
    FAIL("an index out of range must be an Error");
  } catch (const Error& e) {
    const std::string text = e.what();
    CHECK(text.find("gather: index 3") != std::string::npos);
    CHECK(text.find("3 rows") != std::string::npos);
  }
  CHECK_THROWS_AS(gather(table, Tensor::full({1}, -1, DType::i32)), Error);
}

TEST_CASE(
    "joint_distance_loss has slope 0 at distance 0, and a NaN spreads to its own joint only") {
  Tape tape;
  const Tensor x = Tensor::of<double>({4, 3}, Doubles{1, 2, 3, 0, 0, 0, kNaN, 1, 1, 3, 4, 0});
  const Tensor y = Tensor::of<double>({4, 3}, Doubles{1, 2, 3, 0, 2, 0, 0, 0, 0, 0, 0, 0});
  tape.watch(x);
  tape.watch(y);
  Recording on(tape);
  const Gradients g = tape.backward(joint_distance_loss(x, y));
  const Doubles dx = g.of(x).to_doubles();
  CHECK(Doubles(dx.begin(), dx.begin() + 6) == Doubles{0, 0, 0, 0, -0.25, 0});
  for (int i = 6; i < 9; ++i) CHECK(std::isnan(dx[static_cast<std::size_t>(i)]));
  CHECK(dx[9] == doctest::Approx(0.15));
  CHECK(dx[10] == doctest::Approx(0.2));
  CHECK(g.of(y).to_doubles()[4] == 0.25);
}

TEST_CASE("shape errors name the op and what it got") {
  for (int i = 0; i < kOps; ++i) {
    const std::string op = name(static_cast<Op>(i));
    int number = 0;
    for (const std::function<void()>& call : facts(static_cast<Op>(i)).refused) {
      std::string text = "no Error";
      try {
        call();
      } catch (const Error& e) {
        text = e.what();
      }
      CHECK_MESSAGE(text.rfind(op + ": ", 0) == 0, number, ": ", text);
      CHECK_MESSAGE(text.find('\n') == std::string::npos, text);
      ++number;
    }
  }
  CHECK_THROWS_AS(add(zeros({2}), Tensor::zeros({2}, DType::f64)), Error);
  CHECK_THROWS_AS(posetape::exp(indices({2})), Error);
}

TEST_CASE("a NaN in attention reaches the queries that see it, and no others, in every type") {
  // Heads that fill tiles, and a sequence of two blocks.
  constexpr Index kFrames = 33, kJoints = 2, kWidth = 16, kFrame = 5, kChannel = 3;
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for (const Index part : {0, 1, 2}) {  // q, k, v
      Doubles numbers(static_cast<std::size_t>(kFrames * kJoints * 3 * kWidth));
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        numbers[i] = 0.1 * static_cast<double>(i % 23) - 1;
      }
      numbers[static_cast<std::size_t>(kFrame * kJoints * 3 * kWidth + part * kWidth + kChannel)] =
          kNaN;
      const Tensor qkv = Tensor::of({1, kFrames, kJoints, 3 * kWidth}, numbers, dtype);
      const Doubles y = axial_attention(qkv, Axis::time, 1).to_doubles();
      for (Index n = 0; n < kFrames; ++n) {
        for (Index j = 0; j < kJoints; ++j) {
          for (Index c = 0; c < kWidth; ++c) {
            const bool sees = j == 0 && (part == 0   ? n == kFrame
                                         : part == 1 ? true
                                                     : c == kChannel);
            const double value = y[static_cast<std::size_t>((n * kJoints + j) * kWidth + c)];
            CHECK_MESSAGE(std::isnan(value) == sees, std::string(name(dtype)), " ", part, " ", n,
                          " ", j, " ", c);
          }
        }
      }
    }
  }
}
