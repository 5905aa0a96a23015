// SmoothNet (Zeng et al., ECCV 2022), the plug-in smoother that refiners are compared with: it sees
// one coordinate of one joint over the frames of a window at a time, and nothing else.
#pragma once

#include <string>
#include <vector>

#include "model/layers.hpp"

namespace posetape::model {

struct SmoothnetConfig {
  Index frames = 32;  // N; the weights belong to it
  Index width = 512;
  Index hidden = 128;  // of a residual pair
  Index depth = 5;     // residual pairs
};

// h += f(fc2(f(fc1(h)))), f = leaky ReLU of slope 0.2.
struct SmoothnetPair {
  SmoothnetPair(ParameterList& list, const std::string& name, const SmoothnetConfig& config);

  Linear fc1, fc2;
};

struct SmoothnetLayers {
  SmoothnetLayers(ParameterList& list, const SmoothnetConfig& config);

  Linear input;  // N -> D, leaky ReLU of slope 0.1
  std::vector<SmoothnetPair> pairs;
  Linear output;  // D -> N
};

// As the released code has it, but without its dropout while training.
class Smoothnet {
 public:
  // Computes in `dtype`; inputs are converted to it, and the result is in the type that dtype
  // computes in (f32 for bf16).
  Smoothnet(const SmoothnetConfig& config, DType dtype, std::uint64_t seed,
            Device device = Device::cpu);

  // Poses [B, N, J, 3] -> the same, smoothed. Throws Error where N is not the network's.
  Tensor operator()(const Tensor& noisy) const;

  const SmoothnetConfig& config() const { return config_; }
  ParameterList& parameters() { return parameters_; }
  const ParameterList& parameters() const { return parameters_; }

 private:
  SmoothnetConfig config_;
  ParameterList parameters_;
  SmoothnetLayers layers_;
};

// The mean absolute error of the coordinates, plus that of their second differences over the
// frames: both [B, N, J, 3], N at least 3 -> [].
Tensor smoothnet_loss(const Tensor& estimate, const Tensor& truth);

}  // namespace posetape::model
