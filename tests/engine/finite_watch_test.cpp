// Where a number that is not finite came from, and that no weight moves for it.
#include "engine/finite_watch.hpp"

#include <doctest/doctest.h>

#include "engine/module.hpp"
#include "engine/recompute.hpp"
#include "tests/engine/finite_watch.hpp"

using namespace posetape;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

struct Weight {
  explicit Weight(double start = 1) { w = list.add("w", {3}, {Init::constant, start}); }
  ParameterList list{16, DType::f64, 1};
  Tensor w;
};

Tensor of(std::vector<double> values) {
  return Tensor::of({static_cast<Index>(values.size())}, values, DType::f64);
}

}  // namespace

TEST_CASE("a step with a number that is not finite is named, and moves nothing") {
  for (const test::Spoiled& s : test::spoiled()) test::check_spoiled(s, Device::cpu);
}

TEST_CASE("a gradient that is not finite shows a step later where nobody looks at gradients") {
  test::Spoiled s = test::spoiled().back();
  Weight m;
  Trainer trainer(m.list, {.epochs = 1, .steps_per_epoch = 4});
  Trainer::Hooks hooks;
  hooks.batch = [](int, int step) -> Trainer::Batch { return {{of({2, step == 1 ? 0.0 : 2, 2})}}; };
  hooks.loss = [&](std::span<const Tensor> in, int) { return s.loss(m.w, in[0]); };
  hooks.validate = [] { return 1.0; };
  CHECK_THROWS_WITH_AS(trainer.run(hooks),
                       doctest::Contains("step 3: mul, forward: input 0: w f64 [3] is nan at [1]"),
                       Error);
}

TEST_CASE("a watch finds nothing where all is finite, and changes no bit") {
  for (const int level : {0, 1}) {
    Tensor weights[2];
    for (const bool watched : {false, true}) {
      Weight m(2);
      Trainer trainer(
          m.list, {.epochs = 1, .steps_per_epoch = 5, .recompute = level, .check_finite = watched});
      Trainer::Hooks hooks;
      hooks.batch = [](int, int step) -> Trainer::Batch { return {{of({1, 2, 3.0 + step})}}; };
      hooks.loss = [&](std::span<const Tensor> in, int) {
        const auto square = [](const Tensor& a) { return mul(a, exp(scale(a, -1))); };
        return sum(mul(recompute(1, square, recompute(1, square, m.w)), in[0]));
      };
      hooks.validate = [] { return 1.0; };
      CHECK(trainer.run(hooks) == TrainOutcome::finished);
      weights[watched ? 1 : 0] = m.list.masters();
    }
    CHECK(same_bytes(weights[0], weights[1]));
  }
}

TEST_CASE("a watch names the first one alone, also outside of a recording") {
  const Weight m;
  const FiniteWatch watch(m.list);
  CHECK(watch.found().empty());
  const Tensor indices = Tensor::of<std::int32_t>({2}, std::vector<std::int32_t>{0, 2});
  (void)gather(exp(reshape(m.w, {3, 1})), indices);
  CHECK(watch.found().empty());
  const Tensor y = log(mul(m.w, of({1, 2, 0})));
  (void)log(y);
  CHECK(watch.found() ==
        "log, forward: output 0: f64 [3] is -inf at [2]; input 0: f64 [3], 0 there");
}

TEST_CASE("what lies beside the number is the same element, or from where to where it goes") {
  const Weight m;
  const FiniteWatch watch(m.list);
  (void)div(Tensor::full({2, 3}, 5, DType::f64), of({4, 0, -1}));
  CHECK(watch.found() ==
        "div, forward: output 0: f64 [2, 3] is inf at [0, 1]; input 0: f64 [2, 3], 5 there; "
        "input 1: f64 [3], -1 to 4");
}

TEST_CASE("ops that a rule is made of are the rule's, and a gradient is that of its op") {
  const Weight m;
  const FiniteWatch watch(m.list);
  const Tensor factor = of({1, 0, 1});
  (void)gradients(m.list, [&] {
    const Scope scope("part");
    return sum(sqrt(mul(m.w, factor)));
  });
  CHECK(watch.found().starts_with(
      "sqrt in part, backward: the gradient of input 0: f64 [3] is inf at [1]"));
}

TEST_CASE("a cotangent that the caller gives shows at the first rule") {
  const Weight m;
  Tape tape;
  m.list.watch(tape);
  Tensor y;
  {
    const Recording on(tape);
    y = scale(m.w, 2);
  }
  const FiniteWatch watch(m.list);
  Tape::Options options;
  options.cotangent = of({1, 1, kInf});
  (void)tape.backward(y, options);
  CHECK(watch.found() ==
        "scale, backward: the gradient of input 0: w f64 [3] is inf at [2]; cotangent f64 [3], "
        "inf there");
}
