#include "tools/inspected.hpp"

#include <algorithm>
#include <cmath>

namespace posetape::tools {

Inspected::Inspected(const diffusion::Refiner& refiner, const Subject& subject,
                     bool whole_attention)
    : subject_(subject), frames_(refiner.config().frames), whole_attention_(whole_attention) {
  for (const auto& entry : refiner.parameters().entries()) parameters_.insert(entry.name);
}

void Inspected::add(const std::string& name, const Shape& shape, const std::vector<double>& values,
                    std::span<const data::Window> windows) {
  const auto [place, is_new] = places_.try_emplace(name, arrays_.size());
  if (is_new) arrays_.push_back({name, file_shape(name, shape), {}});
  Array& array = arrays_[place->second];
  array.values.resize(static_cast<std::size_t>(array.shape.size()), 0.0F);
  switch (kind_of(name, shape)) {
    case Kind::frames:
      add_frames(array, values, windows);
      break;
    case Kind::windows:
      std::ranges::copy(values, array.values.begin() + array.filled);
      array.filled += static_cast<std::ptrdiff_t>(values.size());
      break;
    case Kind::mean: {
      const double share =
          static_cast<double>(windows.size()) / static_cast<double>(subject_.windows.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        array.values[i] += static_cast<float>(share * values[i]);
      }
      break;
    }
    case Kind::norm:
      array.values[0] = static_cast<float>(std::hypot(double{array.values[0]}, values[0]));
      break;
    case Kind::once:
      std::ranges::copy(values, array.values.begin());
      break;
  }
}

Shape Inspected::file_shape(const std::string& name, const Shape& shape) const {
  const Kind kind = kind_of(name, shape);
  if (kind == Kind::windows) {
    return shape.with(0, static_cast<Index>(subject_.windows.size()));
  }
  if (kind != Kind::frames) return shape;
  std::vector<Index> dims{subject_.frames()};
  dims.insert(dims.end(), shape.dims().begin() + 2, shape.dims().end());
  return Shape(dims);
}

Tensor Inspected::from_file(const std::string& name, const Shape& shape,
                            std::span<const double> values,
                            std::span<const data::Window> windows) const {
  const Kind kind = kind_of(name, shape);
  if (kind != Kind::frames && kind != Kind::windows) return Tensor::of(shape, values, DType::f64);
  std::vector<double> rows;
  const auto rows_in_file = static_cast<std::size_t>(file_shape(name, shape)[0]);
  const std::size_t each = values.size() / rows_in_file;
  const auto take = [&](std::size_t row) {
    const auto from = values.begin() + static_cast<std::ptrdiff_t>(row * each);
    rows.insert(rows.end(), from, from + static_cast<std::ptrdiff_t>(each));
  };
  for (const data::Window& window : windows) {
    if (kind == Kind::windows) {
      const auto same = [&](const data::Window& w) { return w.start == window.start; };
      const auto place = std::ranges::find_if(subject_.windows, same);
      take(static_cast<std::size_t>(place - subject_.windows.begin()));
      continue;
    }
    for (int k = 0; k < frames_; ++k) {
      take(static_cast<std::size_t>(data::frame_at(window, k, subject_.frames())));
    }
  }
  return Tensor::of(shape, rows, DType::f64);
}

Inspected::Kind Inspected::kind_of(const std::string& name, const Shape& shape) const {
  std::string base = name;
  for (const std::string_view ending : {".norm", ".grad"}) {
    if (base.ends_with(ending)) base.resize(base.size() - ending.size());
  }
  const std::string_view train = "train.";
  if (base.starts_with(train) && parameters_.contains(base.substr(train.size()))) {
    return Kind::once;
  }
  if (base.ends_with(".attention") && !whole_attention_) return Kind::mean;
  if (name.ends_with(".norm")) return base.ends_with(".t") ? Kind::once : Kind::norm;
  if (shape.rank() == 0) return Kind::once;
  const bool framed = shape.rank() >= 2 && shape[1] == frames_;
  return framed && !base.ends_with("time.attention") ? Kind::frames : Kind::windows;
}

// Each frame from the window that owns it.
void Inspected::add_frames(Array& array, const std::vector<double>& values,
                           std::span<const data::Window> windows) const {
  const std::size_t each = values.size() / windows.size() / static_cast<std::size_t>(frames_);
  for (std::size_t w = 0; w < windows.size(); ++w) {
    for (int k = windows[w].first_valid; k < windows[w].length; ++k) {
      const std::size_t from = w * static_cast<std::size_t>(frames_) + static_cast<std::size_t>(k);
      const auto to = static_cast<std::size_t>(windows[w].start + k);
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(from * each), each,
                  array.values.begin() + static_cast<std::ptrdiff_t>(to * each));
    }
  }
}

}  // namespace posetape::tools
