// y = f(x W^T + b), the workhorse. W is [out, in] as in the checkpoints of the field.
// With z = x W^T + b and dz = f'(z) dy:
//     dx = dz W,  dW = dz^T x,  db = sum of dz over the rows
// Where x is itself f(z) of a layer before, dx may be z's gradient instead: dz W f'(z).
#pragma once

#include "kernels/base/scalar.hpp"
#include "kernels/layer_norm/layer_norm.hpp"

namespace posetape {

enum class Activation { none, gelu, silu };

template <class T>
struct LinearForward {
  static constexpr bool kProduct = true;  // see kernels/base/dispatch.hpp
  const T* x;                             // [rows, in]
  const T* w;                             // [out, in]
  const T* b;                             // [out] or null
  T* z;  // [rows, out] before the activation; null where it is not kept
  T* y;  // [rows, out]
  Index rows;
  Index in;
  Index out;
  Activation activation;
};

template <class T>
struct LinearBackward {
  static constexpr bool kProduct = true;  // see kernels/base/dispatch.hpp
  const T* x;
  const T* w;
  const T* z;  // null without activation
  const T* dy;
  T* dz;  // [rows, out] scratch; null without activation
  GradientOut<T> dx;
  GradientOut<T> dw;
  GradientOut<T> db;
  Index rows;
  Index in;
  Index out;
  Activation activation;
  const T* z_before = nullptr;  // [rows, in], and its f: dx is written
  Activation before = Activation::none;
};

// A layer whose x is a layer norm's y, and its backward pass: dx is the norm's dy.
template <class T>
struct NormLinearForward {
  LayerNormForward<T> norm;
  LinearForward<T> linear;
};
template <class T>
struct NormLinearBackward {
  LinearBackward<T> linear;
  LayerNormBackward<T> norm;
};

// Several layers of one x and of one size, and their backward pass, the last one first, which adds
// up one dx. Without activations.
inline constexpr int kMostLayers = 16;
template <class T>
struct LinearsForward {
  LinearForward<T> of[kMostLayers];
  int count;
};
template <class T>
struct LinearsBackward {
  LinearBackward<T> of[kMostLayers];
  int count;
};

template <class T, class F>
void in_turn(const LinearsForward<T>& a, const F& run) {
  for (int i = 0; i < a.count; ++i) run(a.of[i]);
}
template <class T, class F>
void in_turn(const LinearsBackward<T>& a, const F& run) {
  for (int i = a.count; i-- > 0;) run(a.of[i]);
}

// run(arguments) of the one, then of the other.
template <class T, class F>
void in_turn(const NormLinearForward<T>& a, const F& run) {
  run(a.norm);
  run(a.linear);
}
template <class T, class F>
void in_turn(const NormLinearBackward<T>& a, const F& run) {
  run(a.linear);
  run(a.norm);
}

}  // namespace posetape
