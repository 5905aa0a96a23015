#include "model/stcformer_pytorch.hpp"

#include "engine/error.hpp"

namespace posetape::model {

StcformerConfig stcformer_config(const TensorFile& weights, const std::string& source) {
  const auto shape = [&](const std::string& name, int rank) {
    return needed_shape(weights, name, rank, source, "STCFormer");
  };
  StcformerConfig config;
  const std::string block = "stcformer.stc_block.0.";
  config.width = shape("pose_emb.weight", 2)[0];
  const Index head = shape(block + "stc_att.emb.weight", 2)[1];
  const Index hidden = shape(block + "mlp.fc1.weight", 2)[0];
  if (config.width % (2 * head) != 0 || hidden % config.width != 0) {
    fail("{}: heads of {} and an MLP of {} do not divide a width of {}", source, head, hidden,
         config.width);
  }
  config.heads = config.width / 2 / head;
  config.mlp_ratio = hidden / config.width;
  config.depth = 1;
  while (weights.contains(fmt::format("stcformer.stc_block.{}.stc_att.qkv.weight", config.depth))) {
    ++config.depth;
  }
  return config;
}

std::vector<WeightEntry> pytorch_table(const StcformerConfig& c) {
  const Index D = c.width;
  const Index half = D / 2;
  const Index head = half / c.heads;
  const auto qkv_row = [D](Index r) { return r % 3 * D + r / 3; };
  const auto proj_column = [half, head](Index k) {
    const Index h = k / (2 * head);
    const Index within = k % (2 * head);
    return within < head ? h * head + within : half + h * head + within - head;
  };
  const auto second_half = [half](Index r) { return half + r; };

  std::vector<WeightEntry> entries;
  const auto add = [&](std::string theirs, Shape shape, std::string ours,
                       std::function<Index(Index)> row = WeightEntry::same,
                       std::function<Index(Index)> column = WeightEntry::same) {
    entries.push_back(
        {std::move(theirs), shape, std::move(ours), std::move(row), std::move(column)});
  };
  add("pose_emb.weight", {D, 2}, "pose_emb.weight");
  add("regress_head.weight", {3, D}, "regress_head.weight");
  for (Index i = 0; i < c.depth; ++i) {
    const std::string theirs = fmt::format("stcformer.stc_block.{}.", i);
    const std::string ours = fmt::format("blocks.{}.", i);
    for (const char* part : {"weight", "bias"}) {
      const std::string suffix = std::string(".") + part;
      add(theirs + "layer_norm" + suffix, {D}, ours + "norm2" + suffix);
      add(theirs + "stc_att.layer_norm" + suffix, {D}, ours + "norm1" + suffix);
    }
    add(theirs + "mlp.fc1.weight", {c.mlp_ratio * D, D}, ours + "mlp.fc1.weight");
    add(theirs + "mlp.fc2.weight", {D, c.mlp_ratio * D}, ours + "mlp.fc2.weight");
    add(theirs + "stc_att.qkv.weight", {3 * D, D}, ours + "stc.qkv.weight", qkv_row);
    add(theirs + "stc_att.qkv.bias", {3 * D}, ours + "stc.qkv.bias", qkv_row);
    add(theirs + "stc_att.proj.weight", {D, D}, ours + "stc.proj.weight", WeightEntry::same,
        proj_column);
    add(theirs + "stc_att.proj.bias", {D}, ours + "stc.proj.bias");
    add(theirs + "stc_att.emb.weight", {5, head}, ours + "stc.part");
    add(theirs + "stc_att.sep2_t.weight", {half, 1, 3, 3}, ours + "stc.local.weight", second_half);
    add(theirs + "stc_att.sep2_t.bias", {half}, ours + "stc.local.bias", second_half);
    add(theirs + "stc_att.sep2_s.weight", {half, 1, 3, 3}, ours + "stc.local.weight");
    add(theirs + "stc_att.sep2_s.bias", {half}, ours + "stc.local.bias");
  }
  return entries;
}

}  // namespace posetape::model
