// The definition of a batch's gradient by shards, in one process. Several are
// tests/tools/ranks_test.py's.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "engine/adam.hpp"
#include "engine/ops.hpp"
#include "engine/random_fill.hpp"
#include "engine/ranks/gradient_shards.hpp"
#include "engine/trainer.hpp"

namespace posetape {
namespace {

TEST_CASE("shard_sequences: neighbours that differ by one at most, and all of them") {
  for (const Index batch : {1, 7, 8, 9, 64}) {
    Index next = 0;
    for (int s = 0; s < 8; ++s) {
      const ShardSequences rows = shard_sequences(batch, 8, s);
      CHECK(rows.first == next);
      CHECK(rows.count >= batch / 8);
      CHECK(rows.count <= batch / 8 + 1);
      next += rows.count;
    }
    CHECK(next == batch);
  }
}

// A list with one parameter of so many elements, whose gradient the tests write.
ParameterList parameters_of(Index size, DType dtype) {
  constexpr Index kAlign = ParameterList::kAlign;
  ParameterList list((size + kAlign - 1) / kAlign * kAlign, dtype, 1);
  list.add("w", {size}, {Init::normal, 1});
  return list;
}

TEST_CASE("gradient shards: the weighted sum in the order of the shards, in f32") {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    CAPTURE(name(dtype));
    const Index size = 5000;
    const ParameterList list = parameters_of(size, dtype);
    const int shards = 5;
    const Index batch = 7;  // 1, 1, 2, 1, 2 sequences
    GradientShards sum(list, shards);
    CHECK(sum.rounds() == shards);
    CHECK(sum.part().begin == 0);
    CHECK(sum.part().size == list.gradients().size());
    sum.clear();
    std::vector<float> expected(static_cast<std::size_t>(size), 0.0f);
    for (int s = 0; s < shards; ++s) {
      const Tensor g = Tensor::empty(list.gradients().shape(), DType::f32);
      fill_normal(g, 3, Stream::test, static_cast<std::uint64_t>(s));
      copy(g, list.gradients());
      const auto weight =
          static_cast<float>(static_cast<double>(shard_sequences(batch, shards, s).count) / 7.0);
      const std::vector<double> rounded = list.gradients().to_doubles();
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const float term = weight * static_cast<float>(rounded[i]);
        expected[i] += term;
      }
      sum.add(s, batch);
    }
    sum.complete();
    sum.mean(1);
    const std::vector<double> got = list.gradients().to_doubles();
    const Tensor round = Tensor::of(Shape{size}, std::span<const float>(expected));
    const Tensor to = Tensor::empty({size}, dtype);
    copy(round, to);
    const std::vector<double> want = to.to_doubles();
    for (std::size_t i = 0; i < want.size(); ++i) REQUIRE(got[i] == want[i]);
  }
}

TEST_CASE("gradient shards: an empty one adds nothing, whatever its gradient was") {
  const ParameterList list = parameters_of(16, DType::f32);
  GradientShards sum(list, 4);
  sum.clear();
  for (int s = 0; s < 4; ++s) {
    fill(list.gradients(), s == 3 ? 2.0 : 1e9);
    sum.add(s, 1);  // one sequence, of the last shard
  }
  sum.complete();
  sum.mean(1);
  for (const double g : list.gradients().to_doubles()) CHECK(g == 2.0);
}

TEST_CASE("an optimiser of a part moves that, to the bits of the whole") {
  const Index cut = 2 * 4096;
  bool groups = false;
  SUBCASE("of one kind") {}
  SUBCASE("of several") {
    groups = true;
  }
  const auto make = [] {
    ParameterList list(4 * 4096, DType::f32, 1);
    list.add("first", {5000}, {});
    list.add("gain", {100}, {});
    list.add("last", {7188}, {});
    return list;
  };
  const ParameterList whole = make(), parts = make();
  AdamOptions options{.weight_decay = 0.1};
  if (groups) options.undecayed = {"gain"};
  Adam all(whole, options);
  Adam first(parts, options, BlockPart{0, cut});
  Adam second(parts, options, BlockPart{cut, whole.masters().size() - cut});
  CHECK(first.m.size() == cut);
  for (std::uint64_t step = 0; step < 3; ++step) {
    for (const ParameterList* list : {&whole, &parts}) {
      fill_normal(list->gradients(), 5, Stream::test, step);
    }
    all.step(1e-2);
    first.step(1e-2);
    fill_normal(parts.gradients(), 5, Stream::test, step);  // one update uses up a gradient
    second.step(1e-2);
  }
  CHECK(whole.masters().to_doubles() == parts.masters().to_doubles());
  std::vector<double> m = first.m.to_doubles();
  const std::vector<double> rest = second.m.to_doubles();
  m.insert(m.end(), rest.begin(), rest.end());
  CHECK(m == all.m.to_doubles());
}

TEST_CASE("fill_normal: with rows before, the numbers are those of the larger tensor") {
  for (const Index width : {3, 4, 51}) {
    const Tensor large = Tensor::empty({5, width}, DType::f64);
    fill_normal(large, 9, Stream::noise, 6);
    const std::vector<double> all = large.to_doubles();
    for (const Index first : {0, 1, 3}) {
      const Tensor rows = Tensor::empty({2, width}, DType::f64);
      const std::vector<double> address{6, static_cast<double>(first)};
      fill_normal(rows, 9, Stream::noise, Tensor::of<double>({1, 2}, address));
      const auto begin = all.begin() + first * width;
      CHECK(rows.to_doubles() == std::vector<double>(begin, begin + 2 * width));
    }
  }
}

TEST_CASE("trainer: shards change the order of sums alone, and need batches that say their size") {
  const auto train = [](int shards, Index sequences) {
    ParameterList list = parameters_of(4, DType::f64);
    Trainer trainer(list, {.epochs = 1, .steps_per_epoch = 3, .lr = 0.1, .shards = shards});
    Trainer::Hooks hooks;
    hooks.batch = [&](int, int step) {
      const Tensor x = Tensor::empty({6, 4}, DType::f64);
      fill_normal(x, 1, Stream::test, static_cast<std::uint64_t>(step));
      return Trainer::Batch{{x}, 0, sequences};
    };
    hooks.loss = [&](std::span<const Tensor> in, int) {
      const Tensor w = broadcast_to(list.entries()[0].value, in[0].shape());
      return mse_loss(mul(in[0], w), in[0]);
    };
    hooks.validate = [] { return 1.0; };
    trainer.run(hooks);
    return list.masters().to_doubles();
  };
  const std::vector<double> one = train(1, 6);
  for (const int shards : {2, 4, 6, 9}) {
    const std::vector<double> some = train(shards, 6);
    for (std::size_t i = 0; i < one.size(); ++i)
      CHECK(some[i] == doctest::Approx(one[i]).epsilon(1e-12));
  }
  CHECK_THROWS_WITH_AS(train(2, 0), doctest::Contains("cut into shards"), Error);
  CHECK_THROWS_WITH_AS(train(0, 6), doctest::Contains("shards is 0"), Error);
}

// Everything that a trainer does with a batch's losses and inputs, in parts and not.
struct ShardedRun {
  std::vector<Index> rows;  // of each call of the loss
  std::vector<std::pair<int, int>> asked;
  std::vector<double> losses, weights, average;

  // Step `bad` has a loss of NaN for the batch's last row.
  explicit ShardedRun(int shards, int bad = -1) {
    ParameterList list = parameters_of(4, DType::f64);
    TrainOptions options{.epochs = 2, .steps_per_epoch = 2, .lr = 0.1};
    options.optimiser = OptimiserKind::sgd;
    options.micro_batches = 2;
    options.shards = shards;
    options.ema = 0.5;
    Trainer trainer(list, options);
    Trainer::Hooks hooks;
    hooks.batch = [&](int epoch, int number) {
      asked.emplace_back(epoch, number);
      const Index sequences = number == 3 ? 1 : 5;
      const Tensor x = Tensor::empty({sequences, 4}, DType::f64);
      fill_normal(x, 1, Stream::test, asked.size());
      if (number == bad) x.data<double>()[x.size() - 1] = std::nan("");
      const Tensor whole = Tensor::full({2}, 0.5 + number, DType::f64);
      const Tensor scalar = Tensor::full({}, 3.0, DType::f64);
      const Tensor each = Tensor::full({sequences}, 1.0, DType::f64);
      return Trainer::Batch{{x, whole, Tensor(), scalar, each}, 0, sequences};
    };
    hooks.loss = [&](std::span<const Tensor> in, int) {
      rows.push_back(in[0].shape()[0]);
      CHECK(in[1].shape() == Shape{2});
      CHECK_FALSE(in[2].defined());
      CHECK(in[4].shape() == Shape{rows.back()});
      const Tensor product = sum(mul(in[0], broadcast_to(list.entries()[0].value, in[0].shape())));
      return mul(scale(product, 1.0 / static_cast<double>(rows.back())), mul(sum(in[1]), in[3]));
    };
    hooks.validate = [] { return 1.0; };
    hooks.on_step = [&](const TrainState&, double loss) { losses.push_back(loss); };
    fill(list.masters(), 1.0);
    trainer.run(hooks);
    weights = list.masters().to_doubles();
    average = trainer.ema()->average.to_doubles();
  }
};

TEST_CASE("trainer: shards have the rows of a batch between them, and its loss is that of all") {
  const ShardedRun one(1), some(2);
  CHECK(one.rows == std::vector<Index>{5, 5, 5, 1, 5, 5, 5, 1});
  CHECK(some.rows.size() == 14);
  for (std::size_t i = 0, at = 0; i < one.rows.size(); ++i) {
    Index sum = 0;
    for (int shard = 0; shard < (one.rows[i] > 1 ? 2 : 1); ++shard) {
      CHECK(some.rows[at] <= 3);
      sum += some.rows[at++];
    }
    CHECK(sum == one.rows[i]);
  }
  CHECK(some.asked == one.asked);
  CHECK(some.asked[3] == std::pair(0, 3));
  REQUIRE(some.losses.size() == 4);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(some.losses[i] == doctest::Approx(one.losses[i]).epsilon(1e-12));
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(some.weights[i] == doctest::Approx(one.weights[i]).epsilon(1e-12));
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(some.average[i] == doctest::Approx(one.average[i]).epsilon(1e-12));
}

TEST_CASE("trainer: a loss of any shard that is not finite ends the run, and says where") {
  for (const int bad : {0, 1, 2, 3}) {
    CHECK_THROWS_WITH_AS(
        ShardedRun(2, bad),
        doctest::Contains(
            ("at epoch 1, step " + std::to_string(bad / 2 + 1) + ": mul, forward").c_str()),
        Error);
  }
}

}  // namespace
}  // namespace posetape
