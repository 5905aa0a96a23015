// What lies around a step: clipping, several batches, rates, averages, groups, frozen parameters,
// and SGD, against PyTorch's values of the same numbers (optimiser_values.py).
#include "engine/optimiser.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/adam.hpp"
#include "engine/gradcheck.hpp"
#include "engine/learning_rate.hpp"
#include "engine/module.hpp"
#include "engine/muon.hpp"
#include "engine/ops.hpp"
#include "engine/profile.hpp"
#include "engine/sgd.hpp"
#include "engine/trainer.hpp"
#include "kernels/base/parallel.hpp"
#include "tests/engine/numbers.hpp"
#include "tests/engine/optimiser_values.hpp"

using namespace posetape;

namespace {

// A weight and a bias, a gain, and an output layer without a bias.
struct Layers {
  Layers(ParameterList& list, int)
      : weight(list.add("hidden.weight", {4, 3}, {})),
        bias(list.add("hidden.bias", {4}, {})),
        gain(list.add("gain", {4}, {})),
        out(list.add("out.weight", {2, 4}, {})) {}
  Tensor operator()(const Tensor& x) const {
    return linear(mul(tanh(linear(x, weight, bias)), gain), out);
  }
  Tensor weight, bias, gain, out;
};

struct Net : Module<Layers> {
  explicit Net(DType dtype = DType::f64, Device device = Device::cpu)
      : Module<Layers>(0, dtype, 1, device) {
    int seed = 0;
    for (const Entry& e : entries()) copy(numbers(e.value.shape(), ++seed), e.master);
    masters_changed();
  }
  Tensor loss(int number) const {
    const DType type = values().dtype();
    const Tensor x = numbers({5, 3}, 10 + number, type).to(device());
    const Tensor y = numbers({5, 2}, 50 + number, type).to(device());
    return mse_loss((*this)(x), y);
  }
  void pass(int number) const {
    posetape::gradients(*this, [&] { return loss(number); });
  }
};

// One after the other, without the gaps between them.
Doubles joined(const ParameterList& list, Tensor ParameterList::Entry::*which) {
  Doubles all;
  for (const ParameterList::Entry& e : list.entries()) {
    const Doubles part = (e.*which).to_doubles();
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}
Doubles weights(const ParameterList& list) {
  return joined(list, &ParameterList::Entry::master);
}

void check_close(const Doubles& got, const Doubles& expected, double tolerance = 1e-13) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(got[i] - expected[i]) <= tolerance * std::max(1.0, std::abs(expected[i])));
  }
}

// PyTorch's training with everything on: 2 epochs of 3 steps of 3 batches.
TrainOptions everything(OptimiserKind kind) {
  TrainOptions o{.epochs = 2, .steps_per_epoch = 3, .lr = 0.05, .weight_decay = 0.1};
  o.optimiser = kind;
  if (kind == OptimiserKind::muon) o.adam = {"out.*"};
  o.undecayed = {"*.bias", "gain"};
  o.warm_up = 2;
  o.cosine = true;
  o.lr_floor = 0.01;
  o.clip_norm = 0.4;
  o.micro_batches = 3;
  o.ema = 0.8;
  return o;
}

struct Trained {
  Doubles losses;
  Doubles weights;
  Doubles averages;
  Doubles validated;  // the weights, as each validation saw them
  Tensor masters;
};

Trainer::Hooks hooks_of(const Net& net, int per_epoch, Trained& trained) {
  Trainer::Hooks hooks;
  hooks.batch = [per_epoch](int epoch, int step) -> Trainer::Batch {
    const double number = epoch * per_epoch + step;
    return {{Tensor::full({}, number, DType::f64)}, epoch * per_epoch + step};
  };
  hooks.loss = [&net](std::span<const Tensor>, int number) { return net.loss(number); };
  hooks.validate = [&net, &trained] {
    trained.validated = weights(net);
    return 1.0;
  };
  hooks.on_step = [&trained](const TrainState&, double loss) { trained.losses.push_back(loss); };
  return hooks;
}

Trained train(OptimiserKind kind, DType dtype = DType::f64, bool check_finite = false) {
  Net net(dtype);
  net.freeze("*.bias");
  TrainOptions options = everything(kind);
  options.check_finite = check_finite;
  Trainer trainer(net, options);
  Trained trained;
  CHECK(trainer.run(hooks_of(net, 9, trained)) == TrainOutcome::finished);
  trained.weights = weights(net);
  trained.masters = net.masters().clone();
  const Averaged averaged(net, *trainer.ema());
  trained.averages = weights(net);
  return trained;
}

}  // namespace

TEST_CASE("clipping gives PyTorch's gradients and norm") {
  for (const auto& [most, expected] : {std::pair{0.5, kClipped}, std::pair{50.0, kUnclipped}}) {
    const Net net;
    net.pass(0);
    const Tensor norm = clip_gradients(net, most);
    Doubles got{norm.item()};
    const Doubles gradients = joined(net, &ParameterList::Entry::gradient);
    got.insert(got.end(), gradients.begin(), gradients.end());
    check_close(got, expected);
  }
}

TEST_CASE("gradients below the norm keep their bits, above it all are scaled alike") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const Net net(dtype);
    net.pass(0);
    const Doubles before = net.gradients().to_doubles();
    const Tensor norm = clip_gradients(net, 100);
    CHECK(norm.dtype() == accumulator_of(dtype));
    CHECK(net.gradients().to_doubles() == before);
    const double most = norm.item() / 4;
    clip_gradients(net, most);
    const double factor = most / (norm.item() + 1e-6);
    const Doubles after = net.gradients().to_doubles();
    // The factor and the product are rounded in the accumulator's type, the result once more.
    const double roundings = dtype == DType::f64 ? 4e-16 : dtype == DType::f32 ? 2e-7 : 0x1.02p-9;
    for (std::size_t i = 0; i < after.size(); ++i) {
      CHECK(std::abs(after[i] - factor * before[i]) <= roundings * std::abs(factor * before[i]));
    }
  }
}

TEST_CASE("a norm that is not a number shows in every gradient, and no limit is an error") {
  const Net net;
  net.pass(0);
  net.entries()[2].gradient.data<double>()[1] = std::nan("");
  clip_gradients(net, 1);
  for (const double g : joined(net, &ParameterList::Entry::gradient)) CHECK(std::isnan(g));
  CHECK_THROWS_WITH_AS(clip_gradients(net, 0),
                       "clip_gradients: the largest norm is 0; it must be above 0", Error);
}

TEST_CASE("parameters that no gradient comes to are named, frozen ones are not") {
  struct Forgotten {
    Forgotten(ParameterList& list, int)
        : used(list.add("used", {2, 3}, {Init::uniform, 0.5})),
          dead(list.add("dead", {2, 3}, {Init::constant, -1})),
          forgotten(list.add("forgotten", {4}, {})),
          frozen(list.add("frozen", {4}, {})) {}
    Tensor used, dead, forgotten, frozen;
  };
  Module<Forgotten> net(0, DType::f32, 1);
  net.freeze("frozen");
  const Tensor x = Tensor::full({1, 3}, 1.0, DType::f32);
  const auto& layers = net.layers();
  gradients(net, [&] {
    // Of a sum below 0, relu lets no gradient through.
    return sum(add(linear(x, layers.used), relu(linear(x, layers.dead))));
  });
  CHECK(without_gradient(net) == std::vector<std::string>{"dead", "forgotten"});
}

TEST_CASE("SGD gives PyTorch's weights, with and without momentum and weight decay") {
  const std::pair<SgdOptions, Doubles> all[] = {
      {{}, kSgd}, {{.momentum = 0.9, .weight_decay = 0.1}, kSgdMomentum}};
  for (const auto& [options, expected] : all) {
    const Net net;
    Sgd sgd(net, options);
    for (int step = 0; step < 4; ++step) {
      net.pass(step);
      sgd.step(0.1);
    }
    CHECK(sgd.steps == 4);
    check_close(weights(net), expected);
  }
}

TEST_CASE("SGD in bf16 adds up in the masters what is too small for the values") {
  ParameterList list(16, DType::bf16, 1);
  const Tensor p = list.add("p", {1}, {Init::constant, 1});
  Sgd sgd(list);
  for (int t = 0; t < 8; ++t) {
    fill(list.entries()[0].gradient, 1);
    sgd.step(0x1p-10);  // a unit below 1 is 2^-8
  }
  CHECK(list.masters().to_doubles()[0] == 1 - 8 * 0x1p-10);
  CHECK(p.item() == 1 - 0x1p-7);
}

TEST_CASE(
    "SGD moves nothing where the loss is not finite, nor without a gradient; a profile counts") {
  const Net net;
  Sgd sgd(net, {.momentum = 0.5});
  CHECK_THROWS_WITH_AS(sgd.step(0.1), doctest::Contains("sgd: no gradient was written"), Error);
  net.pass(0);
  const Tensor before = net.masters().clone();
  sgd.prepare(0.1);
  sgd.update(Tensor::full({}, HUGE_VAL, DType::f64));
  CHECK(same_bytes(net.masters(), before));
  CHECK(sgd.velocity.to_doubles() == Doubles(static_cast<std::size_t>(net.size()), 0.0));
  net.pass(0);
  const Profile profile;
  sgd.step(0.1);
  REQUIRE(profile.events().size() == 1);
  CHECK(profile.events()[0].name == "sgd");
  CHECK(profile.events()[0].cost.flops == 6 * net.size());
  // Reads p, velocity, g and writes p, velocity.
  CHECK(profile.events()[0].cost.bytes == net.size() * 5 * 8);
}

TEST_CASE("the orthogonal part: singular values come near 1, and their vectors stay") {
  // Of a matrix U diag(s) V^T with known U and V: reflections.
  for (const auto& [m, n] : {std::pair{Index{3}, Index{5}}, {5, 3}, {4, 4}, {1, 6}, {6, 1}}) {
    const auto reflection = [](Index size, int seed) {
      const Tensor v = numbers({size, 1}, seed);
      const Tensor outer = matmul(v, v, {.transpose_b = true});
      Doubles all = scale(outer, -2 / sum(mul(v, v)).item()).to_doubles();
      for (Index i = 0; i < size; ++i) all[static_cast<std::size_t>(i * (size + 1))] += 1;
      return Tensor::of<double>({size, size}, all);
    };
    const Tensor u = reflection(m, 1), v = reflection(n, 2);
    const Index few = std::min(m, n);
    Doubles diagonal(static_cast<std::size_t>(m * n), 0.0);
    for (Index i = 0; i < few; ++i) {
      diagonal[static_cast<std::size_t>(i * n + i)] = std::pow(3.0, static_cast<double>(i));
    }
    const Tensor s = Tensor::of<double>({m, n}, diagonal);
    const Tensor o = orthogonal_part(matmul(matmul(u, s), v));
    // U^T O V^T is diagonal; reflections are their own transposes.
    const Doubles core = matmul(matmul(u, o), v).to_doubles();
    for (Index i = 0; i < m; ++i) {
      for (Index j = 0; j < n; ++j) {
        const double x = core[static_cast<std::size_t>(i * n + j)];
        CHECK(std::abs(x - (i == j ? 0.95 : 0)) < (i == j ? 0.3 : 1e-12));
      }
    }
  }
  CHECK(orthogonal_part(Tensor::zeros({2, 3}, DType::f64)).to_doubles() == Doubles(6, 0.0));
}

TEST_CASE("Muon gives PyTorch's weights, beside AdamW") {
  const std::pair<std::vector<std::string>, Doubles> all[] = {{{}, kMuon},
                                                              {{"out.*"}, kMuonHidden}};
  for (const auto& [adam, expected] : all) {
    const Net net;
    Muon muon(net,
              {.adam = adam, .others = {.weight_decay = 0.1, .undecayed = {"*.bias", "gain"}}});
    for (int step = 0; step < 4; ++step) {
      net.pass(step);
      muon.step(0.05);
    }
    check_close(weights(net), expected, 1e-11);
  }
  const Net net;
  CHECK_THROWS_WITH_AS(Muon(net, {.adam = {"embedding"}}),
                       "muon: no parameter is called 'embedding', which is to be Adam's", Error);
}

TEST_CASE("Muon's first step is along the orthogonal parts of the gradients of matrices alone") {
  const Net net, other;
  net.pass(0);
  other.pass(0);
  Muon(net).step(0.05);
  Adam(other).step(0.05);
  const Net before;
  for (std::size_t i = 0; i < 4; ++i) {
    const ParameterList::Entry& e = net.entries()[i];
    if (e.value.shape().rank() != 2) {
      CHECK(same_bytes(e.value.clone(), other.entries()[i].value.clone()));
      continue;
    }
    const double size = 0.05 * 0.2 * std::sqrt(4.0);  // both have 4 as the larger extent
    const Tensor step = scale(orthogonal_part(other.entries()[i].gradient), -size);
    check_close(e.value.to_doubles(), add(before.entries()[i].value, step).to_doubles(), 1e-12);
  }
}

TEST_CASE("Muon takes a matrix of one row for a matrix, and not its neighbours") {
  ParameterList list(64, DType::f64, 1);
  for (const Shape& shape : {Shape{3}, Shape{1, 3}, Shape{3}}) {
    const std::string name = fmt::format("p{}", list.entries().size());
    const Tensor p = list.add(name, shape, {});
    for (int i = 0; i < 3; ++i) list.entries().back().gradient.data<double>()[i] = i + 1;
  }
  list.gradients().mark_written();
  Muon(list).step(0.5);
  for (const std::size_t i : {0, 2}) {  // Adam's: the rate, whatever the gradient
    check_close(list.entries()[i].value.to_doubles(), {-0.5, -0.5, -0.5}, 1e-6);
  }
  const std::vector<double> row = list.entries()[1].value.to_doubles();
  check_close(row, {row[0], 2 * row[0], 3 * row[0]}, 1e-12);
}

TEST_CASE("Muon in bf16 moves the masters, and nothing where a loss is not finite") {
  const Net net(DType::bf16);
  Muon muon(net, {.others = {.weight_decay = 0.1}});
  net.pass(0);
  muon.step(0.01);
  CHECK(same_bytes(net.values(), cast(net.masters(), DType::bf16)));
  const Tensor masters = net.masters().clone(), m = muon.m.clone(), v = muon.v.clone();
  net.pass(1);
  muon.prepare(0.01);
  muon.update(Tensor::full({}, std::nan(""), DType::f64));
  CHECK(same_bytes(net.masters(), masters));
  CHECK(same_bytes(muon.m, m));
  CHECK(same_bytes(muon.v, v));
}

TEST_CASE("groups without decay and frozen parameters move as PyTorch's do") {
  Net net;
  net.freeze("hidden.weight");
  Adam adam(net, {.weight_decay = 0.3, .undecayed = {"*.bias", "gain"}});
  for (int step = 0; step < 4; ++step) {
    net.pass(step);
    adam.step(0.05);
  }
  check_close(weights(net), kGroups, 1e-12);
  CHECK(net.entries()[0].gradient.to_doubles() == Doubles(12, 0.0));
}

TEST_CASE("a parameter of one element that is treated on its own moves") {
  ParameterList list(64, DType::f64, 1);
  list.add("weight", {3}, {Init::constant, 1});
  const Tensor gain = list.add("gain", {1}, {Init::constant, 1});
  list.add("last", {3}, {Init::constant, 1});
  Sgd sgd(list, {.momentum = 0, .weight_decay = 0.5, .undecayed = {"gain"}});
  fill(list.gradients(), 0.25);
  sgd.step(1);
  CHECK(gain.item() == 0.75);
  CHECK(list.entries()[2].master.to_doubles() == Doubles{0.25, 0.25, 0.25});
}

TEST_CASE("what is not to decay or to move is named as parameters are") {
  Net net;
  CHECK_THROWS_WITH_AS(Adam(net, {.undecayed = {"*.biass"}}),
                       "adam: no parameter is called '*.biass', which is not to decay", Error);
  CHECK_THROWS_WITH_AS(Sgd(net, {.undecayed = {"weigh"}}),
                       "sgd: no parameter is called 'weigh', which is not to decay", Error);
  CHECK_THROWS_WITH_AS(net.freeze("output"), "freeze: no parameter is called 'output'", Error);
  CHECK(net.destinations().size() == 4);
  net.freeze("hidden.*");
  net.freeze("gain");
  CHECK(net.destinations().size() == 1);
  // Parts of names count, as for taps.
  net.freeze("weight");
  CHECK(net.destinations().empty());
  CHECK_THROWS_WITH_AS(net.pass(0), doctest::Contains("watches nothing"), Error);
}

TEST_CASE("a parameter that is frozen late loses the gradient it had, and an optimiser waits on") {
  Net net;
  net.pass(0);
  net.freeze("gain");
  CHECK(net.entries()[2].gradient.to_doubles() == Doubles(4, 0.0));
  Adam adam(net);
  const Doubles gain = net.entries()[2].value.to_doubles();
  adam.step(0.1);  // the others' gradients are there
  CHECK(net.entries()[2].value.to_doubles() == gain);
  const Tensor before = net.masters().clone();
  net.freeze("hidden.bias");  // zeros are no new gradient
  CHECK_THROWS_WITH_AS(adam.step(0.1), doctest::Contains("no gradient was written"), Error);
  net.pass(0);
  CHECK_THROWS_WITH_AS(adam.step(0.1),
                       "adam: parameters were frozen after it was made, and it would still move "
                       "them; freeze() first",
                       Error);
  CHECK(adam.steps == 1);
  CHECK(same_bytes(net.masters(), before));
  Adam(net).step(0.1);
  CHECK_FALSE(same_bytes(net.masters(), before));
}

TEST_CASE("what is frozen between others stays, and each part moves in its own place") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    ParameterList list(64, dtype, 1);
    const Tensor before = list.add("before", {16}, {Init::constant, 1});  // up to the next one
    const Tensor between = list.add("between", {1}, {Init::constant, 1});
    const Tensor after = list.add("after", {4}, {Init::constant, 1});
    const Tensor undecayed = list.add("undecayed", {2}, {Init::constant, 1});
    list.freeze("between");
    Adam adam(list, {.weight_decay = 0.5, .undecayed = {"undecayed"}});
    fill(list.gradients(), 0);
    adam.step(0.5);
    // Nothing but the decay moves them.
    CHECK(before.to_doubles() == Doubles(16, 0.75));
    CHECK(between.item() == 1);
    CHECK(after.to_doubles() == Doubles(4, 0.75));
    CHECK(undecayed.to_doubles() == Doubles(2, 1));
    CHECK(list.masters().to_doubles() == list.values().to_doubles());
  }
}

TEST_CASE("the mean of several passes is the gradient of the mean loss") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const Net net(dtype);
    GradientSum sum(net);
    for (int round = 0; round < 2; ++round) {  // the second knows nothing of the first
      sum.clear();
      Doubles expected(static_cast<std::size_t>(net.size()), 0.0);
      for (int part = 0; part < 3; ++part) {
        net.pass(3 * round + part);
        const Doubles g = net.gradients().to_doubles();
        for (std::size_t i = 0; i < g.size(); ++i) expected[i] += g[i] / 3;
        sum.add();
      }
      sum.mean(3);
      check_close(net.gradients().to_doubles(), expected,
                  dtype == DType::f64   ? 1e-15
                  : dtype == DType::f32 ? 1e-6
                                        : 0x1p-8);
    }
  }
  const Net net;
  CHECK_THROWS_WITH_AS(GradientSum(net).mean(0), "GradientSum: the mean of 0 passes", Error);
}

TEST_CASE("the rate rises and falls as PyTorch's LinearLR and CosineAnnealingLR do in turn") {
  Doubles got;
  for (int step = 0; step < 21; ++step) got.push_back(cosine_rate(step, 20, 4, 0.2, 0.02));
  check_close(got, kRates, 1e-15);
  CHECK(cosine_rate(1000, 20, 4, 0.2, 0.02) == doctest::Approx(0.02));  // and stays there
  CHECK(warm_up_part(0, 0) == 1);
  CHECK(warm_up_part(0, 3) == 1.0 / 3);
  CHECK(warm_up_part(2, 3) == 1);
  CHECK(warm_up_part(3, 3) == 1);
  CHECK(cosine_rate(4, 4, 4, 1, 0.5) == 1);  // nothing to fall in
}

TEST_CASE("averages move towards the weights, and stand in for them as long as asked") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const Net net(dtype);
    Ema ema(net);
    const Tensor begin = net.masters().clone();
    ema.update(0.9);
    CHECK(same_bytes(ema.average, begin));  // of weights that stay
    fill(net.entries()[1].master, 3);
    net.masters_changed();
    const Doubles old = net.masters().to_doubles();
    ema.update(0.75);
    const Tensor average = ema.average.clone();
    CHECK(average.dtype() == net.masters().dtype());
    {
      const Averaged averaged(net, ema);
      CHECK(same_bytes(net.masters(), average));
      const double first = begin.to_doubles()[16];
      CHECK(
          net.entries()[1].value.to_doubles()[0] ==
          doctest::Approx(first + 0.25 * (3 - first)).epsilon(dtype == DType::bf16 ? 4e-3 : 1e-6));
    }
    CHECK(net.masters().to_doubles() == old);
    CHECK(net.entries()[1].value.to_doubles()[0] == 3);
  }
  const Net net;
  for (const double bad : {-0.1, 1.0, std::nan("")}) CHECK_THROWS_AS(Ema(net).update(bad), Error);
}

TEST_CASE("a trainer with all of it gives PyTorch's losses, weights and averages") {
  const Trained adam = train(OptimiserKind::adam);
  check_close(adam.losses, kAdamLosses);
  check_close(adam.weights, kAdamWeights, 1e-11);
  check_close(adam.averages, kAdamAverages, 1e-11);
  const Trained sgd = train(OptimiserKind::sgd);
  check_close(sgd.losses, kMomentumLosses);
  check_close(sgd.weights, kMomentumWeights);
  check_close(sgd.averages, kMomentumAverages);
  CHECK(sgd.validated == sgd.averages);
  const Trained muon = train(OptimiserKind::muon);
  check_close(muon.losses, kMuonAllLosses, 1e-11);
  check_close(muon.weights, kMuonAllWeights, 1e-10);
  check_close(muon.averages, kMuonAllAverages, 1e-10);
}

TEST_CASE("a trainer with all of it gives the same bits by one thread or many, watched or not") {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const int before = threads();
    const OptimiserKind kind = dtype == DType::f32 ? OptimiserKind::adam : OptimiserKind::muon;
    const Trained expected = train(kind, dtype);
    for (const int count : {1, 3}) {
      set_threads(count);
      const Trained got = train(kind, dtype, count == 3);
      CHECK(got.losses == expected.losses);
      CHECK(same_bytes(got.masters, expected.masters));
      CHECK(got.averages == expected.averages);
    }
    set_threads(before);
  }
}

TEST_CASE("a trainer with all of it goes on from its file, to the bit") {
  for (const OptimiserKind kind : {OptimiserKind::adam, OptimiserKind::sgd, OptimiserKind::muon}) {
    const Trained expected = train(kind);
    Net first;
    first.freeze("*.bias");
    Trainer before(first, everything(kind));
    Trained trained;
    Trainer::Hooks hooks = hooks_of(first, 9, trained);
    hooks.stop = [&] { return trained.losses.size() == 4; };
    CHECK(before.run(hooks) == TrainOutcome::interrupted);
    TensorFile file;
    before.save(file);
    Net second;
    second.freeze("*.bias");
    copy(first.masters(), second.masters());
    Trainer after(second, everything(kind));
    after.load(file, "memory");
    CHECK(after.lr() == before.lr());
    after.run(hooks_of(second, 9, trained));
    CHECK(trained.losses == expected.losses);
    CHECK(same_bytes(second.masters(), expected.masters));
    CHECK(trained.validated == expected.validated);
  }
}

TEST_CASE(
    "a loss that is not finite leaves weights, averages and state of a trainer with all of it") {
  Net net;
  Trainer trainer(net, everything(OptimiserKind::sgd));
  Trained trained;
  Trainer::Hooks hooks = hooks_of(net, 9, trained);
  hooks.loss = [&](std::span<const Tensor>, int number) {
    return scale(net.loss(number), number == 4 ? HUGE_VAL : 1);  // in the second step's second
  };
  Tensor weights, average, velocity;
  hooks.on_step = [&](const TrainState&, double) {
    TensorFile file;
    trainer.save(file);
    weights = net.masters().clone();
    velocity = file.at("trainer.velocity").clone();
    average = file.at("trainer.average").clone();
  };
  CHECK_THROWS_WITH_AS(trainer.run(hooks), doctest::Contains("at epoch 1, step 2: scale, forward"),
                       Error);
  TensorFile file;
  trainer.save(file);
  CHECK(same_bytes(net.masters(), weights));
  CHECK(same_bytes(file.at("trainer.velocity"), velocity));
  CHECK(same_bytes(file.at("trainer.average"), average));
  CHECK(file.at("trainer.counters").to_doubles()[0] == 1);
}

TEST_CASE("a trainer's rates: by epochs while they rise, the last step's in the result") {
  const Net net;
  Trainer trainer(net, {.epochs = 2, .steps_per_epoch = 3, .lr = 0.1, .decay = 0.5, .warm_up = 4});
  Trained trained;
  Trainer::Hooks hooks = hooks_of(net, 3, trained);
  Doubles rates{trainer.lr()}, results;
  hooks.on_step = [&](const TrainState&, double) { rates.push_back(trainer.lr()); };
  hooks.on_epoch = [&](const EpochResult& r) { results.push_back(r.lr); };
  trainer.run(hooks);
  // After the last step of an epoch the next one would have its rate.
  check_close(rates, {0.1 / 4, 0.1 / 2, 0.1 * 3 / 4, 0.1, 0.05, 0.05, 0.05}, 1e-15);
  check_close(results, {0.1 * 3 / 4, 0.05}, 1e-15);
}

TEST_CASE("options of a trainer that make no sense are refused") {
  const Net net;
  CHECK_THROWS_WITH_AS(Trainer(net, {.micro_batches = 0}),
                       "micro_batches is 0; a step has at least one", Error);
  CHECK_THROWS_WITH_AS(Trainer(net, {.warm_up = -1}),
                       "warm_up is -1 steps; it must not be negative", Error);
  CHECK_THROWS_WITH_AS(Trainer(net, {.clip_norm = -1}), "clip_norm is -1; it must not be negative",
                       Error);
  CHECK_THROWS_WITH_AS(Trainer(net, {.ema = 1}), "ema is 1; it must be in [0, 1)", Error);
}
