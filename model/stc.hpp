// The spatio-temporal criss-cross module of STCFormer (Tang, Qiu, Hao, Hong and Yao, CVPR 2023):
// half of the channels attends over the joints of a frame, half over the frames of a joint.
#pragma once

#include <string>

#include "model/layers.hpp"

namespace posetape::model {

struct StcOptions {
  Index width = 256;
  Index heads = 8;  // of each half
  // Scores are multiplied by this; 0 stands for head_width^-1/2.
  double scale = 0;
  // Weight of the body-part embedding, and the spread it starts with.
  double part_scale = 1;
  double part_spread = 0.02;
};

// h = x + residual + shift, [B, N, J, D], and the module of LN(h), which is the update of h.
// Taps: "<name>.qkv", "<name>.space.attention" and "<name>.time.attention" (probabilities) and what
// each head says, "<name>.space.attention.head<h>", "<name>.local", "<name>.mixed" (the heads and
// the local part together), "<name>.proj".
// Channels of qkv: q, k, v side by side; of each, the first half spatial and the second temporal.
struct Stc {
  Stc(ParameterList& list, const std::string& name, const StcOptions& options);
  Residual operator()(const LayerNorm& norm, const Tensor& x, const Tensor& residual = {},
                      const Tensor& shift = {}) const;

  std::string path;
  Linear qkv;
  // Depthwise 3 x 3 over the (frame, joint) grid of v: [D, 3, 3] and [D].
  Tensor local_weight, local_bias;
  // One row for each of the five body parts, shared by the spatial heads: [5, head width].
  Tensor part;
  Linear proj;
  Tensor body_part;  // i32 [17], of each joint
  StcOptions options;

 private:
  // Of qkv's values [B, N, J, 3D].
  Tensor attention(const Tensor& values) const;
};

}  // namespace posetape::model
