#include "model/mixste.hpp"

#include <array>

#include "engine/attention.hpp"
#include "engine/rng.hpp"
#include "model/network.hpp"
#include "model/pytorch_weights.hpp"

namespace posetape::model {
namespace {

// Of Human3.6M's 17 joints: limbs weigh more than the trunk.
constexpr std::array<double, 17> kJointWeights{1, 1,   2.5, 2.5, 1, 2.5, 2.5, 1, 1,
                                               1, 1.5, 1.5, 4,   4, 1.5, 4,   4};
constexpr Index kJoints = kJointWeights.size();
constexpr double kEps = 1e-6;  // of all layer norms but the head's

Tensor times(const Tensor& update, const Tensor& drop) {
  return drop.defined() ? mul(update, as(drop, update.dtype())) : update;
}

}  // namespace

MixsteBlock::MixsteBlock(ParameterList& list, const std::string& name, const MixsteConfig& config,
                         Axis along)
    : path(name),
      norm1(list, name + ".norm1", config.width, kEps),
      norm2(list, name + ".norm2", config.width, kEps),
      qkv(list, name + ".qkv", config.width, 3 * config.width),
      proj(list, name + ".proj", config.width, config.width),
      mlp(list, name + ".mlp", config.width, config.mlp_ratio * config.width, Bias::yes),
      axis(along),
      heads(config.heads) {}

Tensor MixsteBlock::attention(const Tensor& x) const {
  const Tensor values = normed(norm1, qkv, x).update;
  Tensor mixed = axial_attention(values, axis, heads);
  {
    const Scope scope(path);
    mixed = tap_heads(mixed, axis, heads);
    tap_attention(values, axis, heads);
  }
  return proj(mixed);
}

Tensor MixsteBlock::operator()(const Tensor& x, const LayerNorm& after,
                               const Tensor& attention_drop, const Tensor& mlp_drop) const {
  const Residual r = feed_forward(norm2, mlp, x, times(attention(x), attention_drop));
  return after(r.h, times(r.update, mlp_drop)).y;
}

MixsteLayers::MixsteLayers(ParameterList& list, const MixsteConfig& config)
    : embedding(list, "embedding", config.inputs, config.width),
      joint_embedding(list.add("joint_embedding", {kJoints, config.width}, {})),
      frame_embedding(list.add("frame_embedding", {config.frames, 1, config.width}, {})),
      space_norm(list, "space_norm", config.width, kEps),
      time_norm(list, "time_norm", config.width, kEps),
      head_norm(list, "head_norm", config.width),
      head(list, "head", config.width, 3) {
  for (Index i = 0; i < config.depth; ++i) {
    space.emplace_back(list, fmt::format("space.{}", i), config, Axis::space);
    time.emplace_back(list, fmt::format("time.{}", i), config, Axis::time);
  }
}

MixsteLoss::MixsteLoss(DType dtype, Device device)
    : weights_(Tensor::of({kJoints, 1}, kJointWeights, dtype, device)) {}

Tensor MixsteLoss::operator()(const Tensor& prediction, const Tensor& truth) const {
  // A distance times its weight is that of the weighted points.
  const Tensor error = joint_distance_loss(mul(prediction, weights_), mul(truth, weights_));
  if (prediction.shape()[1] < 2) return error;
  const Tensor moved = frame_differences(prediction);
  const Tensor motion = mean(mul(mul(moved, moved), weights_));
  const Tensor velocity = joint_distance_loss(moved, frame_differences(truth));
  return add(error, add(scale(motion, 0.5), scale(velocity, 2)));
}

std::vector<Tensor> mixste_drops(const MixsteConfig& config, double rate, Index batch, DType dtype,
                                 std::uint64_t seed, std::uint64_t step) {
  Random random(seed, Stream::dropout, step);
  std::vector<Tensor> drops;
  for (Index i = 0; i < config.depth; ++i) {
    const double dropped =
        i == 0 ? 0 : rate * static_cast<double>(i) / static_cast<double>(config.depth - 1);
    for (const Shape& shape : {Shape{batch, config.frames, 1, 1}, Shape{batch, 1, kJoints, 1}}) {
      for (int update = 0; update < 2; ++update) {
        if (dropped == 0) {
          drops.emplace_back();
          continue;
        }
        std::vector<double> factors(static_cast<std::size_t>(shape.size()));
        for (double& f : factors) f = random.uniform() < dropped ? 0 : 1 / (1 - dropped);
        drops.push_back(Tensor::of(shape, std::span<const double>(factors), accumulator_of(dtype)));
      }
    }
  }
  return drops;
}

Mixste::Mixste(const MixsteConfig& config, DType dtype, std::uint64_t seed, Device device)
    : config_(config),
      parameters_(make_parameters<MixsteLayers>(config, dtype, seed, device)),
      layers_(parameters_, config),
      loss_(accumulator_of(dtype), device) {
  if (config.heads < 1 || config.width % config.heads != 0) {
    fail("mixste: width {} must be a multiple of heads, which is {}", config.width, config.heads);
  }
}

Tensor Mixste::operator()(const Tensor& y, std::span<const Tensor> drops) const {
  const Shape expected{y.shape()[0], config_.frames, kJoints, config_.inputs};
  if (y.shape() != expected) {
    fail("mixste: y is {}; expected [B, {}, {}, {}]: its windows have {} frames", y.shape().text(),
         config_.frames, kJoints, config_.inputs, config_.frames);
  }
  const std::vector<Tensor> none(4 * layers_.space.size());
  if (drops.empty()) drops = none;
  if (drops.size() != none.size()) {
    fail("mixste: {} drops for {} blocks; mixste_drops() makes them", drops.size(),
         layers_.space.size());
  }
  Tensor h = layers_.embedding(as(y, parameters_.values().dtype()));
  h = add(h, layers_.joint_embedding);
  const auto apply = [&](const MixsteBlock& block, const LayerNorm& after, std::size_t first) {
    const auto layers = [b = &block, n = &after](const Tensor& x, const Tensor& attention_drop,
                                                 const Tensor& mlp_drop) {
      return (*b)(x, *n, attention_drop, mlp_drop);
    };
    h = recompute(kRecomputeBlock, layers, h, drops[first], drops[first + 1]);
  };
  for (std::size_t i = 0; i < layers_.space.size(); ++i) {
    apply(layers_.space[i], layers_.space_norm, 4 * i);
    if (i == 0) h = add(h, layers_.frame_embedding);
    apply(layers_.time[i], layers_.time_norm, 4 * i + 2);
  }
  const Tensor out = layers_.head(layers_.head_norm(h).y);
  return as(out, accumulator_of(out.dtype()));
}

namespace {

constexpr MixsteConfig kReleased;
constexpr Size kSizes[] = {
    {"width", kReleased.width, 1, 100'000, "wide", "Channels"},
    {"depth", kReleased.depth, 1, 10'000, "blocks", "Blocks of each axis"},
    {"heads", kReleased.heads, 1, 100'000, "heads", "Heads of each axis"},
    {"mlp_ratio", kReleased.mlp_ratio, 1, 1000},
    kConfidence,
    kEstimate,
};

MixsteConfig config_of(const NetworkConfig& c) {
  return {c.sizes[0], c.sizes[1], c.sizes[2],
          c.sizes[3], c.frames,   2 + c.sizes[4] + 3 * c.sizes[5]};
}

// ---- Weights of the released code (github.com/JinluZhang1126/MixSTE, the class MixSTE2) ----

// Width, depth, MLP ratio and frames follow from the shapes, heads from nothing: they are given.
NetworkConfig released_sizes(const TensorFile& weights, std::optional<Index> given,
                             const std::string& source) {
  const Index heads = given.value_or(kReleased.heads);
  const auto shape = [&](const std::string& name, int rank) {
    return needed_shape(weights, name, rank, source, "MixSTE");
  };
  MixsteConfig config;
  const Shape embedding = shape("Spatial_patch_to_embedding.weight", 2);
  config.width = embedding[0];
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
  const auto [confidence, estimate] = inputs_of(embedding[1]);
  return {nullptr,
          config.frames,
          {config.width, config.depth, config.heads, config.mlp_ratio, confidence, estimate}};
}

// Name by name: the layouts are the same.
std::vector<WeightEntry> pytorch_table(const NetworkConfig& config) {
  const MixsteConfig c = config_of(config);
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
  add_layer("Spatial_patch_to_embedding", "embedding", {D, c.inputs});
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

constexpr PytorchRule kPytorch{"Spatial_pos_embed", released_sizes, pytorch_table,
                               [](Index) { return 1; }};

}  // namespace

const NetworkRule mixste_network{
    .name = "mixste",
    .title = "MixSTE",
    .role = Role::lifter,
    .sizes = kSizes,
    .frames = {"frames", kReleased.frames},
    .fixed_frames = true,
    .make = made<Mixste, config_of,
                 [](const auto& net, auto in) {
                   const std::size_t inputs = (net.config().inputs > 3) ? 2 : 1;
                   const Tensor y = inputs == 1 ? in[0] : concat(in.first(inputs), -1);
                   return net(y, in.subspan(inputs));
                 },
                 [](const auto& net, auto& made, auto& truth) { return net.loss(made, truth); }>,
    .count = counted<MixsteLayers, config_of>,
    .released =
        {.lr = 4e-5, .decay = 0.99, .weight_decay = 0.1, .drop_rate = 0.1, .batch_frames = 1024},
    .draw =
        [](const NetworkConfig& config, double rate, Index batch, DType dtype, std::uint64_t seed,
           std::uint64_t step) {
          return rate == 0 ? std::vector<Tensor>()
                           : mixste_drops(config_of(config), rate, batch, dtype, seed, step);
        },
    .pytorch = &kPytorch,
};

}  // namespace posetape::model
