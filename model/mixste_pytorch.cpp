#include "model/mixste_pytorch.hpp"

#include "engine/error.hpp"

namespace posetape::model {

MixsteConfig mixste_config(const TensorFile& weights, Index heads, const std::string& source) {
  const auto shape = [&](const std::string& name, int rank) {
    return needed_shape(weights, name, rank, source, "MixSTE");
  };
  MixsteConfig config;
  config.width = shape("Spatial_patch_to_embedding.weight", 2)[0];
  config.frames = shape("Temporal_pos_embed", 3)[1];
  const Index hidden = shape("STEblocks.0.mlp.fc1.weight", 2)[0];
  if (config.width % heads != 0 || hidden % config.width != 0) {
    fail("{}: {} heads and an MLP of {} do not fit a width of {}; --heads says how many it has",
         source, heads, hidden, config.width);
  }
  config.heads = heads;
  config.mlp_ratio = hidden / config.width;
  config.depth = 1;
  while (weights.contains(fmt::format("STEblocks.{}.attn.qkv.weight", config.depth))) {
    ++config.depth;
  }
  return config;
}

std::vector<WeightEntry> pytorch_table(const MixsteConfig& c) {
  const Index D = c.width;
  const Index hidden = c.mlp_ratio * D;
  std::vector<WeightEntry> entries;
  const auto add = [&](const std::string& theirs, const Shape& shape, const std::string& ours) {
    entries.push_back({theirs, shape, ours});
  };
  const auto add_layer = [&](const std::string& theirs, const std::string& ours, Shape weight) {
    add(theirs + ".weight", weight, ours + ".weight");
    add(theirs + ".bias", {weight[0]}, ours + ".bias");
  };
  add_layer("Spatial_patch_to_embedding", "embedding", {D, 2});
  add("Spatial_pos_embed", {1, 17, D}, "joint_embedding");
  add("Temporal_pos_embed", {1, c.frames, D}, "frame_embedding");
  add_layer("Spatial_norm", "space_norm", {D});
  add_layer("Temporal_norm", "time_norm", {D});
  add_layer("head.0", "head_norm", {D});
  add_layer("head.1", "head", {3, D});
  for (const auto& [blocks, axis] : {std::pair("STEblocks", "space"), {"TTEblocks", "time"}}) {
    for (Index i = 0; i < c.depth; ++i) {
      const std::string theirs = fmt::format("{}.{}.", blocks, i);
      const std::string ours = fmt::format("{}.{}.", axis, i);
      add_layer(theirs + "norm1", ours + "norm1", {D});
      add_layer(theirs + "norm2", ours + "norm2", {D});
      add_layer(theirs + "attn.qkv", ours + "qkv", {3 * D, D});
      add_layer(theirs + "attn.proj", ours + "proj", {D, D});
      add_layer(theirs + "mlp.fc1", ours + "mlp.fc1", {hidden, D});
      add_layer(theirs + "mlp.fc2", ours + "mlp.fc2", {D, hidden});
    }
  }
  return entries;
}

}  // namespace posetape::model
