#include "model/lifter.hpp"

namespace posetape::model {
namespace {

using Network = std::variant<Stcformer, Mixste>;

Network make(const LifterConfig& config, DType dtype, std::uint64_t seed, Device device) {
  if (const auto* mixste = std::get_if<MixsteConfig>(&config)) {
    return Mixste(*mixste, dtype, seed, device);
  }
  return Stcformer(std::get<StcformerConfig>(config), dtype, seed, device);
}

}  // namespace

LifterConfig lifter_config(std::string_view name) {
  if (name == "stcformer") return StcformerConfig{};
  if (name == "mixste") return MixsteConfig{};
  fail("unknown lifter '{}'; choose one of {}", name, kLifterNames);
}

std::string_view lifter_name(const LifterConfig& config) {
  return std::holds_alternative<MixsteConfig>(config) ? "mixste" : "stcformer";
}

void set_frames(LifterConfig& config, Index frames) {
  if (auto* mixste = std::get_if<MixsteConfig>(&config)) mixste->frames = frames;
}

LifterNetwork::LifterNetwork(const LifterConfig& config, DType dtype, std::uint64_t seed,
                             Device device)
    : network_(make(config, dtype, seed, device)) {}

Tensor LifterNetwork::loss(std::span<const Tensor> inputs) const {
  const Tensor& y = inputs[0];
  const Tensor& truth = inputs[1];
  if (const auto* mixste = std::get_if<Mixste>(&network_)) {
    return mixste->loss((*mixste)(y, inputs.subspan(2)), truth);
  }
  const auto& stcformer = std::get<Stcformer>(network_);
  return stcformer.loss(stcformer(y), truth);
}

std::vector<Tensor> LifterNetwork::drops(double rate, Index batch, std::uint64_t seed,
                                         std::uint64_t step) const {
  const auto* mixste = std::get_if<Mixste>(&network_);
  if (mixste == nullptr || rate == 0) return {};
  return mixste_drops(mixste->config(), rate, batch, parameters().values().dtype(), seed, step);
}

}  // namespace posetape::model
