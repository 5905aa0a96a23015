#include "diffusion/uncertainty.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/dataset.hpp"
#include "engine/ops.hpp"
#include "model/checkpoint.hpp"

namespace posetape::diffusion {
namespace {

constexpr Index kJoints = data::kJoints;
constexpr std::size_t kCoordinates = 3 * data::kJoints;
constexpr double kFarthest = 3;  // of log sigma from log s
constexpr const char* kPrefix = "uncertainty.";
constexpr const char* kScale = "uncertainty.scale";
constexpr const char* kRegions = "uncertainty.regions";
constexpr const char* kHidden = "uncertainty.hidden.weight";

}  // namespace

UncertaintyLayers::UncertaintyLayers(ParameterList& list, Index width, Index hidden_width)
    : norm(list, "norm", width),
      hidden(list, "hidden", width, hidden_width),
      output(list, "output", hidden_width, 3) {}

Uncertainty::Uncertainty(Index width, Index hidden, std::vector<double> scale, std::uint64_t seed,
                         Device device, DType dtype)
    : parameters_([&] {
        ParameterList counting;
        UncertaintyLayers(counting, width, hidden);
        return ParameterList(counting.size(), dtype, seed, device);
      }()),
      layers_(parameters_, width, hidden),
      scale_(std::move(scale)) {
  fill(layers_.output.weight, 0);
  fill(layers_.output.bias, 0);
  const Tensor not_root = Tensor::full({kJoints, 1}, 1.0, dtype);
  fill(not_root.alias({1}), 0.0);
  not_root_ = not_root.to(device);
  rescale(std::vector<double>(kCoordinates, 1.0));
}

void Uncertainty::rescale(std::span<const double> factors) {
  if (scale_.size() != kCoordinates || factors.size() != kCoordinates) {
    fail("uncertainty: {} scales and {} factors, expected {} of each", scale_.size(),
         factors.size(), kCoordinates);
  }
  std::vector<double> logs;
  for (std::size_t i = 0; i < kCoordinates; ++i) {
    scale_[i] *= factors[i];
    if (!(scale_[i] > 0) || !std::isfinite(scale_[i])) {
      fail("uncertainty: a scale of {} is no positive number", scale_[i]);
    }
    logs.push_back(std::log(scale_[i]));
  }
  log_scale_ = Tensor::of({kJoints, 3}, logs, parameters_.values().dtype(), parameters_.device());
}

Tensor Uncertainty::log_std(const Tensor& features) const {
  const Tensor h = layers_.norm(model::as(features, parameters_.values().dtype())).y;
  const Tensor own = layers_.output(layers_.hidden(h, Activation::gelu));
  return add(clamp(own, -kFarthest, kFarthest), log_scale_);
}

Tensor Uncertainty::loss(const Tensor& features, const Tensor& error, const Tensor& weight) const {
  const Tensor log_sigma = log_std(features);
  const Tensor normalised = mul(error, exp(scale(log_sigma, -1)));
  const Tensor tails = log(scale(mul(normalised, normalised), 1 / kFreedom, 1));
  const Tensor score = add(log_sigma, scale(tails, (kFreedom + 1) / 2));
  const double terms = static_cast<double>(error.size()) * (kJoints - 1) / kJoints;
  return scale(sum(mul(mul(score, not_root_), weight)), 1 / terms);
}

void Uncertainty::save(TensorFile& file) const {
  model::save_parameters(parameters_, kPrefix, file);
  file.tensors.emplace_back(kScale, Tensor::of<double>({kJoints, 3}, scale_));
  file.tensors.emplace_back(kRegions, Tensor::of<double>({2, 3}, data::values_of(regions_)));
}

bool Uncertainty::is_in(const TensorFile& file) {
  return file.contains(kScale);
}

bool Uncertainty::is_part(std::string_view tensor) {
  return tensor.starts_with(kPrefix);
}

Uncertainty Uncertainty::load(const TensorFile& file, const std::string& path, Index width,
                              Device device) {
  const auto shaped = [&](const char* name, int rank, Index rows, Index columns) -> const Tensor& {
    if (!file.contains(name)) fail("{}: tensor {} is missing", path, name);
    const Tensor& t = file.at(name);
    const bool fits = t.shape().rank() == rank && (rows == 0 || t.shape()[0] == rows) &&
                      t.shape()[rank - 1] == columns;
    if (!fits)
      fail("{}: tensor {} is {}, which fits no refiner {} wide", path, name, t.shape().text(),
           width);
    return t;
  };
  const Index hidden = shaped(kHidden, 2, 0, width).shape()[0];
  if (hidden < 1) fail("{}: tensor {} is empty", path, kHidden);
  Uncertainty head(width, hidden, shaped(kScale, 2, kJoints, 3).to_doubles(), 0, device);
  head.regions_ = data::regions_of(shaped(kRegions, 2, 2, 3).to_doubles(), path);
  model::load_parameters(head.parameters_, kPrefix, file, path);
  return head;
}

}  // namespace posetape::diffusion
