// STCFormer's weights under the names and in the layout of its released PyTorch code
// (github.com/zhenhuat/STCFormer).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/pytorch_weights.hpp"
#include "model/stcformer.hpp"

namespace posetape::model {

// A tensor that every STCFormer of the released code has, and no other network.
inline constexpr std::string_view kStcformerMarker = "pose_emb.weight";

// Width, depth, heads and MLP ratio, which follow from the shapes. Throws Error where they follow
// from none; `source` starts the message.
StcformerConfig stcformer_config(const TensorFile& weights, const std::string& source);

// The mathematics is the same up to the order of channels, so that only rows and columns move:
//   qkv    rows 3 j + {0, 1, 2} there are q, k and v of channel j, here rows j, D + j and 2 D + j
//   proj   columns there are head by head, the spatial half of a head before its temporal half;
//          here all spatial heads come first
//   sep2_s, sep2_t   the convolutions of the spatial and of the temporal half, here one of D
//   channels
std::vector<WeightEntry> pytorch_table(const StcformerConfig& config);

}  // namespace posetape::model
