// MixSTE's weights under the names of its released PyTorch code (github.com/JinluZhang1126/MixSTE,
// the class MixSTE2).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/mixste.hpp"
#include "model/pytorch_weights.hpp"

namespace posetape::model {

// A tensor that every MixSTE of the released code has, and no other network.
inline constexpr std::string_view kMixsteMarker = "Spatial_pos_embed";

// Width, depth, MLP ratio and frames follow from the shapes, heads from nothing: they are given.
// Throws Error where the shapes are no MixSTE's; `source` starts the message.
MixsteConfig mixste_config(const TensorFile& weights, Index heads, const std::string& source);

// Name by name: the layouts are the same.
std::vector<WeightEntry> pytorch_table(const MixsteConfig& config);

}  // namespace posetape::model
