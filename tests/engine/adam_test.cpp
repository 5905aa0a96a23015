// Adam and AdamW against their papers' formulas in f64, computed here, in every type.
#include "engine/adam.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/profile.hpp"

using namespace posetape;

namespace {

// What one step makes of one parameter: Kingma and Ba's algorithm 1 with Loshchilov and Hutter's
// decoupled decay, at step t, all in f64.
struct Moments {
  double p, m, v;
};
Moments stepped(const Moments& before, double g, int t, double lr, const AdamOptions& o) {
  const double m = o.beta1 * before.m + (1 - o.beta1) * g;
  const double v = o.beta2 * before.v + (1 - o.beta2) * g * g;
  const double m_hat = m / (1 - std::pow(o.beta1, t));
  const double v_hat = v / (1 - std::pow(o.beta2, t));
  const double p =
      before.p - lr * o.weight_decay * before.p - lr * m_hat / (std::sqrt(v_hat) + o.eps);
  return {p, m, v};
}

// Round to nearest, ties to even, of a finite number's upper half.
std::uint16_t upper_half(float value) {
  const auto word = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rest = word & 0xffff;
  const bool up = rest > 0x8000 || (rest == 0x8000 && (word >> 16) % 2 == 1);
  return static_cast<std::uint16_t>((word >> 16) + (up ? 1 : 0));
}

// Of sizes 1 to 1000, from 1e-6 to 1 in steps of the exponent, of both signs, and zero.
double gradient_of(Index i, int t) {
  if (i % 7 == 3) return 0;
  const double size = std::pow(10.0, -static_cast<double>(i % 6));
  return size * std::sin(1.0 + static_cast<double>(i) + 0.7 * t);
}

template <class T>
void set(const Tensor& tensor, Index i, double value) {
  tensor.data<T>()[i] = T(static_cast<Accumulator<T>>(value));
}

const AdamOptions kAdam{};
const AdamOptions kAdamW{.weight_decay = 0.1};
const AdamOptions kOther{.beta1 = 0.7, .beta2 = 0.9, .eps = 0.05, .weight_decay = 0.01};

// Runs T's parameters for some steps. Each step is compared with the formula applied to what was
// there before it, so that the bound is that of a single step: A rounds every operation to half a
// unit `u`, and the formula has at most six in a row in front of any sum.
template <class T>
void check_steps(const AdamOptions& options, int steps) {
  using A = Accumulator<T>;
  constexpr double u = std::numeric_limits<A>::epsilon() / 2;
  ParameterList list(64, dtype_of<T>, 3);
  list.add("p", {5, 3}, {Init::normal, 1});
  list.add("q", {20}, {Init::uniform, 0.1});
  Adam adam(list, options);
  const auto at = [](const Tensor& tensor, Index i) {
    return static_cast<double>(tensor.data<A>()[i]);
  };
  for (int t = 1; t <= steps; ++t) {
    const double lr = 1e-2 / t;
    std::vector<Moments> expected(64);
    for (const ParameterList::Entry& entry : list.entries()) {
      const Index first = &entry == &list.entries()[0] ? 0 : 16;
      for (Index i = 0; i < entry.value.size(); ++i) {
        set<T>(entry.gradient, i, gradient_of(first + i, t));
        const Moments before{at(entry.master, i), at(adam.m, first + i), at(adam.v, first + i)};
        const auto g = static_cast<double>(load(entry.gradient.data<T>()[i]));
        expected[static_cast<std::size_t>(first + i)] = stepped(before, g, t, lr, options);
      }
    }
    adam.step(lr);
    CHECK(adam.steps == t);
    for (Index i = 0; i < 64; ++i) {
      const Moments& e = expected[static_cast<std::size_t>(i)];
      const double g = gradient_of(i, t);
      const double p = at(list.masters(), i);
      CAPTURE(i);
      CAPTURE(t);
      // A sum of two products is right to the terms' own roundings.
      REQUIRE(std::abs(at(adam.m, i) - e.m) <= 4 * u * (std::abs(e.m) + 2 * std::abs(g)));
      REQUIRE(std::abs(at(adam.v, i) - e.v) <= 6 * u * e.v);
      REQUIRE(std::abs(p - e.p) <= 3 * u * std::abs(e.p) + 12 * u * lr * 10);
      if constexpr (!std::is_same_v<A, T>) {
        REQUIRE(list.values().data<T>()[i].bits == upper_half(list.masters().data<A>()[i]));
      }
      // The gaps of alignment stay what they were.
      if (i == 15 || i >= 36) REQUIRE((p == 0 && at(adam.m, i) == 0 && at(adam.v, i) == 0));
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("each step of Adam is that of the formula", T, double, float, bf16) {
  for (const AdamOptions& options : {kAdam, kAdamW, kOther}) check_steps<T>(options, 12);
}

TEST_CASE("the first step moves every parameter by the learning rate, against its gradient") {
  // Both corrections cancel: m / (1 - beta1) = g, v / (1 - beta2) = g^2.
  ParameterList list(16, DType::f64, 1);
  const Tensor p = list.add("p", {4}, {Init::constant, 2});
  Adam adam(list);
  const double gradients[] = {1e-3, -5, 1e6, -1e-2};
  std::copy(gradients, gradients + 4, list.entries()[0].gradient.data<double>());
  adam.step(0.125);
  for (int i = 0; i < 4; ++i) {
    const double sign = gradients[i] > 0 ? 1 : -1;
    CHECK(p.data<double>()[i] == doctest::Approx(2 - sign * 0.125).epsilon(1e-5));
  }
}

// An update of less than half a unit in the last place of bf16 is lost where the parameter itself
// is rounded, and not where it is only the copy of an f32 master.
TEST_CASE("bf16: what is too small for the values adds up in the masters") {
  ParameterList list(16, DType::bf16, 1);
  const Tensor p = list.add("p", {1}, {Init::constant, 1});
  Adam adam(list);
  for (int t = 0; t < 8; ++t) {
    set<bf16>(list.entries()[0].gradient, 0, 1);
    adam.step(0x1p-10);  // a unit below 1 is 2^-8
  }
  CHECK(list.masters().to_doubles()[0] == doctest::Approx(1 - 8 * 0x1p-10).epsilon(1e-6));
  CHECK(p.item() == 1 - 0x1p-7);
}

TEST_CASE("a profile counts an update's arithmetic and traffic") {
  ParameterList list(64, DType::bf16, 1);
  list.add("p", {64}, {});
  fill(list.gradients(), 1);
  Adam adam(list);
  const Profile profile;
  adam.step(1e-3);
  REQUIRE(profile.events().size() == 1);
  CHECK(profile.events()[0].name == "adam");
  CHECK_FALSE(profile.events()[0].backward);
  CHECK(profile.events()[0].cost.flops == 12 * 64);
  // Reads p, m, v and writes them, in f32; reads g.
  CHECK(profile.events()[0].cost.bytes == 64 * (6 * 4 + 2));
}
