// What nodes of these ops keep beside their tensors, for those who read a recorded pass
// (tools/onnx.hpp). Other ops keep one number or a struct that their headers have.
#pragma once

#include <array>

#include "engine/shape.hpp"
#include "kernels/linear/linear.hpp"

namespace posetape {

struct ScaleAttributes {
  double factor;
  double offset;
};

struct SliceAttributes {
  int axis;  // not negative
  Index begin;
};

struct LayerNormAttributes {
  double eps;
};

struct LinearAttributes {
  Activation activation;
  // Of an x that is Activated, which has made its values of the node's input.
  Activation before = Activation::none;
  int layers = 1;  // of one x
};

// Of transpose: axis i of the result is axis axes[i] of x; beyond the rank, zero.
using TransposeAttributes = std::array<int, kMaxRank>;

}  // namespace posetape
