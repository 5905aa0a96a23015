#include "model/stcformer.hpp"

#include <cmath>
#include <functional>

#include "model/network.hpp"
#include "model/pytorch_weights.hpp"

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
  const Residual r = stc(norm1, in.h, in.update);
  return feed_forward(norm2, mlp, r.h, r.update);
}

StcformerLayers::StcformerLayers(ParameterList& list, const StcformerConfig& config)
    : pose_emb(list, "pose_emb", config.inputs, config.width, Bias::no),
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
  if (y.shape().rank() != 4 || y.shape()[3] != config_.inputs) {
    fail("stcformer: y is {}; expected [B, N, J, {}]", y.shape().text(), config_.inputs);
  }
  Residual r{layers_.pose_emb(as(y, parameters_.values().dtype()), Activation::gelu), {}};
  for (const StcformerBlock& block : layers_.blocks) {
    r = recompute(kRecomputeBlock, std::cref(block), r);
  }
  const Tensor out = layers_.regress_head(r.update.defined() ? add(r.h, r.update) : r.h);
  return as(out, accumulator_of(out.dtype()));
}

namespace {

constexpr StcformerConfig kReleased;
constexpr Size kSizes[] = {
    {"width", kReleased.width, 1, 100'000, "wide", "Channels"},
    {"depth", kReleased.depth, 1, 10'000, "blocks", "Blocks"},
    {"heads", kReleased.heads, 1, 100'000, "heads", "Heads of each axis"},
    {"mlp_ratio", kReleased.mlp_ratio, 1, 1000},
    kConfidence,
    kEstimate,
};
constexpr Index kFrames = 81;

StcformerConfig config_of(const NetworkConfig& c) {
  return {c.sizes[0], c.sizes[1], c.sizes[2], c.sizes[3], 2 + c.sizes[4] + 3 * c.sizes[5]};
}

// ---- Weights of the released code (github.com/zhenhuat/STCFormer) ----

// Width, depth, heads and MLP ratio follow from the shapes.
NetworkConfig released_sizes(const TensorFile& weights, std::optional<Index> heads,
                             const std::string& source) {
  if (heads) fail("{}: STCFormer's heads follow from its weights", source);
  const auto shape = [&](const std::string& name, int rank) {
    return needed_shape(weights, name, rank, source, "STCFormer");
  };
  StcformerConfig config;
  const std::string block = "stcformer.stc_block.0.";
  const Shape embedding = shape("pose_emb.weight", 2);
  config.width = embedding[0];
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
  const auto [confidence, estimate] = inputs_of(embedding[1]);
  return {nullptr,
          kFrames,
          {config.width, config.depth, config.heads, config.mlp_ratio, confidence, estimate}};
}

// The mathematics is the same up to the order of channels, so that only rows and columns move:
//   qkv    rows 3 j + {0, 1, 2} there are q, k and v of channel j, here rows j, D + j and 2 D + j
//   proj   columns there are head by head, the spatial half of a head before its temporal half;
//          here all spatial heads come first
//   sep2_s, sep2_t   the convolutions of the spatial and of the temporal half, here one of D
//   channels
std::vector<WeightEntry> pytorch_table(const NetworkConfig& config) {
  const StcformerConfig c = config_of(config);
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
  add("pose_emb.weight", {D, c.inputs}, "pose_emb.weight");
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

// The paper's tds.
int released_step(Index frames) {
  return frames == 27 || frames == 81 ? 3 : frames == 243 ? 2 : 1;
}

constexpr PytorchRule kPytorch{"pose_emb.weight", released_sizes, pytorch_table, released_step};

}  // namespace

const NetworkRule stcformer_network{
    .name = "stcformer",
    .title = "STCFormer",
    .role = Role::lifter,
    .sizes = kSizes,
    .frames = {"frames", kFrames},
    .fixed_frames = false,
    .make =
        made<Stcformer, config_of,
             [](const auto& net, auto in) { return net(in.size() == 1 ? in[0] : concat(in, -1)); },
             [](const auto& net, auto& made, auto& truth) { return net.loss(made, truth); }>,
    .count = counted<StcformerLayers, config_of>,
    .pytorch = &kPytorch,
};

}  // namespace posetape::model
