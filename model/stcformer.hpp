// STCFormer, the lifter from 2D to 3D pose sequences (Tang, Qiu, Hao, Hong and Yao, CVPR 2023), as
// its released code has it. It has no embedding of frames, so the same weights run at any length.
#pragma once

#include <string>
#include <vector>

#include "model/stc.hpp"

namespace posetape::model {

struct StcformerConfig {
  Index width = 256;
  Index depth = 6;
  Index heads = 8;  // of each half of the channels
  Index mlp_ratio = 4;
  Index inputs = 2;  // channels of y
};

// x += STC(LN(x));  x += MLP(LN(x)), the MLP without biases. Scores are scaled by (width/2)^-1/2,
// and the body-part embedding by 1e-4, as in the released code. (That code also adds the embedding
// to the temporal half by 1e-9, below the resolution of f32, and drops both at random in training;
// both are left out here,
// as is its dropout of 0.1 in the MLP while training.)
struct StcformerBlock {
  StcformerBlock(ParameterList& list, const std::string& name, const StcformerConfig& config);

  Residual operator()(const Residual& in) const;

  LayerNorm norm1, norm2;
  Stc stc;
  Mlp mlp;
};

struct StcformerLayers {
  StcformerLayers(ParameterList& list, const StcformerConfig& config);

  Linear pose_emb;  // of y, without bias, GELU
  std::vector<StcformerBlock> blocks;
  Linear regress_head;  // D -> 3 without bias
};

class Stcformer {
 public:
  // Computes in `dtype`; inputs are converted to it, and the result is in the type that dtype
  // computes in (f32 for bf16).
  Stcformer(const StcformerConfig& config, DType dtype, std::uint64_t seed,
            Device device = Device::cpu);

  // y [B, N, J, inputs], normalised screen coordinates, how sure they are where there are 3 or 6,
  // and an estimate in metres where there are 5 or 6 -> [B, N, J, 3], root-relative metres. The
  // root joint's output is a free output of the network; callers set it to zero.
  Tensor operator()(const Tensor& y) const;
  // The loss of the released code: the mean distance of joints, over all frames of the windows.
  Tensor loss(const Tensor& prediction, const Tensor& truth) const {
    return joint_distance_loss(prediction, truth);
  }

  const StcformerConfig& config() const { return config_; }
  ParameterList& parameters() { return parameters_; }
  const ParameterList& parameters() const { return parameters_; }

 private:
  StcformerConfig config_;
  ParameterList parameters_;
  StcformerLayers layers_;
};

}  // namespace posetape::model
