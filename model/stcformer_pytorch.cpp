#include "model/stcformer_pytorch.hpp"

#include <algorithm>
#include <functional>
#include <map>

#include "engine/error.hpp"

namespace posetape::model {
namespace {

// A tensor of the released code that is some rows of one of ours, moved about. `row` and `column`
// say where a row or column there is here; a tensor is seen as a matrix of its first dimension and
// the rest.
struct Entry {
  std::string theirs;
  Shape shape;
  std::string ours;
  std::function<Index(Index)> row, column;
};

Index same(Index i) {
  return i;
}

std::vector<Entry> table(const StcformerConfig& c) {
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

  std::vector<Entry> entries;
  const auto add = [&](std::string theirs, Shape shape, std::string ours,
                       std::function<Index(Index)> row = same,
                       std::function<Index(Index)> column = same) {
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
    add(theirs + "stc_att.proj.weight", {D, D}, ours + "stc.proj.weight", same, proj_column);
    add(theirs + "stc_att.proj.bias", {D}, ours + "stc.proj.bias");
    add(theirs + "stc_att.emb.weight", {5, head}, ours + "stc.part");
    add(theirs + "stc_att.sep2_t.weight", {half, 1, 3, 3}, ours + "stc.local.weight", second_half);
    add(theirs + "stc_att.sep2_t.bias", {half}, ours + "stc.local.bias", second_half);
    add(theirs + "stc_att.sep2_s.weight", {half, 1, 3, 3}, ours + "stc.local.weight");
    add(theirs + "stc_att.sep2_s.bias", {half}, ours + "stc.local.bias");
  }
  return entries;
}

// Calls f(place in theirs, place in ours) for each element.
template <class F>
void each_element(const Entry& e, F f) {
  const Index rows = e.shape[0];
  const Index columns = e.shape.size() / rows;
  for (Index r = 0; r < rows; ++r) {
    for (Index c = 0; c < columns; ++c) f(r * columns + c, e.row(r) * columns + e.column(c));
  }
}

std::map<std::string, Tensor> by_name(const ParameterList& parameters) {
  std::map<std::string, Tensor> tensors;
  for (const auto& entry : parameters.entries()) tensors.emplace(entry.name, entry.value);
  return tensors;
}

Tensor as_f32(const Tensor& tensor) {
  const Tensor result = Tensor::empty(tensor.shape(), DType::f32);
  copy(tensor, result);
  return result;
}

}  // namespace

bool is_stcformer_state(const TensorFile& weights) {
  return weights.contains("pose_emb.weight") &&
         weights.contains("stcformer.stc_block.0.stc_att.qkv.weight");
}

StcformerConfig stcformer_config(const TensorFile& weights, const std::string& source) {
  const auto shape = [&](const std::string& name, int rank) {
    if (!weights.contains(name)) {
      fail("{}: has no tensor '{}'; only checkpoints of STCFormer are read", source, name);
    }
    const Shape& found = weights.at(name).shape();
    if (found.rank() != rank || found.size() == 0) {
      fail("{}: tensor '{}' is {}, which no STCFormer has", source, name, found.text());
    }
    return found;
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

WeightsReport from_pytorch(const TensorFile& weights, Stcformer& network) {
  const std::vector<Entry> entries = table(network.config());
  const auto ours = by_name(network.parameters());
  WeightsReport report;
  for (const Entry& e : entries) {
    if (!weights.contains(e.theirs)) {
      report.missing.push_back(e.theirs);
      continue;
    }
    const Tensor& found = weights.at(e.theirs);
    if (found.shape() != e.shape) {
      report.wrong.push_back(
          fmt::format("{}: {} instead of {}", e.theirs, found.shape().text(), e.shape.text()));
      continue;
    }
    const Tensor from = as_f32(found);
    float* to = ours.at(e.ours).data<float>();
    each_element(e, [&](Index theirs, Index here) { to[here] = from.data<float>()[theirs]; });
  }
  for (const auto& [name, tensor] : weights.tensors) {
    if (std::ranges::find(entries, name, &Entry::theirs) == entries.end()) {
      report.extra.push_back(name);
    }
  }
  return report;
}

TensorFile to_pytorch(const Stcformer& network) {
  const auto ours = by_name(network.parameters());
  TensorFile file;
  for (const Entry& e : table(network.config())) {
    const Tensor to = Tensor::empty(e.shape, DType::f32);
    const float* from = ours.at(e.ours).data<float>();
    each_element(e, [&](Index theirs, Index here) { to.data<float>()[theirs] = from[here]; });
    file.tensors.emplace_back(e.theirs, to);
  }
  return file;
}

}  // namespace posetape::model
