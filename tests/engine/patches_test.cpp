// What stands for a value while it is computed, and what goes on with it.
#include "engine/patches.hpp"

#include <doctest/doctest.h>

#include "engine/attention.hpp"
#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "engine/recompute.hpp"
#include "engine/tape.hpp"
#include "engine/taps.hpp"

using namespace posetape;

namespace {

Tensor numbers(std::vector<double> values) {
  return Tensor::of({static_cast<Index>(values.size())}, std::span<const double>(values),
                    DType::f32);
}

// 3 (2 x) with names at each stage.
Tensor six_times(const Tensor& x) {
  const Scope scope("net", 0);
  const Tensor twice = tap("twice", scale(x, 2));
  show("held", twice);
  return tap("out", scale(twice, 3));
}

}  // namespace

TEST_CASE("a patch replaces what it matches, for all that comes after and for taps") {
  const Tensor x = numbers({1, 2});
  Patches patches;
  patches.add("twice", [](const std::string& name, const Observer::Named& value) {
    CHECK(name == "net.0.twice");
    CHECK(value.values() == std::vector{2.0, 4.0});
    return numbers({10, 20});
  });
  const Taps taps({"twice", "held", "out"});
  CHECK(six_times(x).to_doubles() == std::vector{30.0, 60.0});
  CHECK(taps.at("net.0.twice").values == std::vector{10.0, 20.0});
  CHECK(taps.at("net.0.held").values == std::vector{10.0, 20.0});
  CHECK(taps.at("net.0.out").values == std::vector{30.0, 60.0});
  patches.check();
}

TEST_CASE("a number fills, a smaller shape broadcasts, patches nest and end") {
  const Tensor x = numbers({1, 2});
  {
    Patches outer;
    outer.add("net.*.out", Patches::constant(7));
    CHECK(six_times(x).to_doubles() == std::vector{7.0, 7.0});
    Patches inner;
    inner.add("out", [](const auto&, const auto&) { return numbers({5}); });
    // The innermost first, so that the outermost has the last word.
    CHECK(six_times(x).to_doubles() == std::vector{7.0, 7.0});
    inner.check();
    outer.check();
  }
  CHECK(six_times(x).to_doubles() == std::vector{6.0, 12.0});
}

TEST_CASE("patches that replace nothing, or by what does not fit, are refused in one line") {
  const Tensor x = numbers({1, 2});
  Patches patches;
  patches.add("twise", Patches::constant(0));
  (void)six_times(x);
  CHECK_THROWS_WITH_AS(patches.check(),
                       "patch twise: matches no name of this pass; nearest: net.0.twice, net.0.out",
                       Error);
  Patches shown;
  shown.add("held", Patches::constant(0));
  (void)six_times(x);
  CHECK_THROWS_WITH_AS(shown.check(), doctest::Contains("net.0.held can be looked at and not"),
                       Error);
  Patches wrong;
  wrong.add("out", [](const auto&, const auto&) { return numbers({1, 2, 3}); });
  CHECK_THROWS_WITH_AS(six_times(x), "patch: net.0.out is [2], and what is to stand for it [3]",
                       Error);
}

TEST_CASE("what is put in is a constant to a tape, also where a segment runs again") {
  const Tensor w = numbers({3, 4});
  const Tensor x = numbers({1, 2});
  const auto f = [&](const Tensor& in) {
    const Tensor y = tap("y", mul(in, w));
    return add(mul(mul(y, y), w), in);
  };
  // f(x) = x^2 w^3 + x, or with y = 5: 25 w + x.
  for (const int level : {0, 1}) {
    for (const bool patched : {false, true}) {
      Patches patches;
      if (patched) patches.add("train.y", Patches::constant(5));
      Tape tape(level);
      tape.watch(w);
      Tensor loss;
      {
        const Recording on(tape);
        const Scope scope("train");
        // The second one lets go of what the first has saved.
        loss = sum(recompute(1, f, recompute(1, f, x)));
      }
      const std::vector<double> gradient = tape.backward(loss).of(w).to_doubles();
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        const double v = w.to_doubles()[i];
        const double in = x.to_doubles()[i];
        const double z = in * in * v * v * v + in;
        const double dz = 3 * in * in * v * v;
        CHECK(gradient[i] == (patched ? 50 : 2 * z * dz * v * v * v + 3 * z * z * v * v + dz));
      }
    }
  }
}

TEST_CASE("heads are replaced one by one, before what is added to them") {
  const Index B = 2, N = 3, J = 4, H = 2, D = 8;
  const Tensor qkv = random_normal({B, N, J, 3 * D}, 5);
  const Tensor local = random_normal({B, N, J, D}, 6);
  for (const Axis layout : {Axis::space, Axis::time, Axis::cross}) {
    const Index width = layout == Axis::cross ? 2 : 4;
    const Tensor alone = axial_attention(qkv, layout, H);
    const auto mixed = [&] {
      return tap_heads(axial_attention(qkv, layout, H, 0, local), layout, H, local);
    };
    const std::vector<double> whole = mixed().to_doubles();
    const std::vector<double> said = alone.to_doubles();
    const std::vector<double> added = local.to_doubles();
    const Index parts = D / width;
    for (Index part = 0; part < parts; ++part) {
      const bool time = layout == Axis::time || (layout == Axis::cross && part >= H);
      const std::string name =
          fmt::format("{}.attention.head{}", time ? "time" : "space", part % H);
      Taps taps({"*.attention.head?"});
      Patches patches;
      patches.add(name, Patches::constant(0));
      const std::vector<double> without = mixed().to_doubles();
      patches.check();
      for (std::size_t i = 0; i < whole.size(); ++i) {
        const bool of_part = static_cast<Index>(i) % D / width == part;
        CHECK(without[i] == (of_part ? added[i] : whole[i]));
      }
      CHECK(taps.at(name).shape == Shape{B, N, J, width});
      for (const Taps::Captured& c : taps.captured()) {
        for (const double v : c.values) CHECK((v == 0) == (c.name == name));
      }
    }
    // What a head says is attention alone.
    const Taps taps({"space.attention.head0", "time.attention.head1"});
    (void)mixed();
    for (const Taps::Captured& c : taps.captured()) {
      const Index part = c.name.back() - '0' + (layout == Axis::cross && c.name[0] == 't' ? H : 0);
      for (std::size_t i = 0; i < c.values.size(); ++i) {
        const std::size_t row = i / static_cast<std::size_t>(width);
        const std::size_t channel = i % static_cast<std::size_t>(width);
        CHECK(c.values[i] ==
              doctest::Approx(said[row * D + static_cast<std::size_t>(part * width) + channel])
                  .epsilon(1e-12));
      }
    }
  }
}
