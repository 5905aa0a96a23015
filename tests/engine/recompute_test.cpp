// Segments of a tape that run again in the backward pass.
#include "engine/recompute.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "engine/arena.hpp"
#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "engine/profile.hpp"
#include "engine/taps.hpp"
#include "tests/cases/cases.hpp"

using namespace posetape;

namespace {

struct Two {
  Tensor a, b;
};

// Three segments that share a weight and an input, each used outside as well: gradients arrive in
// many orders.
struct Network {
  Tensor x = random_normal({6, 4}, 1, 0.5);
  Tensor w = random_normal({4, 4}, 2, 0.5);
  mutable int calls = 0;

  Two layer(const Tensor& h) const {
    ++calls;
    const Tensor y = tap("y", linear(h, w, {}, Activation::gelu));
    return {add(y, x), linear(mul(y, h), w)};
  }
  Tensor loss() const {
    Tensor h = mul(x, matmul(x, w));
    for (int i = 0; i < 3; ++i) {
      const auto [a, b] = recompute(
          1, [this](const Tensor& in) { return layer(in); }, h);
      h = add(mul(a, b), h);
    }
    return sum(mul(h, matmul(x, w)));
  }
  // Of x and w, in memory that held something else, and the loss.
  std::vector<Tensor> gradients(Tape& tape, bool release) const {
    tape.watch(x);
    tape.watch(w);
    Tensor value;
    {
      const Recording on(tape);
      value = loss();
    }
    const std::vector<std::pair<Tensor, Tensor>> places{
        {w, Tensor::full(w.shape(), 7, DType::f64)}};
    Tape::Options options;
    options.destinations = places;
    options.release = release;
    const Gradients g = tape.backward(value, options);
    return {g.of(x), places[0].second, value};
  }
};

void check_same(const std::vector<Tensor>& got, const std::vector<Tensor>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(same_bytes(got[i], expected[i]));
}

Tensor f(const Tensor& x) {
  return exp(mul(x, x));
}

}  // namespace

TEST_CASE("gradients are the same to the bit where segments run again") {
  const Network network;
  Tape plain;
  const std::vector<Tensor> expected = network.gradients(plain, true);
  CHECK(network.calls == 3);
  for (const bool release : {false, true}) {
    Tape tape(1);
    network.calls = 0;
    check_same(network.gradients(tape, release), expected);
    CHECK(network.calls == 5);  // the last segment has kept what it needs
    CHECK(tape.nodes().size() == plain.nodes().size());
  }
}

TEST_CASE("segments of a higher level than the tape's keep what they save") {
  const Network network;
  Tape tape(0);
  (void)network.gradients(tape, false);
  CHECK(network.calls == 3);
  for (const Node& node : tape.nodes()) {
    if (node.op == Op::mul) CHECK(node.saved.size() == 2);
  }
}

TEST_CASE("a second backward runs segments again, and a released tape holds nothing") {
  const Network network;
  Tape tape(1);
  const std::vector<Tensor> first = network.gradients(tape, false);
  const Gradients second = tape.backward(first[2]);
  CHECK(network.calls == 7);
  CHECK(same_bytes(second.of(network.x), first[0]));
  CHECK(same_bytes(second.of(network.w), first[1]));

  Tensor held = random_normal({3}, 3);
  Tape released(1);
  released.watch(network.x);
  Tensor loss;
  {
    const Recording on(released);
    loss = sum(mul(recompute(
                       1, [](const Tensor& x, const Tensor& h) { return mul(x, h); },
                       slice(network.x, 1, 0, 3), held),
                   held));
  }
  CHECK_FALSE(held.sole_owner());
  Tape::Options options;
  options.release = true;
  (void)released.backward(loss, options);
  CHECK(held.sole_owner());
}

TEST_CASE("what a segment saved is let go of when the next one begins") {
  const Tensor x = random_normal({5}, 1, 0.1);
  Tape tape(1);
  tape.watch(x);
  const Recording on(tape);
  const Tensor a = recompute(1, f, x);
  CHECK(tape.nodes().size() == 2);
  for (const Node& node : tape.nodes()) CHECK(node.saved.size() == 2);
  const Tensor b = recompute(1, f, a);
  REQUIRE(tape.nodes().size() == 4);
  CHECK(tape.nodes()[0].saved.empty());
  CHECK(tape.nodes()[1].saved.empty());
  CHECK(tape.nodes()[3].saved.size() == 2);
}

TEST_CASE("a segment inside another one is a part of it") {
  const Tensor x = random_normal({5}, 1, 0.1);
  std::vector<Tensor> gradients;
  for (const int level : {0, 1, 2}) {
    Tape tape(level);
    tape.watch(x);
    Tensor loss;
    {
      const Recording on(tape);
      const auto twice = [](const Tensor& in) { return recompute(1, f, recompute(1, f, in)); };
      loss = sum(recompute(2, twice, recompute(2, twice, scale(x, 0.1))));
    }
    gradients.push_back(tape.backward(loss).of(x));
    CHECK(same_bytes(gradients.back(), gradients.front()));
  }
}

TEST_CASE("while a segment runs again, those inside it are no segments, either") {
  const Tensor x = random_normal({5}, 1, 0.1);
  int calls = 0;
  const auto twice = [&](const Tensor& in) {
    ++calls;
    return recompute(1, f, recompute(1, f, in));
  };
  Tape tape(2);
  tape.watch(x);
  Tensor loss;
  {
    const Recording on(tape);
    loss = sum(recompute(2, twice, recompute(2, twice, scale(x, 0.1))));
  }
  CHECK(calls == 2);
  const Tensor first = tape.backward(loss).of(x);
  CHECK(calls == 3);
  CHECK(same_bytes(tape.backward(loss).of(x), first));
  CHECK(calls == 4);  // what the last one saved is still there
}

TEST_CASE("a segment that the loss does not depend on does not run again") {
  const Tensor x = random_normal({5}, 1, 0.1);
  int calls = 0;
  Tape tape(1);
  tape.watch(x);
  Tensor loss;
  {
    const Recording on(tape);
    const auto count = [&](const Tensor& in) {
      ++calls;
      return f(in);
    };
    (void)recompute(1, count, x);
    loss = sum(recompute(1, count, x));
  }
  (void)tape.backward(loss);
  CHECK(calls == 2);
}

TEST_CASE("a linear layer at a segment's end is not computed again") {
  const Network network;
  Tape tape(1);
  const Profile profile;
  (void)network.gradients(tape, true);
  const auto count = [&](const char* name) {
    return std::ranges::count_if(
        profile.events(), [&](const ProfileEvent& e) { return e.name == name && !e.backward; });
  };
  CHECK(count("linear.gelu") == 5);
  CHECK(count("linear.none") == 3);
}

TEST_CASE("taps see each value once, and the gradients of those that the forward pass made") {
  const Network network;
  std::vector<std::vector<double>> seen[2];
  for (const int level : {0, 1}) {
    const Taps taps({"y.norm", "y.grad"});
    Tape tape(level);
    (void)network.gradients(tape, true);
    taps.check();
    for (const auto& c : taps.captured()) seen[level].push_back(c.values);
    CHECK(Taps::current() == &taps);
  }
  CHECK(seen[0] == seen[1]);
}

TEST_CASE("a function that does something else the second time is an error") {
  const Tensor x = random_normal({5}, 1, 0.1);
  const auto check = [&](const char* message, auto second, auto first) {
    int calls = 0;
    const auto changing = [&](const Tensor& in) { return ++calls == 1 ? first(in) : second(in); };
    Tape tape(1);
    tape.watch(x);
    Tensor loss;
    {
      const Recording on(tape);
      loss = sum(recompute(1, f, recompute(1, changing, x)));
    }
    CHECK_THROWS_WITH_AS(tape.backward(loss), doctest::Contains(message), Error);
    tape.clear();
    tape.watch(x);
    const Recording on(tape);
    CHECK(tape.backward(sum(x)).of(x).to_doubles() == std::vector<double>(5, 1.0));
  };
  check(
      "the function ran exp where it ran mul the first time",
      [](const Tensor& in) { return exp(exp(in)); }, f);
  check(
      "the function ran 2 ops, 1 the second time", [](const Tensor& in) { return mul(in, in); }, f);
  check(
      "the function ran exp where it had ended the first time",
      [](const Tensor& in) { return exp(f(in)); }, f);
  const auto two = [](const Tensor& in) { return concat({in, in}, 0); };
  const auto three = [](const Tensor& in) { return concat({in, in, in}, 0); };
  check("concat has 3 inputs where it had 2 the first time", three, two);
  check("concat has 2 inputs where it had 3 the first time", two, three);
}

// ---- Where segments begin and end ----

namespace {

// The gradient of x under a tape of this level, and that it is the one without segments.
template <class F>
void check_as_plain(F loss_of) {
  const Tensor x = random_normal({4, 4}, 5, 0.4);
  std::vector<double> expected;
  for (const int level : {0, 1}) {
    Tape tape(level);
    tape.watch(x);
    Tensor loss;
    {
      const Recording on(tape);
      loss = loss_of(x);
    }
    // Twice: what the first pass let go of is made again.
    for (int pass = 0; pass < 2; ++pass) {
      const std::vector<double> got = tape.backward(loss).of(x).to_doubles();
      if (expected.empty()) expected = got;
      CHECK(got == expected);
    }
  }
}

Tensor square(const Tensor& x) {
  return mul(x, x);
}

}  // namespace

TEST_CASE("a segment of one node runs again") {
  // Each saves what the one before it made.
  check_as_plain([](const Tensor& x) {
    return sum(recompute(1, square, recompute(1, square, recompute(1, square, x))));
  });
  // Beside nodes that are in no segment, in front, between and behind.
  check_as_plain([](const Tensor& x) {
    const Tensor a = recompute(1, square, exp(x));
    const Tensor b = recompute(1, square, exp(a));
    return sum(exp(recompute(1, square, b)));
  });
}

TEST_CASE("a segment of which the loss reaches only the beginning runs again") {
  check_as_plain([](const Tensor& x) {
    const Two two = recompute(
        1,
        [](const Tensor& in) {
          const Tensor first = square(in);
          return Two{first, exp(exp(first))};
        },
        square(x));
    return sum(mul(two.a, recompute(1, square, x)));
  });
}

TEST_CASE("a segment that records nothing is none") {
  const Tensor constant = random_normal({4, 4}, 6);
  check_as_plain([&](const Tensor& x) {
    const Tensor before = recompute(1, square, constant);
    const Tensor a = recompute(1, square, mul(x, before));
    const Tensor between = recompute(1, square, constant);
    return sum(mul(recompute(1, square, a), between));
  });
}

TEST_CASE("a linear layer within a segment is computed again: what follows saves its result") {
  check_as_plain([](const Tensor& x) {
    const auto layers = [](const Tensor& in) {
      return linear(mul(exp(linear(in, in)), linear(in, in)), in);
    };
    return sum(recompute(1, layers, recompute(1, layers, x)));
  });
}

TEST_CASE("a constant within a segment is computed each time, and it is no node") {
  const Tensor constant = random_normal({4, 4}, 6);
  constant.mark_written();  // before the pass, and so not within it
  check_as_plain([&](const Tensor& x) {
    const auto scaled = [&](const Tensor& in) { return mul(in, linear(constant, constant)); };
    // The last one alone keeps what it made.
    return sum(recompute(1, scaled, recompute(1, scaled, recompute(1, scaled, x))));
  });
}

TEST_CASE("after a segment that failed the next ones are as ever") {
  const Tensor x = random_normal({5}, 1, 0.1);
  Tape tape(1);
  tape.watch(x);
  int calls = 0;
  Tensor loss;
  {
    const Recording on(tape);
    const auto failing = [](const Tensor& in) {
      fail("as it was asked to");
      return in;
    };
    CHECK_THROWS_AS(recompute(1, failing, x), Error);
    const auto counted = [&](const Tensor& in) {
      ++calls;
      return f(in);
    };
    loss = sum(recompute(1, f, recompute(1, counted, x)));
  }
  (void)tape.backward(loss);
  CHECK(calls == 2);
}

TEST_CASE("a backward pass that failed in a segment can be tried again") {
  const Tensor x = random_normal({5}, 1, 0.1);
  int calls = 0;
  const auto once_wrong = [&](const Tensor& in) { return ++calls == 2 ? exp(in) : f(in); };
  Tape tape(1);
  tape.watch(x);
  Tensor loss;
  {
    const Recording on(tape);
    loss = sum(recompute(1, f, recompute(1, once_wrong, x)));
  }
  CHECK_THROWS_AS(tape.backward(loss), Error);
  Tape plain;
  plain.watch(x);
  const Recording on(plain);
  CHECK(same_bytes(tape.backward(loss).of(x), plain.backward(sum(f(f(x)))).of(x)));
}

// ---- What is held, and until when ----

TEST_CASE("a backward pass holds what one segment saved at a time") {
  constexpr Index kSize = 1000;
  constexpr std::size_t kBytes = 8 * kSize;
  constexpr int kSegments = 20;
  const Tensor x = random_normal({kSize}, 1, 1e-3);
  for (const bool release : {false, true}) {
    Arena arena(Device::cpu);
    const ArenaScope scope(arena);
    Tape tape(1);
    tape.watch(x);
    Tensor loss;
    {
      const Recording on(tape);
      Tensor h = x;
      for (int i = 0; i < kSegments; ++i) {
        h = recompute(
            1, [](const Tensor& in) { return square(square(square(in))); }, h);
      }
      loss = sum(h);
    }
    // An input for each segment, and what the last one keeps.
    CHECK(arena.bytes_in_use() <= (kSegments + 4) * kBytes);
    arena.reset_peak();
    const std::size_t before = arena.bytes_in_use();
    Tape::Options options;
    options.release = release;
    const Gradients gradients = tape.backward(loss, options);
    CHECK(arena.peak_bytes() <= before + 8 * kBytes);
    // A pass that releases has nothing left but gradient and loss; another one the inputs.
    CHECK(arena.bytes_in_use() <= (release ? 2 : kSegments + 4) * kBytes);
    for (std::size_t i = 0; i + 3 * 1 + 1 < tape.nodes().size(); ++i) {
      CHECK(tape.nodes()[i].saved.empty());
    }
  }
}

TEST_CASE("a pass that releases lets go of segments that it did not reach, too") {
  const Tensor x = random_normal({3}, 1);
  const Tensor held = random_normal({3}, 2);
  Tape tape(1);
  tape.watch(x);
  Tensor loss;
  {
    const Recording on(tape);
    (void)recompute(
        1, [](const Tensor& a, const Tensor& b) { return mul(a, b); }, x, held);
    loss = sum(recompute(1, square, x));
  }
  CHECK_FALSE(held.sole_owner());
  Tape::Options options;
  options.release = true;
  (void)tape.backward(loss, options);
  CHECK(held.sole_owner());
}

TEST_CASE("what a segment computed again is not known to the tape afterwards") {
  const Tensor x = random_normal({3}, 1);
  std::vector<Tensor> inner;
  const auto keeping = [&](const Tensor& in) {
    inner.push_back(exp(in));
    return mul(inner.back(), in);
  };
  Tape tape(1);
  tape.watch(x);
  const Recording on(tape);
  const Tensor loss = sum(recompute(1, square, recompute(1, keeping, x)));
  (void)tape.backward(loss);
  REQUIRE(inner.size() == 2);
  CHECK(recording({inner[0]}));
  CHECK_FALSE(recording({inner[1]}));
}

TEST_CASE("a pass that releases lets go of a segment's inputs when it has run") {
  const Tensor x = random_normal({3}, 1);
  Tensor held = random_normal({3}, 2);
  const auto times = [](const Tensor& a, const Tensor& b) { return mul(a, b); };
  Tape tape(1);
  tape.watch(x);
  Tensor loss;
  {
    const Recording on(tape);
    const Tensor early = exp(x);
    const Tensor h = recompute(1, times, early, held);
    loss = sum(recompute(1, times, h, x));
  }
  bool seen = false;
  Tape::Options options;
  options.release = true;
  const Interception on([&](const Node& node, int, const Tensor&, Into&) {
    if (node.op != Op::exp) return;
    seen = true;
    CHECK(held.sole_owner());
  });
  (void)tape.backward(loss, options);
  CHECK(seen);
}
