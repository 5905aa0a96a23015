// A program's training that is saved, stopped and goes on.
#include "engine/checkpoint.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "engine/ema.hpp"
#include "engine/gradcheck.hpp"
#include "engine/module.hpp"
#include "engine/muon.hpp"
#include "engine/ops.hpp"
#include "engine/sgd.hpp"

using namespace posetape;

namespace {

struct Layers {
  Layers(ParameterList& list, Index hidden)
      : w1(list.add("w1", {hidden, 3}, {Init::uniform, 0.5})),
        b1(list.add("b1", {hidden}, {})),
        w2(list.add("w2", {2, hidden}, {Init::uniform, 0.5})) {}
  Tensor operator()(const Tensor& x) const { return linear(tanh(linear(x, w1, b1)), w2); }
  Tensor w1, b1, w2;
};

// A program with everything that it keeps.
struct Program {
  explicit Program(const std::string& path, DType dtype = DType::f32, Index hidden = 4,
                   AdamOptions options = {.weight_decay = 0.1})
      : net(hidden, dtype, 1),
        muon(net, {.others = std::move(options)}),
        ema(net),
        checkpoint(path, net, muon, {{"step", &step}, {"best", &best}},
                   {{"ema.average", ema.average}}) {}
  void train(int steps) {
    for (int i = 0; i < steps; ++i) {
      const auto batch = [&](const Shape& shape, std::uint64_t stream) {
        const std::uint64_t seed = 10 * static_cast<std::uint64_t>(step) + stream;
        return Tensor::of(shape, random_normal(shape, seed).values<double>(), net.values().dtype());
      };
      const Tensor loss = gradients(net, [&] {
        return mse_loss(net(batch({5, 3}, 1)), batch({5, 2}, 2));
      });
      muon.step(0.01);
      ema.update(0.9);
      best = std::min(best, loss.item());
      ++step;
    }
  }
  Module<Layers> net;
  Muon muon;
  Ema ema;
  std::int64_t step = 0;
  double best = std::numeric_limits<double>::infinity();
  Checkpoint checkpoint;
};

// A file of its own that is gone with it.
struct Place {
  std::string path = (std::filesystem::temp_directory_path() /
                      ("posetape_checkpoint_" + std::to_string(getpid()) + ".safetensors"))
                         .string();
  Place() { std::filesystem::remove(path); }
  ~Place() { std::filesystem::remove(path); }
  std::string bytes() const {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

}  // namespace

TEST_CASE("checkpoint: a program that goes on gives the bits of one that was not stopped") {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    const Place place;
    Program whole(place.path, dtype);
    CHECK_FALSE(whole.checkpoint.resume());  // there is none
    whole.train(7);
    {
      Program first(place.path, dtype);
      first.train(3);
      first.checkpoint.save();
      first.train(2);  // lost
    }
    Program second(place.path, dtype);
    CHECK(second.checkpoint.resume());
    CHECK(second.step == 3);
    second.train(4);
    CHECK(second.step == 7);
    CHECK(second.best == whole.best);
    CHECK(second.muon.steps == 7);
    CHECK(same_bytes(second.net.masters(), whole.net.masters()));
    CHECK(same_bytes(second.net.values(), whole.net.values()));
    CHECK(same_bytes(second.muon.m, whole.muon.m));
    CHECK(same_bytes(second.muon.v, whole.muon.v));
    CHECK(same_bytes(second.ema.average, whole.ema.average));
  }
}

TEST_CASE("checkpoint: whatever differs is an Error that names both, and nothing is taken") {
  const Place place;
  Program saved(place.path);
  saved.train(2);
  saved.checkpoint.save();

  // Of a program like the saved one but for its checkpoint.
  const auto refuses = [&](Program& other, const Checkpoint& checkpoint, const char* why) {
    const Tensor before = other.net.masters().clone();
    CHECK_THROWS_WITH_AS(checkpoint.resume(), doctest::Contains(why), Error);
    CHECK_THROWS_WITH_AS(checkpoint.resume(), doctest::Contains(place.path.c_str()), Error);
    CHECK(same_bytes(other.net.masters(), before));
    CHECK(other.step == 0);
    CHECK(other.muon.steps == 0);
  };
  Program wider(place.path, DType::f32, 5);
  refuses(wider, wider.checkpoint,
          "tensor w1 is f32 [4, 3] there, and f32 [5, 3] in this program; go on with the program");
  Program longer(place.path, DType::f64);
  refuses(longer, longer.checkpoint, "tensor w1 is f32 [4, 3] there, and f64 [4, 3]");
  Program other_decay(place.path, DType::f32, 4, {.weight_decay = 0.2, .undecayed = {"b1"}});
  refuses(other_decay, other_decay.checkpoint,
          "the optimiser is 'muon: momentum 0.95, but for []: beta1 0.9, beta2 0.999, eps 1e-08, "
          "weight decay 0.1 but for []' there, and 'muon: momentum 0.95, but for []: beta1 0.9, "
          "beta2 0.999, eps 1e-08, weight decay 0.2 but for [b1]' in this program");
  Program same(place.path);
  const std::vector<std::pair<std::string, Tensor>> average{{"ema.average", same.ema.average}};
  Adam adam(same.net);
  refuses(same, Checkpoint(place.path, same.net, adam, {{"step", &same.step}}, average),
          "tensor trainer.m is missing there, and f32 [");
  Sgd sgd(same.net, {.momentum = 0.5});
  refuses(same, Checkpoint(place.path, same.net, sgd, {{"step", &same.step}}, average),
          "tensor trainer.velocity is missing there");
  refuses(same, Checkpoint(place.path, same.net, same.muon, {{"step", &same.step}}),
          "tensor ema.average is f32 [");
  refuses(same, Checkpoint(place.path, same.net, same.muon, {{"step", &same.step}}, average),
          "'counter.best' is ");
  std::int64_t epoch = 0;
  refuses(same,
          Checkpoint(place.path, same.net, same.muon,
                     {{"step", &same.step}, {"best", &same.best}, {"epoch", &epoch}}, average),
          "'counter.epoch' is missing there, and expected in this program");
  refuses(same,
          Checkpoint(place.path, same.net, same.muon, {{"step", &same.step}, {"best", &epoch}},
                     average),
          "which is no number of this program's kind");
  Program frozen(place.path);
  frozen.net.freeze("b1");
  refuses(frozen, frozen.checkpoint, "what is frozen is [] there, and [b1] in this program");
  CHECK(same.checkpoint.resume());
  CHECK(same.step == 2);
}

TEST_CASE("checkpoint: a damaged file is refused, a failure leaves the old one") {
  const Place place;
  Program program(place.path);
  program.train(1);
  program.checkpoint.save();
  const std::string good = place.bytes();
  const Tensor before = program.net.masters().clone();

  for (const std::size_t at : {std::size_t{40}, good.size() / 2, good.size() - 1}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 4);
    std::ofstream(place.path, std::ios::binary) << bad;
    CHECK_THROWS_AS(program.checkpoint.resume(), Error);
  }
  std::ofstream(place.path, std::ios::binary) << good.substr(0, good.size() / 2);
  CHECK_THROWS_AS(program.checkpoint.resume(), Error);
  CHECK(same_bytes(program.net.masters(), before));
  std::ofstream(place.path, std::ios::binary) << good;
  CHECK(program.checkpoint.resume());

  // Weights of no use.
  fill(program.net.entries()[1].master, std::nan(""));
  CHECK_THROWS_WITH_AS(program.checkpoint.save(),
                       doctest::Contains("b1 holds nan, and a run could not go on from it"), Error);
  CHECK(place.bytes() == good);
  // A folder that is not there.
  Program elsewhere("/nowhere/run.safetensors");
  CHECK_FALSE(elsewhere.checkpoint.resume());
  CHECK_THROWS_WITH_AS(elsewhere.checkpoint.save(), doctest::Contains("/nowhere"), Error);
}
