#include "model/stc.hpp"

#include <array>

#include "engine/attention.hpp"

namespace posetape::model {
namespace {

// The body part of each of Human3.6M's 17 joints: torso and head, right leg, left leg, left arm,
// right arm.
constexpr std::array<std::int32_t, 17> kBodyParts{0, 1, 1, 1, 2, 2, 2, 0, 0,
                                                  0, 0, 3, 3, 3, 4, 4, 4};
constexpr Index kPartCount = 5;

Index head_width(const StcOptions& options) {
  if (options.heads < 1 || options.width % (2 * options.heads) != 0) {
    fail("STC module: width {} must be a multiple of 2 x heads, and heads is {}", options.width,
         options.heads);
  }
  return options.width / 2 / options.heads;
}

}  // namespace

Stc::Stc(ParameterList& list, const std::string& name, const StcOptions& o)
    : path(name),
      qkv(list, name + ".qkv", o.width, 3 * o.width),
      local_weight(list.add(name + ".local.weight", {o.width, 3, 3}, {Init::uniform, 1.0 / 3})),
      local_bias(list.add(name + ".local.bias", {o.width}, {Init::uniform, 1.0 / 3})),
      part(list.add(name + ".part", {kPartCount, head_width(o)}, {Init::normal, o.part_spread})),
      proj(list, name + ".proj", o.width, o.width),
      body_part(Tensor::of<std::int32_t>({17}, kBodyParts).to(list.device())),
      options(o) {}

Residual Stc::operator()(const LayerNorm& norm, const Tensor& x, const Tensor& residual,
                         const Tensor& shift) const {
  if (x.shape().rank() != 4 || x.shape()[2] != static_cast<Index>(kBodyParts.size())) {
    fail("STC module: x is {}; expected [B, N, {}, {}]", x.shape().text(), kBodyParts.size(),
         options.width);
  }
  const Residual in = normed(norm, qkv, x, residual, shift);
  return {in.h, proj(attention(in.update))};
}

Tensor Stc::attention(const Tensor& values) const {
  if (!Observer::parts_wanted()) {
    return stc_attention(values, Axis::cross, options.heads, options.scale,
                         {local_weight, local_bias, part, body_part, options.part_scale});
  }
  Tensor local =
      structure_embedding(values, local_weight, local_bias, part, body_part, options.part_scale);
  {
    const Scope scope(path);
    local = tap("local", std::move(local));
  }
  Tensor mixed = axial_attention(values, Axis::cross, options.heads, options.scale, local);
  {
    const Scope scope(path);
    mixed = tap("mixed", tap_heads(mixed, Axis::cross, options.heads, local));
    tap_attention(values, Axis::cross, options.heads, options.scale);
  }
  return mixed;
}

}  // namespace posetape::model
