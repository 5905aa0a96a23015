// The lifters behind one interface: STCFormer and MixSTE.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/mixste.hpp"
#include "model/stcformer.hpp"

namespace posetape::model {

using LifterConfig = std::variant<StcformerConfig, MixsteConfig>;

inline constexpr std::string_view kLifterNames = "stcformer, mixste";

// The configuration that the lifter's paper has. Throws Error for a name that is not one of
// kLifterNames.
LifterConfig lifter_config(std::string_view name);
std::string_view lifter_name(const LifterConfig& config);

// For windows of this length; STCFormer's weights are for any.
void set_frames(LifterConfig& config, Index frames);

class LifterNetwork {
 public:
  // As the network's own constructor.
  LifterNetwork(const LifterConfig& config, DType dtype, std::uint64_t seed,
                Device device = Device::cpu);

  // y [B, N, J, 2], normalised screen coordinates -> [B, N, J, 3], root-relative metres.
  Tensor operator()(const Tensor& y) const {
    return std::visit([&](const auto& network) { return network(y); }, network_);
  }
  // The loss that the network is trained with on `inputs`: y, the truth [B, N, J, 3] and what
  // drops() gave.
  Tensor loss(std::span<const Tensor> inputs) const;
  // What is left out at random in one training step of `batch` windows, drawn by (seed, step):
  // mixste_drops() with this rate; nothing of STCFormer.
  std::vector<Tensor> drops(double rate, Index batch, std::uint64_t seed, std::uint64_t step) const;
  const ParameterList& parameters() const {
    return std::visit(
        [](const auto& network) -> const ParameterList& { return network.parameters(); }, network_);
  }
  ParameterList& parameters() {
    return std::visit([](auto& network) -> ParameterList& { return network.parameters(); },
                      network_);
  }

 private:
  std::variant<Stcformer, Mixste> network_;
};

}  // namespace posetape::model
