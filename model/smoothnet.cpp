#include "model/smoothnet.hpp"

#include "model/network.hpp"

namespace posetape::model {
namespace {

Tensor leaky_relu(const Tensor& x, double slope) {
  return add(scale(x, slope), scale(relu(x), 1 - slope));
}

Tensor mean_absolute(const Tensor& x) {
  return mean(add(relu(x), relu(scale(x, -1))));
}

}  // namespace

SmoothnetPair::SmoothnetPair(ParameterList& list, const std::string& name,
                             const SmoothnetConfig& config)
    : fc1(list, name + ".fc1", config.width, config.hidden),
      fc2(list, name + ".fc2", config.hidden, config.width) {}

SmoothnetLayers::SmoothnetLayers(ParameterList& list, const SmoothnetConfig& config)
    : input(list, "input", config.frames, config.width),
      output(list, "output", config.width, config.frames) {
  for (Index i = 0; i < config.depth; ++i) {
    pairs.emplace_back(list, fmt::format("pairs.{}", i), config);
  }
}

Smoothnet::Smoothnet(const SmoothnetConfig& config, DType dtype, std::uint64_t seed, Device device)
    : config_(config),
      parameters_(make_parameters<SmoothnetLayers>(config, dtype, seed, device)),
      layers_(parameters_, config) {}

Tensor Smoothnet::operator()(const Tensor& noisy) const {
  const Shape& shape = noisy.shape();
  if (shape.rank() != 4 || shape[1] != config_.frames || shape[3] != 3) {
    fail("SmoothNet: poses are {}; expected [B, {}, J, 3]", shape.text(), config_.frames);
  }
  const Tensor series = transpose(noisy, {0, 2, 3, 1});  // [B, J, 3, N]
  Tensor h = leaky_relu(layers_.input(as(series, parameters_.values().dtype())), 0.1);
  for (const SmoothnetPair& pair : layers_.pairs) {
    h = add(h, leaky_relu(pair.fc2(leaky_relu(pair.fc1(h), 0.2)), 0.2));
  }
  const Tensor out = transpose(layers_.output(h), {0, 3, 1, 2});
  return as(out, accumulator_of(out.dtype()));
}

Tensor smoothnet_loss(const Tensor& estimate, const Tensor& truth) {
  const Shape& shape = estimate.shape();
  if (shape.rank() != 4 || shape[1] < 3 || truth.shape() != shape) {
    fail("SmoothNet's loss: estimate is {}, truth {}; expected both [B, N, J, 3] with N >= 3",
         shape.text(), truth.shape().text());
  }
  const Tensor error = sub(estimate, truth);
  const auto frames = [&](Index begin) { return slice(error, 1, begin, begin + shape[1] - 2); };
  const Tensor acceleration = add(sub(frames(2), scale(frames(1), 2)), frames(0));
  return add(mean_absolute(error), mean_absolute(acceleration));
}

namespace {

constexpr SmoothnetConfig kReleased;
constexpr Size kSizes[] = {
    {"width", kReleased.width, 1, 100'000, "wide", "Channels"},
    {"hidden", kReleased.hidden, 1, 100'000, "inside a pair", "Channels inside a residual pair"},
    {"depth", kReleased.depth, 0, 10'000, "residual pairs", "Residual pairs"},
};

SmoothnetConfig config_of(const NetworkConfig& c) {
  return {c.frames, c.sizes[0], c.sizes[1], c.sizes[2]};
}

}  // namespace

const NetworkRule smoothnet_network{
    .name = "smoothnet",
    .title = "SmoothNet",
    .role = Role::smoother,
    .sizes = kSizes,
    .frames = {"frames", kReleased.frames, 3, 100'000, "", "the loss has accelerations"},
    .fixed_frames = true,
    .make = made<Smoothnet, config_of, [](const auto& net, auto in) { return net(in[0]); },
                 [](const auto&, auto& made, auto& truth) { return smoothnet_loss(made, truth); }>,
    .count = counted<SmoothnetLayers, config_of>,
};

}  // namespace posetape::model
