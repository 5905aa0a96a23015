#include "engine/ops/axial_attention.hpp"

#include <cmath>

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"

namespace posetape {
namespace {

enum Input { kQkv, kAdd };

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& qkv = node.saved[0];
  const Tensor& lse = node.saved[1];
  const Tensor& dout = backward.cotangent();
  const auto shape = node.attributes.as<AttentionShape>();
  if (backward.wants(kQkv)) {
    dispatch(qkv, [&]<class T>(auto where) {
      launch(where, AxialAttentionBackward<T>{qkv.data<T>(), lse.data<Accumulator<T>>(),
                                              dout.data<T>(), backward.gradient<T>(kQkv), shape});
    });
  }
  backward.pass(kAdd, dout);
}

double flops(const Node& node) {
  const auto s = node.attributes.as<AttentionShape>();
  const Index width = s.width / s.segments();
  Index pairs = 0;  // (query, key) pairs a channel: two products of each
  if (s.axis != Axis::time) pairs += s.tokens() * s.joints;
  if (s.axis != Axis::space) pairs += s.tokens() * s.frames;
  return 4.0 * static_cast<double>(pairs * width);
}

std::string mode(const Node& node) {
  constexpr const char* kNames[] = {"space", "time", "cross"};
  return kNames[static_cast<int>(node.attributes.as<AttentionShape>().axis)];
}

}  // namespace

Tensor axial_attention(const Tensor& qkv, Axis axis, Index heads, double scale, const Tensor& add) {
  check_operands(Op::axial_attention, {{"qkv", qkv}, {"add", add, true}});
  const Shape& in = qkv.shape();
  const Index segments = axis == Axis::cross ? 2 : 1;
  if (in.rank() != 4 || heads < 1 || in[3] % (3 * segments * heads) != 0) {
    fail("axial_attention: qkv is {}, heads {}; expected [B, N, J, 3D] with D a multiple of {}",
         in.text(), heads, segments * heads);
  }
  const Index width = in[3] / 3;
  const Shape out_shape = in.with(3, width);
  if (add.defined() && add.shape() != out_shape) {
    fail("axial_attention: add is {}, expected {}", add.shape().text(), out_shape.text());
  }
  AttentionShape shape{in[0], in[1], in[2], width, heads, axis, scale};
  if (scale == 0) shape.scale = 1 / std::sqrt(static_cast<double>(shape.head_width()));
  const Tensor out = Tensor::empty(out_shape, qkv.dtype(), qkv.device());
  const Tensor lse =
      Tensor::empty(in.with(3, segments * heads), accumulator_of(qkv.dtype()), qkv.device());
  dispatch(qkv, [&]<class T>(auto where) {
    launch(where, AxialAttentionForward<T>{qkv.data<T>(), add.data<T>(), out.data<T>(),
                                           lse.data<Accumulator<T>>(), shape});
  });
  record(Op::axial_attention, {qkv, add}, {out}, {qkv, lse}, shape);
  return out;
}

const Rule axial_attention_rule{backward_rule, flops, mode};

}  // namespace posetape
