#include "model/stcformer.hpp"

#include <cmath>
#include <functional>

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

Residual StcformerBlock::operator()(const Residual& in) const {
  const Normalized n1 = norm1(in.h, in.update);
  return feed_forward(norm2, mlp, n1.s, stc(n1.y));
}

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
  Residual r{layers_.pose_emb(as(y, parameters_.values().dtype()), Activation::gelu), {}};
  for (const StcformerBlock& block : layers_.blocks) {
    r = recompute(kRecomputeBlock, std::cref(block), r);
  }
  const Tensor out = layers_.regress_head(r.update.defined() ? add(r.h, r.update) : r.h);
  return as(out, accumulator_of(out.dtype()));
}

}  // namespace posetape::model
