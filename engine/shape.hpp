// Shapes: up to six dimensions, held by value.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "engine/error.hpp"
#include "kernels/base/scalar.hpp"

namespace posetape {

inline constexpr int kMaxRank = 6;

class Shape {
 public:
  Shape() = default;  // rank 0: a scalar, one element
  Shape(std::initializer_list<Index> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const Index> dims) : rank_(static_cast<int>(dims.size())) {
    if (dims.size() > kMaxRank) fail("shape has rank {}, at most {} is possible", rank_, kMaxRank);
    for (int i = 0; i < rank_; ++i) {
      dims_[i] = dims[i];
      if (dims[i] < 0) fail("shape has a negative dimension: {}", dims[i]);
    }
  }

  int rank() const { return rank_; }
  // Dimension i; negative i counts from the end.
  Index operator[](int i) const { return dims_[i < 0 ? rank_ + i : i]; }
  Index back() const { return dims_[rank_ - 1]; }
  Index size() const {
    Index n = 1;
    for (int i = 0; i < rank_; ++i) n *= dims_[i];
    return n;
  }
  // Product of the dimensions before `axis`, and of those after it.
  Index outer(int axis) const {
    Index n = 1;
    for (int i = 0; i < axis; ++i) n *= dims_[i];
    return n;
  }
  Index inner(int axis) const {
    Index n = 1;
    for (int i = axis + 1; i < rank_; ++i) n *= dims_[i];
    return n;
  }
  Shape with(int i, Index value) const {
    Shape other = *this;
    other.dims_[i < 0 ? rank_ + i : i] = value;
    return other;
  }
  std::span<const Index> dims() const { return {dims_.data(), static_cast<std::size_t>(rank_)}; }
  bool operator==(const Shape&) const = default;

  // "[2, 27, 17, 3]"
  std::string text() const {
    std::string list;
    for (const Index d : dims()) list += (list.empty() ? "" : ", ") + std::to_string(d);
    return "[" + list + "]";
  }

 private:
  std::array<Index, kMaxRank> dims_{};
  int rank_ = 0;
};

// The shape that both broadcast to (numpy's rule); `op` is named in the error.
Shape broadcast(const char* op, const Shape& a, const Shape& b);

}  // namespace posetape
