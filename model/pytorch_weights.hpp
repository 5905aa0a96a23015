// Weights under the names and in the layout of a network's released PyTorch code, to our parameters
// and back, by a table of its tensors.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/parameters.hpp"
#include "engine/safetensors.hpp"

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

// What does not fit: names, the last with both shapes.
struct WeightsReport {
  std::vector<std::string> missing, extra, wrong;
  bool fits() const { return missing.empty() && extra.empty() && wrong.empty(); }
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
