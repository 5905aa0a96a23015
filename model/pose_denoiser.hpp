// PoseDenoiser, the network of D3PRefiner (Yan et al., arXiv 2401.03914): from noisy 3D poses,
// their 2D poses and the diffusion's timestep to the error of the 3D poses.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/stc.hpp"

namespace posetape::model {

struct PoseDenoiserConfig {
  Index width = 256;
  Index depth = 4;  // denoising blocks
  Index heads = 8;  // of each half of the channels
  Index mlp_ratio = 4;
  // Without it there is no timestep: the regression that the diffusion is compared with.
  bool timestep = true;
  Index screen = 2;  // channels of y: 3 with the confidence of each joint
};

// One block, on the residual stream h:
//     h += STC(LN(h));  h += proj(temb);  h += STC(LN(h));  h += MLP(LN(h))
struct DenoisingBlock {
  DenoisingBlock(ParameterList& list, const std::string& name, const PoseDenoiserConfig& config);

  // The stream [B, N, J, D]; `shift`, what temb makes of the timesteps' embedding, [B, D],
  // undefined without them.
  Residual operator()(const Residual& in, const Tensor& shift) const;

  LayerNorm norm1, norm2, norm3;
  Stc stc1, stc2;
  Mlp mlp;
  std::vector<Linear> temb;  // one, or none without timestep
};

struct PoseDenoiserLayers {
  PoseDenoiserLayers(ParameterList& list, const PoseDenoiserConfig& config);

  Linear input;                  // of x_t and y, 3 + screen -> D
  std::vector<Linear> timestep;  // D -> D with SiLU, D -> D; none without timestep
  std::vector<DenoisingBlock> blocks;
  Linear output;  // D -> 3
};

class PoseDenoiser {
 public:
  // Computes in `dtype`; inputs are converted to it, and the result is in the type that dtype
  // computes in (f32 for bf16).
  PoseDenoiser(const PoseDenoiserConfig& config, DType dtype, std::uint64_t seed,
               Device device = Device::cpu);

  // The normalised error: x_t [B, N, J, 3], y [B, N, J, screen], one t a sequence (B of them;
  // ignored without timestep) -> [B, N, J, 3].
  Tensor operator()(const Tensor& x_t, const Tensor& y, std::span<const int> t) const;
  // Taps: the stream when it begins, "input", and behind each block, "blocks.<i>.stream"; the
  // layers' own; "output".
  // The same with sinusoidal_embedding(t) [B, D] given, on the network's device (undefined without
  // timestep): nothing then comes from the host.
  Tensor operator()(const Tensor& x_t, const Tensor& y, const Tensor& embedding) const {
    return estimate(features(x_t, y, embedding));
  }
  // Its two parts: the channels that the blocks make, [B, N, J, D] in `dtype`, and the last layer.
  Tensor features(const Tensor& x_t, const Tensor& y, const Tensor& embedding) const;
  Tensor estimate(const Tensor& features) const;

  const PoseDenoiserConfig& config() const { return config_; }
  ParameterList& parameters() { return parameters_; }
  const ParameterList& parameters() const { return parameters_; }

 private:
  PoseDenoiserConfig config_;
  ParameterList parameters_;
  PoseDenoiserLayers layers_;
};

// [B, width]: cos and sin of t at width/2 frequencies from 1 down to 1/10000 (Vaswani et al.,
// arXiv 1706.03762, with the two halves side by side).
// cos(t w_i), then sin(t w_i), w_i = 10000^(-i / (width / 2)), one row for each t: [t, width], on
// the CPU.
Tensor sinusoidal_embedding(std::span<const int> t, Index width, DType dtype);

}  // namespace posetape::model
