#include "model/pytorch_weights.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "engine/error.hpp"

namespace posetape::model {
namespace {

// Calls f(place in theirs, place in ours) for each element.
template <class F>
void each_element(const WeightEntry& e, F f) {
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

std::string unwrapped_name(std::string_view name) {
  constexpr std::array<std::string_view, 6> kWrappers{
      "module",          "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module",
      "_forward_module", "_module"};
  std::string result;
  while (!name.empty()) {
    const std::size_t end = std::min(name.find('.'), name.size());
    const std::string_view part = name.substr(0, end);
    name.remove_prefix(std::min(end + 1, name.size()));
    if (std::ranges::find(kWrappers, part) != kWrappers.end() && !name.empty()) continue;
    result.append(result.empty() ? "" : ".").append(part);
  }
  return result;
}

std::vector<std::string> network_prefixes(std::span<const std::string> names,
                                          std::string_view marker) {
  std::vector<std::string> prefixes;
  for (const std::string& full : names) {
    std::string name = unwrapped_name(full);
    if (!name.ends_with(marker)) continue;
    name.erase(name.size() - marker.size());
    const bool whole = name.empty() || name.ends_with('.');
    if (whole && std::ranges::find(prefixes, name) == prefixes.end()) prefixes.push_back(name);
  }
  return prefixes;
}

WeightsReport check_weights(const TensorFile& weights, std::span<const WeightEntry> table) {
  WeightsReport report;
  for (const WeightEntry& e : table) {
    if (!weights.contains(e.theirs)) {
      report.missing.push_back(e.theirs);
    } else if (const Shape& found = weights.at(e.theirs).shape(); found != e.shape) {
      report.wrong.push_back(
          fmt::format("{}: {} instead of {}", e.theirs, found.text(), e.shape.text()));
    } else if (const Tensor t = as_f32(weights.at(e.theirs)); true) {
      const std::span<const float> numbers(t.data<float>(), static_cast<std::size_t>(t.size()));
      const auto bad = std::ranges::count_if(numbers, [](float x) { return !std::isfinite(x); });
      if (bad > 0) {
        report.not_finite.push_back(fmt::format("{}: {} of {}", e.theirs, bad, t.size()));
      }
    }
  }
  for (const auto& [name, tensor] : weights.tensors) {
    if (std::ranges::find(table, name, &WeightEntry::theirs) == table.end()) {
      report.extra.push_back(name);
    }
  }
  return report;
}

void from_pytorch(const TensorFile& weights, std::span<const WeightEntry> table,
                  const ParameterList& parameters) {
  const auto ours = by_name(parameters);
  for (const WeightEntry& e : table) {
    const Tensor from = as_f32(weights.at(e.theirs));
    float* to = ours.at(e.ours).data<float>();
    each_element(e, [&](Index theirs, Index here) { to[here] = from.data<float>()[theirs]; });
  }
}

TensorFile to_pytorch(std::span<const WeightEntry> table, const ParameterList& parameters) {
  const auto ours = by_name(parameters);
  Index listed = 0, held = 0;
  for (const WeightEntry& e : table) listed += e.shape.size();
  for (const auto& [name, tensor] : ours) held += tensor.size();
  if (listed != held) fail("{} weights are listed, of a network that has {}", listed, held);
  TensorFile file;
  for (const WeightEntry& e : table) {
    const Tensor to = Tensor::empty(e.shape, DType::f32);
    const float* from = ours.at(e.ours).data<float>();
    each_element(e, [&](Index theirs, Index here) { to.data<float>()[theirs] = from[here]; });
    file.tensors.emplace_back(e.theirs, to);
  }
  return file;
}

const Shape& needed_shape(const TensorFile& weights, const std::string& name, int rank,
                          const std::string& source, const char* network) {
  if (!weights.contains(name)) {
    fail("{}: has no tensor '{}', which every {} has", source, name, network);
  }
  const Shape& found = weights.at(name).shape();
  if (found.rank() != rank || found.size() == 0) {
    fail("{}: tensor '{}' is {}, which no {} has", source, name, found.text(), network);
  }
  return found;
}

}  // namespace posetape::model
