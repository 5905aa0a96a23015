// Weights under the names and in the layout of a network's released PyTorch code, to our parameters
// and back, by a table of its tensors.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/parameters.hpp"
#include "engine/safetensors.hpp"
#include "model/network.hpp"

namespace posetape::model {

// A tensor of the released code that is some rows of one of ours, moved about. `row` and `column`
// say where a row or column there is here; a tensor is seen as a matrix of its first dimension and
// the rest.
struct WeightEntry {
  static Index same(Index i) { return i; }

  std::string theirs;
  Shape shape;
  std::string ours;
  std::function<Index(Index)> row = same, column = same;
};

// A network's released PyTorch code.
struct PytorchRule {
  std::string_view marker;  // a tensor that every such network has, and no other
  // The sizes and frames that follow from the weights' shapes (`rule` is left out); heads where
  // they follow from nothing. Throws Error where the shapes are no such network's; `source` starts
  // the message.
  NetworkConfig (*config)(const TensorFile& weights, std::optional<Index> heads,
                          const std::string& source);
  // The layer that takes y comes first.
  std::vector<WeightEntry> (*table)(const NetworkConfig& config);
  int (*step)(Index frames);  // from one frame of a window to the next
};

// A tensor's name without what wrappers of PyTorch put into it: torch.compile's "_orig_mod.",
// "module." of DataParallel and AveragedModel, those of FSDP, checkpointing, Lightning and Opacus,
// wherever they stand and however many.
std::string unwrapped_name(std::string_view name);

// What stands before a tensor of the network in `names`, each once: "" for a state_dict, "model."
// for one of a LightningModule that has the network as `model`. `marker` is a tensor that every
// such network has. Names without their wrappers.
std::vector<std::string> network_prefixes(std::span<const std::string> names,
                                          std::string_view marker);

// What does not fit: names, those of a wrong shape with both shapes, those that are NaN or infinite
// in f32 with how many of their numbers are.
struct WeightsReport {
  std::vector<std::string> missing, extra, wrong, not_finite;
  bool fits() const {
    return missing.empty() && extra.empty() && wrong.empty() && not_finite.empty();
  }
};
WeightsReport check_weights(const TensorFile& weights, std::span<const WeightEntry> table);

// From weights that fit.
void from_pytorch(const TensorFile& weights, std::span<const WeightEntry> table,
                  const ParameterList& parameters);

// The reverse: what torch.nn.Module.load_state_dict of the released code accepts.
TensorFile to_pytorch(std::span<const WeightEntry> table, const ParameterList& parameters);

// The shape of a tensor that a configuration is read off. Throws Error where it is missing, empty
// or of another rank; `source` starts the message, `network` is whose weights they should be.
const Shape& needed_shape(const TensorFile& weights, const std::string& name, int rank,
                          const std::string& source, const char* network);

}  // namespace posetape::model
