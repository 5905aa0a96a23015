// What a training run counts, sums, compares and restores. The loss is <p, x> with x from the
// batch, so that every gradient is known without a network: it is x.
#include "engine/trainer.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "engine/arena.hpp"
#include "engine/module.hpp"
#include "engine/ops/elementwise.hpp"
#include "engine/ops/sum.hpp"
#include "engine/recompute.hpp"
#include "engine/rng.hpp"

using namespace posetape;

namespace {

using Doubles = std::vector<double>;

struct Model {
  explicit Model(DType dtype = DType::f64, double start = 1)
      : parameters(16, dtype, 1), p(parameters.add("p", {3}, {Init::constant, start})) {}
  ParameterList parameters;
  Tensor p;
};

Tensor inner_product(const Tensor& a, const Tensor& b) {
  return sum(mul(a, b));
}

// Everything that a run tells its hooks, but for the time that it took.
struct Heard {
  std::vector<std::pair<int, int>> asked;  // batch(epoch, step)
  std::vector<TrainState> states;
  Doubles losses;
  std::vector<EpochResult> epochs;
  int stops = 0;
};

// A batch of random x; the validations are given.
Trainer::Hooks hooks_of(const Model& model, Heard& heard, const Doubles& validations) {
  Trainer::Hooks hooks;
  hooks.batch = [&model, &heard](int epoch, int step) -> Trainer::Batch {
    heard.asked.emplace_back(epoch, step);
    Random random(8, Stream::test, static_cast<std::uint64_t>(100 * epoch + step));
    Doubles x;
    for (int i = 0; i < 3; ++i) x.push_back(random.normal());
    return {{Tensor::of({3}, x, model.p.dtype())}};
  };
  hooks.loss = [&model](std::span<const Tensor> in, int) { return inner_product(model.p, in[0]); };
  hooks.validate = [&heard, validations] { return validations.at(heard.epochs.size()); };
  hooks.on_step = [&heard](const TrainState& state, double loss) {
    heard.states.push_back(state);
    heard.losses.push_back(loss);
  };
  hooks.on_epoch = [&heard](const EpochResult& result) { heard.epochs.push_back(result); };
  return hooks;
}

bool same(const TrainState& a, const TrainState& b) {
  return a.epoch == b.epoch && a.step == b.step && a.loss_sum == b.loss_sum &&
         a.best_validation == b.best_validation && a.best_epoch == b.best_epoch;
}
bool same(const EpochResult& a, const EpochResult& b) {
  return a.epoch == b.epoch && a.lr == b.lr && a.loss == b.loss && a.validation == b.validation &&
         a.best == b.best;
}

// What a checkpoint keeps of a run.
struct Saved {
  TensorFile file;
  Tensor masters;
};
Saved save(const Model& model, const Trainer& trainer) {
  Saved saved;
  trainer.save(saved.file);
  for (auto& [name, tensor] : saved.file.tensors) tensor = tensor.clone();
  saved.masters = model.parameters.masters().clone();
  return saved;
}
void load(Model& model, Trainer& trainer, const Saved& saved) {
  copy(saved.masters, model.parameters.masters());
  model.parameters.masters_changed();
  trainer.load(saved.file, "memory");
}

std::vector<bool> best_flags(const Heard& heard) {
  std::vector<bool> flags;
  for (const EpochResult& e : heard.epochs) flags.push_back(e.best);
  return flags;
}

}  // namespace

TEST_CASE("an epoch's loss is the mean over its steps, and the next one's starts from nothing") {
  Model model;
  Heard heard;
  Trainer trainer(model.parameters, {.epochs = 3, .steps_per_epoch = 4});
  REQUIRE(trainer.run(hooks_of(model, heard, {3, 2, 1})) == TrainOutcome::finished);
  REQUIRE(heard.losses.size() == 12);
  REQUIRE(heard.epochs.size() == 3);
  for (std::size_t e = 0; e < 3; ++e) {
    double sum = 0;
    for (std::size_t s = 0; s < 4; ++s) {
      const TrainState& state = heard.states[4 * e + s];
      sum += heard.losses[4 * e + s];
      CHECK(heard.asked[4 * e + s] == std::pair(static_cast<int>(e), static_cast<int>(s)));
      CHECK(state.epoch == static_cast<int>(e));
      CHECK(state.step == static_cast<int>(s) + 1);  // taken
      CHECK(state.loss_sum == sum);
    }
    CHECK(heard.epochs[e].epoch == static_cast<int>(e));
    CHECK(heard.epochs[e].loss == sum / 4);
  }
  CHECK(trainer.state().epoch == 3);
  CHECK(trainer.state().step == 0);
  CHECK(trainer.state().loss_sum == 0);
}

// With one gradient at every step, m / (1 - beta1^t) is that gradient and v / (1 - beta2^t) its
// square: each step moves every parameter by the learning rate.
TEST_CASE("a step is Adam's at the epoch's learning rate, with the weight decay asked for") {
  for (const double weight_decay : {0.0, 0.5}) {
    Model model;
    Heard heard;
    const TrainOptions options{
        .epochs = 3, .steps_per_epoch = 2, .lr = 0.125, .decay = 0.5, .weight_decay = weight_decay};
    Trainer trainer(model.parameters, options);
    CHECK(trainer.lr() == 0.125);
    Trainer::Hooks hooks = hooks_of(model, heard, {1, 1, 1});
    hooks.batch = [](int, int) -> Trainer::Batch {
      return {{Tensor::of({3}, Doubles{100, -200, 300}, DType::f64)}};
    };
    Doubles expected{1, 1, 1};
    hooks.on_step = [&](const TrainState& state, double) {
      const double lr = 0.125 * std::pow(0.5, state.epoch);
      CHECK(trainer.lr() == lr);
      for (std::size_t i = 0; i < 3; ++i) {
        expected[i] -= lr * weight_decay * expected[i];
        expected[i] -= i == 1 ? -lr : lr;
        CHECK(model.p.to_doubles()[i] == doctest::Approx(expected[i]).epsilon(1e-8));
      }
    };
    trainer.run(hooks);
    REQUIRE(heard.epochs.size() == 3);
    for (std::size_t e = 0; e < 3; ++e) {
      CHECK(heard.epochs[e].lr == 0.125 * std::pow(0.5, static_cast<double>(e)));
    }
  }
}

TEST_CASE("an epoch is best only where its validation is below all before") {
  Model model;
  Heard heard;
  Trainer trainer(model.parameters, {.epochs = 7});
  trainer.run(hooks_of(model, heard, {5, 4, 4, 6, 3, 3, 4}));
  CHECK(best_flags(heard) == std::vector<bool>{true, true, false, false, true, false, false});
  CHECK(trainer.state().best_epoch == 4);
  CHECK(trainer.state().best_validation == 3);
  for (std::size_t e = 0; e < 7; ++e) {
    CHECK(heard.epochs[e].validation == Doubles{5, 4, 4, 6, 3, 3, 4}[e]);
  }
}

TEST_CASE("patience is the number of epochs without a better one after which a run ends") {
  // The first epoch is best, or the third; an equal one is no better.
  const Doubles first{1, 2, 2, 2, 2, 2, 2, 2};
  const Doubles third{3, 4, 1, 1, 1, 1, 1, 1};
  const auto epochs = [](const Doubles& validations, int patience) {
    Model model;
    Heard heard;
    Trainer trainer(model.parameters, {.epochs = 8, .patience = patience});
    CHECK(trainer.run(hooks_of(model, heard, validations)) == TrainOutcome::finished);
    return heard.epochs.size();
  };
  CHECK(epochs(first, 0) == 8);  // never
  CHECK(epochs(first, 1) == 2);
  CHECK(epochs(first, 3) == 4);
  CHECK(epochs(third, 1) == 2);  // before the best of all
  CHECK(epochs(third, 2) == 5);
  CHECK(epochs(third, 5) == 8);
  CHECK(epochs(third, 6) == 8);
}

TEST_CASE("a run that was stopped after any step and resumed goes on to the bit") {
  const TrainOptions options{
      .epochs = 5, .steps_per_epoch = 3, .lr = 0.05, .decay = 0.7, .patience = 2};
  const Doubles validations{5, 4, 4, 6, 1};  // the fourth epoch uses up the patience
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    Model whole(dtype);
    Heard expected;
    Trainer uninterrupted(whole.parameters, options);
    REQUIRE(uninterrupted.run(hooks_of(whole, expected, validations)) == TrainOutcome::finished);
    REQUIRE(expected.losses.size() == 12);
    REQUIRE(expected.epochs.size() == 4);

    for (std::size_t stop = 1; stop <= 12; ++stop) {
      CAPTURE(stop);
      Model first(dtype);
      Heard heard;
      Trainer before(first.parameters, options);
      Trainer::Hooks hooks = hooks_of(first, heard, validations);
      hooks.stop = [&] { return heard.losses.size() == stop; };
      CHECK(before.run(hooks) == TrainOutcome::interrupted);
      const Saved saved = save(first, before);

      Model second(dtype, /*start=*/-3);  // which the saved one replaces
      Trainer after(second.parameters, options);
      load(second, after, saved);
      CHECK(same(after.state(), before.state()));
      CHECK(after.lr() == before.lr());
      CHECK(after.run(hooks_of(second, heard, validations)) == TrainOutcome::finished);

      CHECK(heard.losses == expected.losses);
      CHECK(heard.asked == expected.asked);
      REQUIRE(heard.states.size() == expected.states.size());
      for (std::size_t i = 0; i < heard.states.size(); ++i) {
        CHECK(same(heard.states[i], expected.states[i]));
      }
      REQUIRE(heard.epochs.size() == expected.epochs.size());
      for (std::size_t i = 0; i < heard.epochs.size(); ++i) {
        CHECK(same(heard.epochs[i], expected.epochs[i]));
      }
      CHECK(same(after.state(), uninterrupted.state()));
      CHECK(second.parameters.masters().to_doubles() == whole.parameters.masters().to_doubles());
      CHECK(second.p.to_doubles() == whole.p.to_doubles());
    }
  }
}

TEST_CASE("a run that was finished and loaded takes no step more, and more epochs where allowed") {
  TrainOptions options{.epochs = 2, .steps_per_epoch = 2};
  const Doubles validations{5, 4, 3};
  Model model;
  Heard heard;
  Trainer trainer(model.parameters, options);
  trainer.run(hooks_of(model, heard, validations));
  const Saved saved = save(model, trainer);

  Trainer again(model.parameters, options);
  load(model, again, saved);
  CHECK(again.run(hooks_of(model, heard, validations)) == TrainOutcome::finished);
  CHECK(heard.losses.size() == 4);
  options.epochs = 3;
  Trainer longer(model.parameters, options);
  load(model, longer, saved);
  longer.run(hooks_of(model, heard, validations));
  CHECK(heard.losses.size() == 6);
  CHECK(heard.epochs.back().epoch == 2);
  CHECK(best_flags(heard) == std::vector<bool>{true, true, true});
}

TEST_CASE("counters that count no steps and epochs are refused, each for itself") {
  const TrainOptions options{.epochs = 2, .steps_per_epoch = 2};
  Model model;
  Trainer trainer(model.parameters, options);
  Saved saved = save(model, trainer);
  const std::span<double> counters = saved.file.tensors.back().second.values<double>();
  REQUIRE(counters.size() == 6);
  const Doubles good(counters.begin(), counters.end());
  const double nan = std::nan("");
  // steps, epoch, step, loss_sum, best_validation, best_epoch
  const std::vector<Doubles> bad{
      {-1, 0.5, 1e9, nan}, {-1, 0.5, 1e9, nan}, {-1, 0.5, 1e9, nan}, {HUGE_VAL, nan}, {},
      {-2, 0.5, 1e9, nan}};
  for (std::size_t i = 0; i < bad.size(); ++i) {
    CAPTURE(i);
    for (const double value : bad[i]) {
      CAPTURE(value);
      counters[i] = value;
      CHECK_THROWS_WITH_AS(trainer.load(saved.file, "memory"),
                           "memory: tensor 'trainer.counters' counts no steps and epochs; start "
                           "again without it",
                           Error);
    }
    counters[i] = i == 3 ? -0.5 : 999'999'999;
    trainer.load(saved.file, "memory");
    counters[i] = good[i];
  }
  CHECK(good[4] == HUGE_VAL);  // nothing was validated yet
  CHECK(good[5] == -1);
}

TEST_CASE("hooks that are left out are not called, and the kind of a batch reaches the loss") {
  Model model;
  std::vector<int> variants;
  Trainer::Hooks hooks;
  hooks.batch = [](int epoch, int step) -> Trainer::Batch {
    return {{Tensor::full({3}, 1, DType::f64)}, 10 * epoch + step};
  };
  hooks.loss = [&](std::span<const Tensor> in, int variant) {
    variants.push_back(variant);
    return inner_product(model.p, in[0]);
  };
  hooks.validate = [] { return 1.0; };
  Trainer trainer(model.parameters, {.epochs = 2, .steps_per_epoch = 2});
  CHECK(trainer.run(hooks) == TrainOutcome::finished);
  CHECK(variants == std::vector<int>{0, 1, 10, 11});
}

TEST_CASE("an epoch's time holds its steps and its validation") {
  using Clock = std::chrono::steady_clock;
  Model model;
  Heard heard;
  Trainer::Hooks hooks = hooks_of(model, heard, {1});
  const auto first = Clock::now();
  hooks.validate = [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return 1.0;
  };
  Trainer trainer(model.parameters, {});
  trainer.run(hooks);
  REQUIRE(heard.epochs.size() == 1);
  CHECK(heard.epochs[0].seconds >= 0.002);
  CHECK(heard.epochs[0].seconds <= std::chrono::duration<double>(Clock::now() - first).count());
}

TEST_CASE("the level of recomputation is the tape's") {
  for (const int level : {0, 1}) {
    Model model;
    Heard heard;
    int calls = 0;
    Trainer::Hooks hooks = hooks_of(model, heard, {1});
    hooks.loss = [&](std::span<const Tensor> in, int) {
      const auto counted = [&](const Tensor& a, const Tensor& b) {
        ++calls;
        return mul(a, b);
      };
      const Tensor once = recompute(1, counted, model.p, in[0]);
      return sum(recompute(1, counted, once, in[0]));
    };
    Trainer trainer(model.parameters, {.recompute = level});
    trainer.run(hooks);
    CHECK(calls == 2 + level);  // the first of two segments runs again
  }
}

TEST_CASE("a step keeps nothing: memory does not grow, and none of the tape's is held") {
  Model model;
  Heard heard;
  std::vector<std::size_t> in_use;
  Tensor held;
  Trainer::Hooks hooks = hooks_of(model, heard, {1, 1, 1});
  hooks.loss = [&](std::span<const Tensor> in, int) {
    held = mul(in[0], in[0]);
    return inner_product(mul(model.p, held), model.p);
  };
  hooks.on_step = [&](const TrainState&, double) {
    CHECK(held.sole_owner());
    in_use.push_back(Arena::cpu().bytes_in_use());
  };
  Trainer trainer(model.parameters, {.epochs = 3, .steps_per_epoch = 3});
  trainer.run(hooks);
  REQUIRE(in_use.size() == 9);
  for (const std::size_t bytes : in_use) CHECK(bytes == in_use.front());
}

TEST_CASE("a loss that is not finite stops a run before it is counted, with place and rate") {
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    Model model;
    Heard heard;
    Trainer::Hooks hooks = hooks_of(model, heard, {1, 1});
    hooks.loss = [&](std::span<const Tensor> in, int) {
      const Tensor loss = inner_product(model.p, in[0]);
      return heard.losses.size() == 4 ? mul(loss, Tensor::full(loss.shape(), bad, DType::f64))
                                      : loss;
    };
    Trainer trainer(model.parameters,
                    {.epochs = 2, .steps_per_epoch = 3, .lr = 0.5, .decay = 0.25});
    CHECK_THROWS_WITH_AS(trainer.run(hooks), doctest::Contains("at epoch 2, step 2"), Error);
    CHECK(trainer.state().epoch == 1);
    CHECK(trainer.state().step == 1);
    CHECK(trainer.state().loss_sum == heard.losses.back());
    try {
      trainer.run(hooks);
    } catch (const Error& error) {
      CHECK(std::string(error.what()).find("now 0.125") != std::string::npos);
    }
  }
}

TEST_CASE("a loss that is not finite once alone ends a run, too") {
  Model model;
  Heard heard;
  Trainer::Hooks hooks = hooks_of(model, heard, {1});
  int calls = 0;
  hooks.loss = [&](std::span<const Tensor> in, int) {
    const Tensor loss = inner_product(model.p, in[0]);
    return ++calls == 1 ? mul(loss, Tensor::full({}, std::nan(""), DType::f64)) : loss;
  };
  Trainer trainer(model.parameters, {.epochs = 1, .steps_per_epoch = 2});
  CHECK_THROWS_WITH_AS(trainer.run(hooks), doctest::Contains("at epoch 1, step 1;"), Error);
  CHECK(heard.losses.empty());
}

// Errors that no loss would show.
namespace {

// p is in the loss; the others are not.
struct Beside {
  Beside(ParameterList& list, int)
      : frozen(list.add("frozen", {3}, {Init::constant, 1})),
        p(list.add("p", {3}, {Init::constant, 1})),
        forgotten(list.add("forgotten", {1}, {Init::constant, 1})),
        empty(list.add("empty", {0}, {})) {}
  Tensor frozen, p, forgotten, empty;
};

Trainer::Hooks hooks_of(const Module<Beside>& net, std::vector<EpochResult>& epochs) {
  Trainer::Hooks hooks;
  hooks.batch = [](int, int step) -> Trainer::Batch {
    return {{Tensor::full({3}, step + 1.0, DType::f32)}};
  };
  hooks.loss = [&](std::span<const Tensor> in, int) {
    return inner_product(net.layers().p, in[0]);
  };
  hooks.validate = [] { return 1.0; };
  hooks.on_epoch = [&](const EpochResult& result) { epochs.push_back(result); };
  return hooks;
}

}  // namespace

TEST_CASE("a frozen parameter that something writes to stops a run, wherever it is saved") {
  for (const int when : {0, 1, 2}) {
    Module<Beside> net(0, DType::f32, 1);
    net.freeze("frozen");
    std::vector<EpochResult> epochs;
    Trainer::Hooks hooks = hooks_of(net, epochs);
    hooks.on_step = [&](const TrainState& state, double) {
      if (state.epoch == 1 && state.step == 1) net.layers().frozen.data<float>()[2] += 1e-6F;
    };
    int paused = 0;
    hooks.on_pause = [&] { ++paused; };
    hooks.stop = [&] { return when == 1 && epochs.size() == 1; };
    hooks.pause = [&] { return when == 2; };
    Trainer trainer(net, {.epochs = 3, .steps_per_epoch = 2});
    CHECK_THROWS_WITH_AS(trainer.run(hooks),
                         "parameter frozen is frozen, and has changed in epoch 2; let nothing "
                         "write to it",
                         Error);
    CHECK(epochs.size() == 1);
    CHECK(paused == (when == 2 ? 1 : 0));
  }
}

TEST_CASE("parameters that an epoch's steps leave as they are are named, frozen ones are not") {
  Module<Beside> net(0, DType::f32, 1);
  net.freeze("frozen");
  std::vector<EpochResult> epochs;
  Trainer::Hooks hooks = hooks_of(net, epochs);
  Trainer trainer(net, {.epochs = 3, .steps_per_epoch = 2});
  bool stops = false;
  hooks.on_step = [&](const TrainState& state, double) {
    if (state.epoch == 1) fill(net.layers().p, 1);  // somebody puts the weights back
    stops = state.epoch == 2 && state.step == 2;
  };
  const auto note = hooks.on_epoch;
  hooks.on_epoch = [&](const EpochResult& result) {
    note(result);
    fill(net.layers().p, 1);
  };
  hooks.stop = [&] { return stops; };
  CHECK(trainer.run(hooks) == TrainOutcome::interrupted);
  CHECK(trainer.run(hooks) == TrainOutcome::finished);
  REQUIRE(epochs.size() == 3);
  CHECK(epochs[0].unmoved == std::vector<std::string>{"forgotten"});
  CHECK(epochs[1].unmoved == std::vector<std::string>{"p", "forgotten"});
  CHECK(epochs[2].unmoved.empty());  // nothing is said where no step was taken

  Module<Beside> free(0, DType::f32, 1);
  epochs.clear();
  Trainer(free, {.epochs = 1, .steps_per_epoch = 1}).run(hooks_of(free, epochs));
  CHECK(epochs[0].unmoved == std::vector<std::string>{"frozen", "forgotten"});
}

TEST_CASE("a learning rate that would grow instead of falling is refused") {
  const Model model;
  for (const double decay : {0.0, 1.000001, std::nan("")}) {
    CHECK_THROWS_WITH_AS(Trainer(model.parameters, {.decay = decay}),
                         doctest::Contains("it must be in (0, 1], or the learning rate grows"),
                         Error);
  }
  CHECK_THROWS_WITH_AS(Trainer(model.parameters, {.lr = 0.25, .cosine = true, .lr_floor = 0.5}),
                       "lr_floor is 0.5, above the learning rate 0.25, which is to fall to it",
                       Error);
  CHECK_NOTHROW(Trainer(model.parameters, {.lr = 0.25, .cosine = true, .lr_floor = 0.25}));
  CHECK_NOTHROW(Trainer(model.parameters, {.lr = 0.25, .decay = 1, .lr_floor = 0.5}));
}
