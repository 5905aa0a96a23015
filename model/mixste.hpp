// MixSTE, the lifter from 2D to 3D pose sequences (Zhang, Tu, Yang, Chen and Yuan, CVPR 2022), as
// its released code has it: attention over the joints of a frame and over the frames of a joint in
// turn. Its embedding of frames fixes the length of the windows.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/layers.hpp"

namespace posetape::model {

struct MixsteConfig {
  Index width = 512;
  Index depth = 8;
  Index heads = 8;
  Index mlp_ratio = 2;
  Index frames = 243;
  Index inputs =
      2;  // channels of y: 3 with the confidence of each joint, and 3 more of an estimate
};

// Taps: "<name>.space.attention" or "<name>.time.attention", and its layers by their names.
// x += Attention(LN(x));  x += MLP(LN(x)), the attention along one axis.
struct MixsteBlock {
  MixsteBlock(ParameterList& list, const std::string& name, const MixsteConfig& config, Axis axis);

  // The block's output normalised by the norm that follows it: x [B, N, J, D] -> the same. The two
  // updates are multiplied by the drops where these are defined.
  Tensor operator()(const Tensor& x, const LayerNorm& after, const Tensor& attention_drop,
                    const Tensor& mlp_drop) const;

  // Of LN(x).
  Tensor attention(const Tensor& x) const;

  std::string path;
  LayerNorm norm1, norm2;
  Linear qkv, proj;
  Mlp mlp;
  Axis axis;
  Index heads;
};

struct MixsteLayers {
  MixsteLayers(ParameterList& list, const MixsteConfig& config);

  Linear embedding;        // 2 -> D
  Tensor joint_embedding;  // [J, D]
  Tensor frame_embedding;  // [N, 1, D]
  std::vector<MixsteBlock> space, time;
  LayerNorm space_norm, time_norm;  // after each block of their axis
  LayerNorm head_norm;
  Linear head;  // D -> 3
};

// The loss of the released code on predictions and truth [B, N, J, 3], metres, with the weights w_j
// of joints and d the difference of consecutive frames:
//     mean w_j |p - t|  +  0.5 mean w_j (d p)^2  +  2 mean |d p - d t|
// the middle mean over coordinates, the others over joints. It asks for motion that is small and
// that is right. The last two are left out of windows of one frame. (The released code also
// multiplies the gradient by the loss's value; Adam takes that factor out again but for batches
// weighing by their loss.)
class MixsteLoss {
 public:
  // For predictions of this type.
  explicit MixsteLoss(DType dtype, Device device = Device::cpu);
  Tensor operator()(const Tensor& prediction, const Tensor& truth) const;

 private:
  Tensor weights_;  // [J, 1]
};

// Stochastic depth (Huang et al., ECCV 2016), as the released code trains with: the factors of the
// residual stream's updates in one training step. Block i of L leaves an update out with the
// probability i / (L - 1) `rate`, and divides it by that of staying otherwise: a frame's where it
// attends over joints [B, N, 1, 1], a joint's where it attends over frames [B, 1, J, 1]. For each
// block those of its attention and its MLP over space, then over time; undefined where all are 1.
// On the host, in the type that `dtype` computes in; drawn by (seed, step).
std::vector<Tensor> mixste_drops(const MixsteConfig& config, double rate, Index batch, DType dtype,
                                 std::uint64_t seed, std::uint64_t step);

class Mixste {
 public:
  // Computes in `dtype`, as Stcformer does.
  Mixste(const MixsteConfig& config, DType dtype, std::uint64_t seed, Device device = Device::cpu);

  // y [B, N, J, inputs], normalised screen coordinates, N = config.frames -> [B, N, J, 3],
  // root-relative metres. The root joint's output is a free output of the network.
  //
  // `drops`, where given, are those of mixste_drops().
  Tensor operator()(const Tensor& y, std::span<const Tensor> drops = {}) const;
  Tensor loss(const Tensor& prediction, const Tensor& truth) const {
    return loss_(prediction, truth);
  }

  const MixsteConfig& config() const { return config_; }
  ParameterList& parameters() { return parameters_; }
  const ParameterList& parameters() const { return parameters_; }

 private:
  MixsteConfig config_;
  ParameterList parameters_;
  MixsteLayers layers_;
  MixsteLoss loss_;
};

}  // namespace posetape::model
