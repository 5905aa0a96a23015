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

}  // namespace posetape::model
