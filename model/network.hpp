// What the rest of the program knows of a network: the NetworkRule with which model/<net>.cpp ends.
// Training, checkpoints, conversion and profiles go by it and name no network. The list of them is
// in model/meson.build.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/choices.hpp"
#include "engine/parameters.hpp"

namespace posetape::model {

struct NetworkRule;
struct PytorchRule;  // pytorch_weights.hpp

// What a network computes, from inputs in this order: B windows of N frames of J = 17 joints, y in
// normalised screen coordinates (with kConfidence, each joint's confidence is a third one), poses
// in root-relative metres. The root joint of what it gives is a free output; callers set it to
// zero.
enum class Role {
  lifter,    // y [B, N, J, 2] (with kEstimate, poses [B, N, J, 3], too) -> poses [B, N, J, 3]
  smoother,  // poses [B, N, J, 3] -> poses
  denoiser,  // x_t [B, N, J, 3], y [B, N, J, 2], embedding of t [B, D] -> error of x_t [B, N, J, 3]
};

// A size that a network is made by.
struct Size {
  const char* key;  // in checkpoints, and of the option "--width"
  Index value;      // of the released network
  Index least = 1;
  Index most = 100'000;
  const char* unit = "";  // how it reads after its number: "wide"
  const char* help = "";  // of the option; none where it has no option
  bool later = false;     // files that do not have it stand for `value`, and are as before it
};
// Of networks that are given y: 1 where the confidence of each joint, from 0 to 1, is part of it.
inline constexpr Size kConfidence{
    .key = "confidence", .value = 0, .least = 0, .most = 1, .later = true};
// Of lifters: 1 where what another one made of y is given, too.
inline constexpr Size kEstimate{
    .key = "estimate", .value = 0, .least = 0, .most = 1, .later = true};

struct NetworkConfig {
  const NetworkRule* rule = nullptr;
  Index frames = 0;          // N of the windows
  std::vector<Index> sizes;  // in the order of the rule's
};

// A network with its weights. Both functions take tensors on its device and compute in the type of
// the weights; results are in the type that it computes in (f32 for bf16).
struct Network {
  NetworkConfig config;
  std::shared_ptr<ParameterList> parameters;
  std::function<Tensor(std::span<const Tensor>)> forward;  // of the inputs, and what was drawn
  // The loss that it is trained with, of what it made and the truth.
  std::function<Tensor(const Tensor& made, const Tensor& truth)> loss;
};

// With what the released code trains, where it says something.
struct Released {
  double lr = 1e-3;
  double decay = 0.96;  // of the learning rate, after every epoch
  double weight_decay = 0;
  double drop_rate = 0;  // see NetworkRule::draw
  int batch_frames = 0;  // frames of all windows of a step; 0: nothing said
};

struct NetworkRule {
  const char* name;   // in options and checkpoints: "stcformer"
  const char* title;  // as its paper has it: "STCFormer"
  Role role;
  std::span<const Size> sizes;
  Size frames;        // of a window; the help says why there is a least number
  bool fixed_frames;  // the weights are for windows of this length alone
  Network (*make)(const NetworkConfig&, DType, std::uint64_t seed, Device);
  // Elements that the parameters take, without their memory.
  Index (*count)(const NetworkConfig&);
  Released released = {};
  // What is drawn for a training step of `batch` windows, by (seed, step), on the host; an
  // undefined tensor stands for nothing. `rate` is that of what is left out at random.
  std::vector<Tensor> (*draw)(const NetworkConfig&, double rate, Index batch, DType,
                              std::uint64_t seed, std::uint64_t step) = nullptr;
  const PytorchRule* pytorch = nullptr;
};

#define POSETAPE_NETWORK(net) extern const NetworkRule net##_network;
#include "model/networks.def"
#undef POSETAPE_NETWORK

// Of each input [B, N, J, C], its C.
std::vector<Index> input_channels(const NetworkConfig& config);

// kConfidence and kEstimate of a lifter whose y has so many numbers a joint; both 0 where none has.
std::pair<Index, Index> inputs_of(Index numbers);

std::span<const NetworkRule* const> networks();
std::vector<const NetworkRule*> networks_of(Role role);

// By their names, for options and files.
std::vector<Choice<const NetworkRule*>> choices_of(std::span<const NetworkRule* const> rules);
inline const char* name(const NetworkRule* rule) {
  return rule->name;
}

// The released sizes.
NetworkConfig released_config(const NetworkRule& rule);
// "256 wide, 6 blocks, 8 heads"
std::string sizes_text(const NetworkConfig& config);
// Throws Error on a size that is out of its range.
void check_sizes(const NetworkConfig& config);

Network make_network(const NetworkConfig& config, DType dtype, std::uint64_t seed,
                     Device device = Device::cpu);

// NetworkRule::make and count of a network's class N, which is a Module or has parameters(), and of
// its Layers, whose configuration config_of makes; forward is called with an N and the inputs, loss
// with an N, what it made and the truth.
template <class N, auto config_of, auto forward, auto loss>
Network made(const NetworkConfig& config, DType dtype, std::uint64_t seed, Device device) {
  const auto network = std::make_shared<N>(config_of(config), dtype, seed, device);
  ParameterList* parameters;
  if constexpr (std::derived_from<N, ParameterList>) {
    parameters = network.get();
  } else {
    parameters = &network->parameters();
  }
  return {
      config,
      {network, parameters},
      [network](std::span<const Tensor> in) { return forward(*network, in); },
      [network](const Tensor& made, const Tensor& truth) { return loss(*network, made, truth); }};
}
template <class Layers, auto config_of>
Index counted(const NetworkConfig& config) {
  ParameterList counting;
  Layers(counting, config_of(config));
  return counting.size();
}

}  // namespace posetape::model
