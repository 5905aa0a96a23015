#include "model/network.hpp"

#include <algorithm>

#include "model/checkpoint.hpp"
#include "model/layers.hpp"
#include "tests/model/whole_model.hpp"

using namespace posetape;
using model::NetworkConfig;
using model::NetworkRule;
using model::Role;

namespace {

// Small, and no two sizes alike where that may be.
NetworkConfig small(const NetworkRule& rule) {
  NetworkConfig config = model::released_config(rule);
  config.frames = 5;
  for (std::size_t i = 0; i < config.sizes.size(); ++i) {
    const std::string_view key = rule.sizes[i].key;
    config.sizes[i] = key == "width" ? 16 : key == "hidden" ? 12 : key == "mlp_ratio" ? 3 : 2;
    if (key == model::kConfidence.key || key == model::kEstimate.key) config.sizes[i] = 1;
  }
  return config;
}

struct Example {
  std::vector<Tensor> inputs;  // and what is drawn
  Tensor truth;
};

Example example(const NetworkConfig& config) {
  Example e;
  for (const Index channels : model::input_channels(config)) {
    e.inputs.push_back(random_normal({2, 5, 17, channels}, 1 + e.inputs.size()));
  }
  e.truth = random_normal({2, 5, 17, 3}, 9);
  if (config.rule->draw == nullptr) return e;
  for (const Tensor& drawn : config.rule->draw(config, 0.5, 2, DType::f64, 1, 3)) {
    e.inputs.push_back(drawn);
  }
  return e;
}

model::NetworkSet small_set(const NetworkRule& rule, std::uint64_t seed) {
  const NetworkConfig config = small(rule);
  model::NetworkSet set{config, 1, {}};
  set.members.push_back({"full", {}, model::make_network(config, DType::f32, seed)});
  if (rule.role != Role::lifter) return set;
  set.step = 3;
  set.members.push_back({"fold1", {"S1"}, model::make_network(config, DType::f32, seed + 1)});
  return set;
}

}  // namespace

TEST_CASE("every network's rule makes it, counts it and trains it") {
  std::vector<std::string> names;
  for (const NetworkRule* rule : model::networks()) {
    CAPTURE(rule->name);
    names.emplace_back(rule->name);
    const NetworkConfig config = small(*rule);
    const model::Network network = model::make_network(config, DType::f64, 3);
    CHECK(rule->count(config) == network.parameters->size());
    const Example e = example(config);
    CHECK(network.forward(e.inputs).shape() == Shape{2, 5, 17, 3});
    Tape tape;
    network.parameters->watch(tape);
    Tensor loss;
    {
      const Recording on(tape);
      loss = network.loss(network.forward(e.inputs), e.truth);
    }
    CHECK(loss.size() == 1);
    const auto gradients = tape.backward(loss);
    CHECK(gradients.of(network.parameters->entries()[0].value).defined());
  }
  std::ranges::sort(names);
  CHECK(std::ranges::adjacent_find(names) == names.end());
}

TEST_CASE("a lifter is given the confidence, then another's estimate, beside the 2D poses") {
  for (const NetworkRule* rule : model::networks_of(Role::lifter)) {
    CAPTURE(rule->name);
    for (Index confidence = 0; confidence <= 1; ++confidence) {
      for (Index estimate = 0; estimate <= 1; ++estimate) {
        NetworkConfig config = small(*rule);
        for (std::size_t i = 0; i < config.sizes.size(); ++i) {
          const std::string_view key = rule->sizes[i].key;
          if (key == model::kConfidence.key) config.sizes[i] = confidence;
          if (key == model::kEstimate.key) config.sizes[i] = estimate;
        }
        const Index screen = 2 + confidence;
        const std::vector<Index> channels = model::input_channels(config);
        CHECK(channels ==
              (estimate == 1 ? std::vector<Index>{screen, 3} : std::vector<Index>{screen}));
        CHECK(model::inputs_of(screen + 3 * estimate) == std::pair(confidence, estimate));
        if (estimate == 0) continue;
        // What the estimate says arrives, by other weights than y.
        const model::Network network = model::make_network(config, DType::f64, 3);
        const Tensor y = random_normal({1, 5, 17, screen}, 1);
        const auto made = [&](const Tensor& pose) {
          return network.forward(std::vector{y, pose}).to_doubles();
        };
        CHECK(made(random_normal({1, 5, 17, 3}, 2)) != made(random_normal({1, 5, 17, 3}, 3)));
      }
    }
  }
  for (const Index no_lifter : {0, 1, 4, 7, 9}) {
    CHECK(model::inputs_of(no_lifter) == std::pair<Index, Index>(0, 0));
  }
}

TEST_CASE("accelerations are those of second differences over frames") {
  // x = t² along x of joint 0: 2 a frame²; y = t at joint 1 has none.
  std::vector<double> x(5 * 2 * 3, 0.0);
  for (std::size_t t = 0; t < 5; ++t) {
    x[t * 6] = static_cast<double>(t * t);
    x[t * 6 + 4] = static_cast<double>(t);
  }
  const Tensor poses = Tensor::of({1, 5, 2, 3}, x, DType::f64);
  const Tensor still = Tensor::zeros({1, 5, 2, 3}, DType::f64);
  CHECK(model::acceleration_loss(poses, still).item() == doctest::Approx(1));  // half of joints
  CHECK(model::acceleration_loss(still, poses).item() == doctest::Approx(1));
  CHECK(model::acceleration_loss(poses, poses).item() == 0);
}

TEST_CASE("sizes of a network are in their range, and read as they are called") {
  NetworkConfig config = model::released_config(model::stcformer_network);
  CHECK(model::sizes_text(config) == "256 wide, 6 blocks, 8 heads");
  CHECK_NOTHROW(model::check_sizes(config));
  config.sizes[0] = 0;
  CHECK_THROWS_WITH_AS(model::check_sizes(config), "a size of 0: width is from 1 to 100000", Error);
  config = model::released_config(model::smoothnet_network);
  config.frames = 2;
  CHECK_THROWS_WITH_AS(model::check_sizes(config), "a size of 2: frames is from 3 to 100000",
                       Error);
}

TEST_CASE("networks come back from their file, every weight of every one") {
  for (const Role role : {Role::lifter, Role::smoother}) {
    for (const NetworkRule* rule : model::networks_of(role)) {
      CAPTURE(rule->name);
      TensorFile file;
      save(small_set(*rule, 5), file);
      const model::NetworkSet set = model::load_networks(file, "x.safetensors", role);
      CHECK(set.config.rule == rule);
      TensorFile again;
      save(set, again);
      CHECK(again.metadata == file.metadata);
      REQUIRE(again.tensors.size() == file.tensors.size());
      for (std::size_t i = 0; i < file.tensors.size(); ++i) {
        CHECK(again.tensors[i].first == file.tensors[i].first);
        CHECK(same_bytes(again.tensors[i].second, file.tensors[i].second));
      }
    }
  }
  // Those without the confidence, or an estimate, are as they were before there was one.
  model::NetworkSet set = small_set(model::mixste_network, 5);
  for (std::size_t i = 4; i < set.config.sizes.size(); ++i) {
    const std::string key = set.config.rule->sizes[i].key;
    CAPTURE(key);
    CHECK(model::config_text(set).find(key) != std::string::npos);
    set.config.sizes[i] = 0;
    CHECK(model::config_text(set).find(key) == std::string::npos);
  }
  CHECK(set.for_subject("S1").name == "fold1");
  CHECK(set.for_subject("S5").name == "full");
}

TEST_CASE("frames of a lifter are from 1 to 100000 apart") {
  for (const int step : {0, 1, 100'000, 100'001}) {
    CAPTURE(step);
    model::NetworkSet set = small_set(model::mixste_network, 5);
    set.step = step;
    TensorFile file;
    save(set, file);
    if (step == 1 || step == 100'000) {
      CHECK(model::load_networks(file, "x", Role::lifter).step == step);
    } else {
      CHECK_THROWS_WITH_AS(model::load_networks(file, "x", Role::lifter),
                           doctest::Contains("step is from 1 to 100000"), Error);
    }
  }
}

TEST_CASE("a file of another kind, and sizes for which it has no weights, are refused") {
  TensorFile file;
  save(small_set(model::mixste_network, 5), file);
  CHECK(model::holds(file, Role::lifter));
  CHECK_FALSE(model::holds(file, Role::smoother));
  CHECK_THROWS_WITH_AS(model::load_networks(file, "x", Role::smoother),
                       "x: not a smoothnet checkpoint (its format is \"posetape lifter 1\"); make "
                       "one with `posetape train smoothnet`",
                       Error);
  NetworkConfig config = small(model::mixste_network);
  CHECK_NOTHROW(model::check_claims(config, file));
  config.sizes[1] = 200;
  CHECK_THROWS_WITH_AS(model::check_claims(config, file),
                       doctest::Contains("weights of 16 wide, 200 blocks, 2 heads in windows of 5 "
                                         "frames, where the file has"),
                       Error);
  file.metadata["format"] = "posetape lifter 2";
  CHECK_THROWS_WITH_AS(model::load_networks(file, "x", Role::lifter),
                       "x: written by another version (posetape lifter 2); this one reads "
                       "\"posetape lifter 1\"",
                       Error);
}
