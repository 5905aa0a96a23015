#include "model/pose_denoiser.hpp"

#include <cmath>
#include <functional>

#include "model/network.hpp"

namespace posetape::model {
namespace {

StcOptions stc_options(const PoseDenoiserConfig& config) {
  StcOptions options;
  options.width = config.width;
  options.heads = config.heads;
  return options;
}

}  // namespace

DenoisingBlock::DenoisingBlock(ParameterList& list, const std::string& name,
                               const PoseDenoiserConfig& config)
    : norm1(list, name + ".norm1", config.width),
      norm2(list, name + ".norm2", config.width),
      norm3(list, name + ".norm3", config.width),
      stc1(list, name + ".stc1", stc_options(config)),
      stc2(list, name + ".stc2", stc_options(config)),
      mlp(list, name + ".mlp", config.width, config.mlp_ratio * config.width, Bias::yes) {
  if (config.timestep) temb.emplace_back(list, name + ".temb", config.width, config.width);
}

Residual DenoisingBlock::operator()(const Residual& in, const Tensor& shift) const {
  Residual r = stc1(norm1, in.h, in.update);
  r = stc2(norm2, r.h, r.update, shift);
  return feed_forward(norm3, mlp, r.h, r.update);
}

PoseDenoiserLayers::PoseDenoiserLayers(ParameterList& list, const PoseDenoiserConfig& config)
    : input(list, "input", 3 + config.screen, config.width),
      output(list, "output", config.width, 3) {
  if (config.timestep) {
    timestep.emplace_back(list, "timestep.0", config.width, config.width);
    timestep.emplace_back(list, "timestep.1", config.width, config.width);
  }
  for (Index i = 0; i < config.depth; ++i) {
    blocks.emplace_back(list, fmt::format("blocks.{}", i), config);
  }
}

PoseDenoiser::PoseDenoiser(const PoseDenoiserConfig& config, DType dtype, std::uint64_t seed,
                           Device device)
    : config_(config),
      parameters_(make_parameters<PoseDenoiserLayers>(config, dtype, seed, device)),
      layers_(parameters_, config) {}

Tensor PoseDenoiser::operator()(const Tensor& x_t, const Tensor& y, std::span<const int> t) const {
  if (!config_.timestep) return (*this)(x_t, y, Tensor());
  const Tensor embedding =
      sinusoidal_embedding(t, config_.width, accumulator_of(parameters_.values().dtype()));
  return (*this)(x_t, y, embedding.to(parameters_.device()));
}

Tensor PoseDenoiser::features(const Tensor& x_t, const Tensor& y, const Tensor& embedding) const {
  const Shape& shape = x_t.shape();
  if (shape.rank() != 4 || shape[3] != 3 || y.shape() != shape.with(3, config_.screen)) {
    fail("pose denoiser: x_t is {} and y {}; expected [B, N, J, 3] and [B, N, J, {}]", shape.text(),
         y.shape().text(), config_.screen);
  }
  const DType dtype = parameters_.values().dtype();
  std::vector<Tensor> shifts(layers_.blocks.size());
  if (config_.timestep) {
    if (embedding.shape() != Shape{shape[0], config_.width}) {
      fail("pose denoiser: embedding of timesteps is {} for {} sequences; expected [{}, {}]",
           embedding.shape().text(), shape[0], shape[0], config_.width);
    }
    const Tensor temb =
        after(layers_.timestep[0], Activation::silu, layers_.timestep[1], as(embedding, dtype));
    std::vector<const Linear*> layers;
    for (const DenoisingBlock& block : layers_.blocks) layers.push_back(&block.temb[0]);
    shifts = each_of(layers, temb);
  }

  Residual r{layers_.input(as(concat({x_t, y}, -1), dtype)), {}};
  for (std::size_t i = 0; i < layers_.blocks.size(); ++i) {
    r = recompute(kRecomputeBlock, std::cref(layers_.blocks[i]), r, shifts[i]);
    const Scope scope("blocks", static_cast<Index>(i));
    r = tap("stream", r);
  }
  return r.sum();
}

Tensor PoseDenoiser::estimate(const Tensor& features) const {
  const Tensor out = layers_.output(features);
  return as(out, accumulator_of(out.dtype()));
}

Tensor sinusoidal_embedding(std::span<const int> t, Index width, DType dtype) {
  const Index half = width / 2;
  std::vector<double> values(t.size() * static_cast<std::size_t>(width), 0.0);
  for (std::size_t b = 0; b < t.size(); ++b) {
    for (Index i = 0; i < half; ++i) {
      const double angle =
          t[b] * std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half));
      const std::size_t row = b * static_cast<std::size_t>(width);
      values[row + static_cast<std::size_t>(i)] = std::cos(angle);
      values[row + static_cast<std::size_t>(half + i)] = std::sin(angle);
    }
  }
  return Tensor::of({static_cast<Index>(t.size()), width}, values, dtype);
}

namespace {

constexpr PoseDenoiserConfig kReleased;
constexpr Size kSizes[] = {
    {"width", kReleased.width, 1, 100'000, "wide", "Channels"},
    {"depth", kReleased.depth, 1, 10'000, "blocks", "Denoising blocks"},
    {"heads", kReleased.heads, 1, 100'000, "heads", "Heads of each axis"},
    {"mlp_ratio", kReleased.mlp_ratio, 1, 1000},
    kConfidence,
};

PoseDenoiserConfig config_of(const NetworkConfig& c) {
  return {c.sizes[0], c.sizes[1], c.sizes[2], c.sizes[3], true, 2 + c.sizes[4]};
}

}  // namespace

// A diffusion trains and runs it (diffusion/refiner.hpp): here its loss is that of the error, and
// `step` is every timestep that is drawn.
const NetworkRule pose_denoiser_network{
    .name = "denoiser",
    .title = "PoseDenoiser",
    .role = Role::denoiser,
    .sizes = kSizes,
    .frames = {"frames", 27},
    .fixed_frames = false,
    .make =
        made<PoseDenoiser, config_of,
             [](const auto& net, auto in) { return net(in[0], in[1], in[2]); },
             [](const auto&, auto& made, auto& truth) { return joint_distance_loss(made, truth); }>,
    .count = counted<PoseDenoiserLayers, config_of>,
    .draw =
        [](const NetworkConfig& config, double, Index batch, DType dtype, std::uint64_t,
           std::uint64_t step) {
          const std::vector<int> t(static_cast<std::size_t>(batch), static_cast<int>(step));
          return std::vector{sinusoidal_embedding(t, config.sizes[0], accumulator_of(dtype))};
        },
};

}  // namespace posetape::model
