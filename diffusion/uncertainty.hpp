// How sure a refiner is: a standard deviation of each joint and coordinate, from a head on the last
// features of its network (PoseDenoiser::features), which itself stays as it is:
//
//   log sigma = log s + clamp(MLP(LayerNorm(features)), -3, 3),   s one number a joint and axis.
//
// It is trained on errors of finished poses by Student's likelihood, a proper score, and calibrated
// on people whom neither the network nor the head saw (tools/train_uncertainty.cpp).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/uncertainty.hpp"
#include "engine/safetensors.hpp"
#include "model/layers.hpp"

namespace posetape::diffusion {

// The key of a checkpoint's metadata that says, as JSON, of what finished poses the head knows the
// errors: "made", as data/protocol.hpp has it, and on whom it was "calibrated".
inline constexpr const char* kUncertainty = "uncertainty";

struct UncertaintyLayers {
  UncertaintyLayers(ParameterList& list, Index width, Index hidden);

  model::LayerNorm norm;
  model::Linear hidden;
  model::Linear output;  // starts at 0
};

class Uncertainty {
 public:
  // Of features D = `width` wide. `scale` is s, metres, [51]. Throws Error unless every s is above
  // 0.
  Uncertainty(Index width, Index hidden, std::vector<double> scale, std::uint64_t seed,
              Device device = Device::cpu, DType dtype = DType::f32);

  // Features [..., 17, D] of any type to log sigma [..., 17, 3] in the head's. That of the root,
  // which never errs, means nothing.
  Tensor log_std(const Tensor& features) const;
  // The mean over rows, joints but the root, and coordinates of
  //
  //   w (log sigma + (nu + 1) / 2 log(1 + e^2 / (nu sigma^2))),   nu = kFreedom,
  //
  // of features [B, 17, D], errors e [B, 17, 3] in metres and weights w [B, 1, 1].
  Tensor loss(const Tensor& features, const Tensor& error, const Tensor& weight) const;

  static constexpr double kFreedom = 5;

  ParameterList& parameters() { return parameters_; }
  const ParameterList& parameters() const { return parameters_; }
  // Multiplies s, [51].
  void rescale(std::span<const double> factors);
  // How many times sigma the regions reach that hold these shares of the truths.
  const data::Regions& regions() const { return regions_; }
  void set_regions(const data::Regions& regions) { regions_ = regions; }

  void save(TensorFile& file) const;
  static bool is_in(const TensorFile& file);
  static bool is_part(std::string_view tensor);  // by its name
  // Throws Error where the tensors don't fit each other or features D = `width` wide.
  static Uncertainty load(const TensorFile& file, const std::string& path, Index width,
                          Device device = Device::cpu);

 private:
  ParameterList parameters_;
  UncertaintyLayers layers_;
  std::vector<double> scale_;
  Tensor log_scale_;  // [17, 3]
  Tensor not_root_;   // [17, 1], 0 at the root joint and 1 elsewhere
  data::Regions regions_;
};

}  // namespace posetape::diffusion
