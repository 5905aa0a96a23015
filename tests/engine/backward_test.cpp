// What a backward rule asks for and what becomes of it: Backward, destinations, memory.
#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "engine/add_op.hpp"
#include "engine/arena.hpp"
#include "engine/interception.hpp"
#include "engine/ops.hpp"
#include "engine/profile.hpp"
#include "engine/tape.hpp"
#include "engine/taps.hpp"

using namespace posetape;

namespace {

using Doubles = std::vector<double>;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Tensor numbers(const Doubles& values) {
  return Tensor::of({static_cast<Index>(values.size())}, values, DType::f64);
}

double no_flops(const Node&) {
  return 0;
}

// y = 2 a + 3 b, with rules that are all right and differ in their order. `add` obeys `into`.
void add(double factor, const Tensor& cotangent, const Tensor& target, Into into) {
  for (Index i = 0; i < target.size(); ++i) {
    const double old = into == Into::add ? target.data<double>()[i] : 0;
    target.data<double>()[i] = old + factor * cotangent.data<double>()[i];
  }
}
// Asks for both, then fills the second one first.
void ask_then_fill(const Node&, Backward& backward) {
  const Tensor dy = backward.cotangent();
  const auto [da, into_a] = backward.target(0);
  const auto [db, into_b] = backward.target(1);
  if (db.defined()) add(3, dy, db, into_b);
  if (da.defined()) add(2, dy, da, into_a);
}
// Through raw memory, as kernels do, one input after the other.
void one_by_one(const Node&, Backward& backward) {
  const Tensor dy = backward.cotangent();
  for (const int input : {0, 1}) {
    const GradientOut<double> out = backward.gradient<double>(input);
    CHECK(out.wanted() == backward.wants(input));
    for (Index i = 0; out.wanted() && i < dy.size(); ++i) {
      const double value = (input == 0 ? 2 : 3) * dy.data<double>()[i];
      out.data[i] = out.into == Into::add ? out.data[i] + value : value;
    }
  }
}
// Hands on tensors of its own.
void pass_both(const Node&, Backward& backward) {
  const Tensor dy = backward.cotangent();
  backward.pass(0, scale(dy, 2));
  backward.pass(1, scale(dy, 3));
}
// Asks for one and passes the other, in both orders.
void ask_then_pass(const Node&, Backward& backward) {
  const Tensor dy = backward.cotangent();
  const auto [da, into] = backward.target(0);
  backward.pass(1, scale(dy, 3));
  if (da.defined()) add(2, dy, da, into);
}
void pass_then_ask(const Node&, Backward& backward) {
  const Tensor dy = backward.cotangent();
  backward.pass(0, scale(dy, 2));
  const auto [db, into] = backward.target(1);
  if (db.defined()) add(3, dy, db, into);
}

Op combination(void (*rule)(const Node&, Backward&)) {
  static std::vector<std::pair<void (*)(const Node&, Backward&), Op>> known;
  static const Rule rules[] = {{ask_then_fill, no_flops},
                               {one_by_one, no_flops},
                               {pass_both, no_flops},
                               {ask_then_pass, no_flops},
                               {pass_then_ask, no_flops}};
  for (const auto& [r, op] : known) {
    if (r == rule) return op;
  }
  for (const Rule& r : rules) {
    if (r.backward == rule) known.emplace_back(rule, add_op("combination", r));
  }
  return known.back().second;
}

Tensor combined(Op op, const Tensor& a, const Tensor& b) {
  const Tensor y = numbers({0, 0});
  {
    const NoRecording off;
    copy(posetape::add(scale(a, 2), scale(b, 3)), y);
  }
  record(op, {a, b}, {y}, {});
  return y;
}

constexpr void (*kRules[])(const Node&, Backward&) = {ask_then_fill, one_by_one, pass_both,
                                                      ask_then_pass, pass_then_ask};

}  // namespace

TEST_CASE("a rule may ask for its inputs in any order, and fill them when it likes") {
  for (const auto rule : kRules) {
    const Op op = combination(rule);
    // Everything goes where it belongs: into new memory or a destination, watched by an intercept
    // or not, alone or onto what came before.
    for (const bool intercepted : {false, true}) {
      for (const bool placed : {false, true}) {
        const Tensor x = numbers({1, 2});
        const Tensor other = numbers({5, 7});
        Tape tape;
        tape.watch(x);
        Tensor once, twice, mixed, first, second;
        {
          const Recording on(tape);
          once = sum(combined(op, x, x));                                     // 5 x
          twice = sum(mul(combined(op, x, x), x));                            // 5 x^2
          mixed = sum(combined(op, combined(op, x, x), combined(op, x, x)));  // 25 x
          first = sum(combined(op, x, other));
          second = sum(combined(op, other, x));
        }
        const Tensor place = numbers({kNaN, kNaN});
        const std::vector<std::pair<Tensor, Tensor>> places{{x, place}};
        int seen = 0;
        Tape::Options options;
        if (placed) options.destinations = places;
        Intercept count;
        if (intercepted) count = [&](const Node&, int, const Tensor&, Into&) { ++seen; };
        const Interception on(count);
        const auto check = [&](const Tensor& loss, const Doubles& expected) {
          const Tensor got = tape.backward(loss, options).of(x);
          CHECK(got.to_doubles() == expected);
          if (placed) CHECK(got.raw() == place.raw());
        };
        check(once, {5, 5});
        check(twice, {10, 20});
        check(mixed, {25, 25});
        check(first, {2, 2});
        check(second, {3, 3});
        CHECK((seen > 0) == intercepted);
      }
    }
  }
}

namespace {

// y = x, and a second output that this call does not have. What its rule was given is noted.
struct Asked {
  bool second = false;  // had a cotangent
  std::vector<Into> into;
  std::vector<void*> memory;
};
Asked asked;
void note(const Node&, Backward& backward) {
  asked.second = backward.cotangent(1).defined();
  for (const int input : {0, 1}) {
    const auto [target, into] = backward.target(input);
    asked.into.push_back(into);
    asked.memory.push_back(target.raw());
    add(1, backward.cotangent(), target, into);
  }
}
Tensor noted(const Tensor& a, const Tensor& b) {
  static const Rule rule{note, no_flops};
  static const Op op = add_op("noted", rule);
  const Tensor y = numbers({a.values<double>()[0] + b.values<double>()[0]});
  record(op, {a, b}, {y, Tensor()}, {});
  return y;
}

}  // namespace

TEST_CASE("a rule is given the memory itself: first to write to, then to add to") {
  const Tensor x = numbers({1});
  const Tensor other = numbers({2});
  const Tensor place = numbers({kNaN});
  Tape tape;
  tape.watch(x);
  tape.watch(other);
  Tensor twice, repeated;
  {
    const Recording on(tape);
    twice = noted(noted(x, other), x);
    repeated = noted(x, x);
  }
  const std::vector<std::pair<Tensor, Tensor>> places{{x, place}};
  Tape::Options options;
  options.destinations = places;
  asked = {};
  CHECK(tape.backward(twice, options).of(x).to_doubles() == Doubles{2});
  CHECK_FALSE(asked.second);
  REQUIRE(asked.into.size() == 4);  // the later node's inputs, then the earlier one's
  CHECK(asked.into[1] == Into::write);
  CHECK(asked.into[2] == Into::add);
  CHECK(asked.into[3] == Into::write);
  CHECK(asked.memory[1] == place.raw());
  CHECK(asked.memory[2] == place.raw());
  // Of an input that occurs twice the second part is added when both are there.
  asked = {};
  CHECK(tape.backward(repeated, options).of(x).to_doubles() == Doubles{2});
  REQUIRE(asked.into.size() == 2);
  CHECK(asked.into[0] == Into::write);
  CHECK(asked.memory[0] == place.raw());
  CHECK(asked.into[1] == Into::write);
  CHECK(asked.memory[1] != place.raw());
}

TEST_CASE("an output that a call does not have has no cotangent, and no gradient to look at") {
  const Tensor x = numbers({1});
  const Taps taps({"*.grad"});
  Tape tape;
  tape.watch(x);
  Tensor loss;
  {
    const Recording on(tape);
    loss = mul(tap("y", noted(x, x)), x);
  }
  asked = {};
  CHECK(tape.backward(loss).of(x).to_doubles() == Doubles{4});
  CHECK_FALSE(asked.second);
  CHECK(taps.at("y.grad").values == Doubles{1});
}

TEST_CASE("a gradient that nothing flows into is not seen by a tap") {
  const Tensor x = Tensor::full({2, 3}, 1, DType::f64);
  const Tensor ones = Tensor::full({3}, 1, DType::f64);
  const Taps taps({"*.grad"});
  Tape tape;
  tape.watch(x);
  Tensor loss;
  {
    const Recording on(tape);
    const Normalized n = layer_norm(x, ones, ones, 1e-5, x);
    (void)tap("unused", n.y);
    loss = sum(tap("used", n.s));
  }
  CHECK(tape.backward(loss).of(x).to_doubles() == Doubles(6, 2.0));
  REQUIRE(taps.captured().size() == 1);
  CHECK(taps.captured()[0].name == "used.grad");
}

TEST_CASE("a gradient has its tensor's shape, also where it is another's memory") {
  Tape tape;
  const Tensor x = Tensor::full({2, 3}, 1, DType::f64);
  tape.watch(x);
  Tensor y, z;
  {
    const Recording on(tape);
    y = reshape(x, {6});
    z = add(x, x);
  }
  Tape::Options options;
  options.cotangent = Tensor::full({6}, 5, DType::f64);
  const Tensor dx = tape.backward(y, options).of(x);
  CHECK(dx.shape() == Shape{2, 3});
  CHECK(dx.raw() == options.cotangent.raw());
  options.cotangent = Tensor::full({2, 3}, 5, DType::f64);
  CHECK(tape.backward(z, options).of(x).shape() == Shape{2, 3});
}

TEST_CASE("a destination of another shape or type is refused before anything is computed") {
  Tape tape;
  const Tensor x = numbers({2, 3});
  tape.watch(x);
  Tensor loss;
  {
    const Recording on(tape);
    loss = sum(x);
  }
  for (const Tensor& wrong : {Tensor::zeros({1, 2}, DType::f64), Tensor::zeros({2}, DType::f32)}) {
    const std::vector<std::pair<Tensor, Tensor>> places{{x, wrong}};
    Tape::Options options;
    options.destinations = places;
    const Interception on([](const Node&, int, const Tensor&, Into&) { FAIL("a rule has run"); });
    CHECK_THROWS_WITH_AS(tape.backward(loss, options), doctest::Contains("destination is"), Error);
  }
}

TEST_CASE("without a tape nothing is recorded, and a profile sees the ops all the same") {
  const Tensor x = numbers({2, 3});
  CHECK_FALSE(recording({x}));
  CHECK_FALSE(skip_result({x}));
  const auto names = [](const Profile& profile) {
    std::vector<std::string> list;
    for (const ProfileEvent& e : profile.events()) {
      list.push_back((e.backward ? "d " : "") + e.name);
      CHECK(e.seconds >= 0);
    }
    return list;
  };
  using Names = std::vector<std::string>;
  Profile profile;
  const Tensor y = mul(x, x);
  CHECK(names(profile) == Names{"mul"});
  Tape tape;
  tape.watch(x);
  profile.restart();
  Tensor loss;
  {
    const Recording on(tape);
    const Tensor constant = exp(y);
    loss = sum(mul(x, constant));
  }
  CHECK(names(profile) == Names{"exp", "mul", "sum"});
  CHECK(tape.nodes().size() == 2);
  (void)tape.backward(loss);
  CHECK(names(profile) == Names{"exp", "mul", "sum", "d sum", "d mul"});
  CHECK(profile.events()[1].cost.flops == 2);
  CHECK(profile.events()[4].cost.flops == 4);
  CHECK(profile.events()[4].cost.bytes == 2 * profile.events()[1].cost.bytes);
}

TEST_CASE("a gradient that was passed on stays what it is when its input occurs twice") {
  Tape tape;
  const Tensor x = numbers({1, 2});
  tape.watch(x);
  Tensor y;
  {
    const Recording on(tape);
    y = posetape::add(x, x);  // passes its cotangent to both, which are one
  }
  tape.watch(y);
  Tape::Options options;
  options.cotangent = numbers({5, 6});
  const Gradients g = tape.backward(y, options);
  CHECK(g.of(x).to_doubles() == Doubles{10, 12});
  CHECK(g.of(y).to_doubles() == Doubles{5, 6});
  CHECK(options.cotangent.to_doubles() == Doubles{5, 6});
}

TEST_CASE("who looks at gradients may keep them: each stays what it was") {
  Tape tape;
  const Tensor x = numbers({1, 2});
  tape.watch(x);
  Tensor loss;
  {
    const Recording on(tape);
    loss = sum(posetape::add(mul(x, x), scale(x, 5)));
  }
  std::vector<Tensor> kept;
  std::vector<Doubles> seen;
  const Interception on([&](const Node&, int, const Tensor& gradient, Into&) {
    kept.push_back(gradient);
    seen.push_back(gradient.to_doubles());
  });
  CHECK(tape.backward(loss).of(x).to_doubles() == Doubles{7, 9});
  REQUIRE(kept.size() == 6);
  for (std::size_t i = 0; i < kept.size(); ++i) CHECK(kept[i].to_doubles() == seen[i]);
}

TEST_CASE("a loss has a destination, too") {
  const Tensor x = numbers({2, 3});
  const auto check = [](Tape& tape, const Tensor& loss, const Tensor& cotangent,
                        const Doubles& expected) {
    const Tensor place = Tensor::full(loss.shape(), kNaN, DType::f64);
    const std::vector<std::pair<Tensor, Tensor>> places{{loss, place}};
    Tape::Options options;
    options.cotangent = cotangent;
    options.destinations = places;
    const Gradients g = tape.backward(loss, options);
    CHECK(g.of(loss).raw() == place.raw());
    CHECK(place.to_doubles() == expected);
    if (cotangent.defined()) CHECK(cotangent.to_doubles() == expected);
    return g;
  };
  SUBCASE("a result") {
    Tape tape;
    tape.watch(x);
    Tensor y, loss;
    {
      const Recording on(tape);
      y = mul(x, x);
      loss = sum(y);
    }
    tape.watch(y);
    tape.watch(loss);
    CHECK(check(tape, loss, {}, {1}).of(x).to_doubles() == Doubles{4, 6});
    // What was computed from the value that the pass begins with does not count.
    CHECK(check(tape, y, numbers({10, 20}), {10, 20}).of(x).to_doubles() == Doubles{40, 120});
  }
  SUBCASE("a watched tensor itself") {
    Tape tape;
    tape.watch(x);
    Tensor y;
    {
      const Recording on(tape);
      y = mul(x, x);
    }
    check(tape, x, numbers({10, 20}), {10, 20});
  }
}

TEST_CASE("a tensor that is watched twice is watched once") {
  Tape tape;
  const Tensor x = numbers({2, 3});
  tape.watch(x);
  tape.watch(x);
  const Recording on(tape);
  const Tensor y = mul(x, x);
  tape.watch(x);
  CHECK(tape.backward(sum(y)).of(x).to_doubles() == Doubles{4, 6});
}

TEST_CASE("after clear() a tape knows nothing: neither what it watched nor what it computed") {
  Tape tape;
  const Tensor x = numbers({2, 3});
  tape.watch(x);
  Tensor y;
  {
    const Recording on(tape);
    y = mul(x, x);
    CHECK(recording({x}));
    CHECK(recording({y}));
  }
  tape.clear();
  CHECK(tape.nodes().empty());
  const Recording on(tape);
  CHECK_FALSE(recording({x}));
  CHECK_FALSE(recording({y}));
  (void)mul(x, y);
  CHECK(tape.nodes().empty());
  const Tensor z = numbers({5, 7});
  tape.watch(z);
  const Gradients g = tape.backward(sum(mul(z, y)));
  CHECK(g.of(z).to_doubles() == Doubles{4, 9});
  CHECK_THROWS_AS(g.of(x), Error);
}

TEST_CASE("a gradient is let go of when its node is done") {
  constexpr Index kSize = 1000;
  constexpr std::size_t kBytes = 8 * kSize;
  const Tensor x = Tensor::full({kSize}, 1, DType::f64);
  Arena arena(Device::cpu);
  const ArenaScope scope(arena);
  Tape tape;
  tape.watch(x);
  Tensor loss;
  {
    const Recording on(tape);
    Tensor h = x;
    for (int i = 0; i < 30; ++i) h = scale(h, 2);  // saves nothing
    loss = sum(h);
  }
  CHECK(arena.bytes_in_use() < kBytes);
  arena.reset_peak();
  const Gradients g = tape.backward(loss);
  CHECK(g.of(x).to_doubles() == Doubles(kSize, 0x1p30));
  CHECK(arena.peak_bytes() <= 4 * kBytes);
}

TEST_CASE("a pass that releases lets go of what each node saved when its rule has run") {
  const Tensor x = numbers({2, 3});
  Tape tape;
  tape.watch(x);
  Tensor loss;
  {
    const Recording on(tape);
    loss = sum(mul(mul(exp(x), x), x));
  }
  REQUIRE(tape.nodes().size() == 4);
  std::vector<Op> order;
  Tape::Options options;
  options.release = true;
  const Interception on([&](const Node& node, int, const Tensor&, Into&) {
    order.push_back(node.op);
    for (const Node* later = &node + 1; later < &tape.nodes().back() + 1; ++later) {
      CHECK(later->saved.empty());
    }
  });
  (void)tape.backward(loss, options);
  CHECK(order == std::vector<Op>{Op::sum, Op::mul, Op::mul, Op::mul, Op::mul, Op::exp});
}

TEST_CASE("what a call costs counts each operand that was given, once") {
  Tape tape;
  const Tensor x = Tensor::full({2, 3}, 1, DType::f32);
  const Tensor w = Tensor::full({5, 3}, 1, DType::f32);
  const Tensor b = Tensor::full({5}, 1, DType::f32);
  tape.watch(x);
  const Recording on(tape);
  (void)linear(x, w);
  (void)linear(x, w, b);
  REQUIRE(tape.nodes().size() == 2);
  CHECK(cost(tape.nodes()[0]).flops == 2 * 2 * 3 * 5);
  CHECK(cost(tape.nodes()[0]).bytes == 4 * (6 + 15 + 10));
  CHECK(cost(tape.nodes()[1]).bytes == 4 * (6 + 15 + 5 + 10));
}
