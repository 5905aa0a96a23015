#include "model/stcformer.hpp"

#include <cmath>

namespace posetape::model {
namespace {

StcOptions stc_options(const StcformerConfig& config) {
  StcOptions options;
  options.width = config.width;
  options.heads = config.heads;
  options.scale = 1 / std::sqrt(static_cast<double>(config.width) / 2);
  options.part_scale = 1e-4;
  options.part_spread = 1;  // an embedding table's usual start
  return options;
}

}  // namespace

StcformerBlock::StcformerBlock(ParameterList& list, const std::string& name,
                               const StcformerConfig& config)
    : norm1(list, name + ".norm1", config.width),
      norm2(list, name + ".norm2", config.width),
      stc(list, name + ".stc", stc_options(config)),
      mlp(list, name + ".mlp", config.width, config.mlp_ratio * config.width, Bias::no) {}

StcformerLayers::StcformerLayers(ParameterList& list, const StcformerConfig& config)
    : pose_emb(list, "pose_emb", 2, config.width, Bias::no),
      regress_head(list, "regress_head", config.width, 3, Bias::no) {
  for (Index i = 0; i < config.depth; ++i) {
    blocks.emplace_back(list, fmt::format("blocks.{}", i), config);
  }
}

Stcformer::Stcformer(const StcformerConfig& config, DType dtype, std::uint64_t seed, Device device)
    : config_(config),
      parameters_(make_parameters<StcformerLayers>(config, dtype, seed, device)),
      layers_(parameters_, config) {}

Tensor Stcformer::operator()(const Tensor& y) const {
  if (y.shape().rank() != 4 || y.shape()[3] != 2) {
    fail("stcformer: y is {}; expected [B, N, J, 2]", y.shape().text());
  }
  // Each sum of the residual stream happens inside the layer norm that follows it.
  Tensor h = layers_.pose_emb(as(y, parameters_.values().dtype()), Activation::gelu);
  Tensor update;
  for (const StcformerBlock& block : layers_.blocks) {
    const Normalized n1 = block.norm1(h, update);
    const Normalized n2 = block.norm2(n1.s, block.stc(n1.y));
    update = block.mlp(n2.y);
    h = n2.s;
  }
  const Tensor out = layers_.regress_head(update.defined() ? add(h, update) : h);
  return as(out, accumulator_of(out.dtype()));
}

}  // namespace posetape::model
