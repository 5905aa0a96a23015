#include "engine/patches.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/ops/broadcast_to.hpp"
#include "engine/ops/cast.hpp"
#include "engine/taps.hpp"

namespace posetape {
namespace {

bool broadcasts(const Shape& from, const Shape& to) {
  const int more = to.rank() - from.rank();
  for (int i = 0; i < from.rank(); ++i) {
    if (more < 0 || (from[i] != 1 && from[i] != to[i + more])) return false;
  }
  return true;
}

Tensor fitted(Tensor tensor, const std::string& name, const Observer::Named& value) {
  if (!tensor.defined() || !broadcasts(tensor.shape(), value.shape)) {
    fail("patch: {} is {}, and what is to stand for it {}", name, value.shape.text(),
         tensor.defined() ? tensor.shape().text() : "undefined");
  }
  if (tensor.dtype() != value.dtype) tensor = cast(tensor, value.dtype);
  tensor = tensor.to(value.device);
  return tensor.shape() == value.shape ? tensor : broadcast_to(tensor, value.shape);
}

}  // namespace

Patches::Source Patches::constant(double number) {
  return
      [number](const std::string&, const Named&) { return Tensor::full({}, number, DType::f64); };
}

void Patches::add(std::string pattern, Source source) {
  patches_.push_back({std::move(pattern), std::move(source), false, {}});
}

void Patches::replace(Named& value) {
  const std::string name = fmt::format("{}{}", scope(), value.name);
  if (value.replaceable && std::ranges::find(names_, name) == names_.end()) names_.push_back(name);
  for (Patch& patch : patches_) {
    if (!tap_matches(patch.pattern, name)) continue;
    if (!value.replaceable) {
      if (patch.shown.empty()) patch.shown = name;
      continue;
    }
    value.tensor = fitted(patch.source(name, value), name, value);
    patch.used = true;
  }
}

void Patches::check() const {
  for (const Patch& patch : patches_) {
    if (patch.used) continue;
    if (!patch.shown.empty()) {
      fail("patch {}: {} can be looked at and not replaced; nearest that can: {}", patch.pattern,
           patch.shown, nearest_text(patch.pattern, names_));
    }
    fail("patch {}: matches no name of this pass; nearest: {}", patch.pattern,
         nearest_text(patch.pattern, names_));
  }
}

}  // namespace posetape
