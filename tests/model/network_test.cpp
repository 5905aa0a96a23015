#include "model/network.hpp"

#include <algorithm>

#include "model/checkpoint.hpp"
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
    if (key == model::kConfidence.key) config.sizes[i] = 1;
  }
  return config;
}

// What the network takes, and the truth in the place that the loss expects it.
struct Example {
  std::vector<Tensor> inputs, with_truth;
};

Example example(const NetworkConfig& config) {
  Example e;
  for (const Index channels : model::input_channels(config)) {
    e.inputs.push_back(random_normal({2, 5, 17, channels}, 1 + e.inputs.size()));
  }
  e.with_truth = e.inputs;
  e.with_truth.push_back(random_normal({2, 5, 17, 3}, 9));
  if (config.rule->draw == nullptr) return e;
  for (const Tensor& drawn : config.rule->draw(config, 0.5, 2, DType::f64, 1, 3)) {
    e.inputs.push_back(drawn);
    e.with_truth.push_back(drawn);
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
      loss = network.loss(e.with_truth);
    }
    CHECK(loss.size() == 1);
    const auto gradients = tape.backward(loss);
    CHECK(gradients.of(network.parameters->entries()[0].value).defined());
  }
  std::ranges::sort(names);
  CHECK(std::ranges::adjacent_find(names) == names.end());
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
  // Those without the confidence are as they were before there was one.
  model::NetworkSet set = small_set(model::mixste_network, 5);
  CHECK(model::config_text(set).find("confidence") != std::string::npos);
  set.config.sizes.back() = 0;
  CHECK(model::config_text(set).find("confidence") == std::string::npos);
  CHECK(set.for_subject("S1").name == "fold1");
  CHECK(set.for_subject("S5").name == "full");
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
