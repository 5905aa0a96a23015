#include "engine/ops/axial_attention.hpp"

#include <cmath>

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"

namespace posetape {
namespace {

enum Input { kQkv, kAdd, kWeight };

bool has_local_term(const Node& node) {
  return node.inputs.size() > kWeight;
}

void run(Cpu where, const auto& stc) {
  in_turn(stc, [&](const auto& one) { launch(where, one); });
}
void run(Cuda where, const auto& stc) {
  launch(where, stc);
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& qkv = node.saved[0];
  const Tensor& lse = node.saved[1];
  const Tensor& dout = backward.cotangent();
  const auto of = node.attributes.as<AttentionAttributes>();
  const bool stc = has_local_term(node);
  if (stc || backward.wants(kQkv)) {
    dispatch(qkv, [&]<class T>(auto where) {
      const GradientOut<T> dqkv = backward.gradient<T>(kQkv);
      const AxialAttentionBackward<T> attention{qkv.data<T>(), lse.data<Accumulator<T>>(),
                                                dout.data<T>(), dqkv, of.shape};
      if (!stc) return launch(where, attention);
      run(where, StcAttentionBackward<T>{
                     attention, backward_arguments<T>(node, backward, kWeight, qkv, node.saved[2],
                                                      node.saved[3], of.local_scale, {})});
    });
  }
  backward.pass(kAdd, dout);
}

double flops(const Node& node) {
  const AttentionShape s = node.attributes.as<AttentionAttributes>().shape;
  const Index width = s.width / s.segments();
  Index pairs = 0;  // (query, key) pairs a channel: two products of each
  if (s.axis != Axis::time) pairs += s.tokens() * s.joints;
  if (s.axis != Axis::space) pairs += s.tokens() * s.frames;
  const double local = has_local_term(node) ? local_term_flops(s.tokens() * s.width) : 0;
  return 4.0 * static_cast<double>(pairs * width) + local;
}

std::string mode(const Node& node) {
  constexpr const char* kNames[] = {"space", "time", "cross"};
  const Axis axis = node.attributes.as<AttentionAttributes>().shape.axis;
  const std::string name = kNames[static_cast<int>(axis)];
  return has_local_term(node) ? name + ".stc" : name;
}

AttentionShape checked_shape(const Tensor& qkv, Axis axis, Index heads, double scale) {
  const Shape& in = qkv.shape();
  const Index segments = axis == Axis::cross ? 2 : 1;
  if (in.rank() != 4 || heads < 1 || in[3] % (3 * segments * heads) != 0) {
    fail("axial_attention: qkv is {}, heads {}; expected [B, N, J, 3D] with D a multiple of {}",
         in.text(), heads, segments * heads);
  }
  AttentionShape shape{in[0], in[1], in[2], in[3] / 3, heads, axis, scale};
  if (scale == 0) shape.scale = 1 / std::sqrt(static_cast<double>(shape.head_width()));
  return shape;
}

// The result and its log-sum-exps.
std::pair<Tensor, Tensor> results(const Tensor& qkv, const AttentionShape& s) {
  const Shape& in = qkv.shape();
  return {
      Tensor::empty(in.with(3, s.width), qkv.dtype(), qkv.device()),
      Tensor::empty(in.with(3, s.segments() * s.heads), accumulator_of(qkv.dtype()), qkv.device())};
}

}  // namespace

Tensor axial_attention(const Tensor& qkv, Axis axis, Index heads, double scale, const Tensor& add) {
  check_operands(Op::axial_attention, {{"qkv", qkv}, {"add", add, true}});
  const AttentionShape shape = checked_shape(qkv, axis, heads, scale);
  const auto [out, lse] = results(qkv, shape);
  if (add.defined() && add.shape() != out.shape()) {
    fail("axial_attention: add is {}, expected {}", add.shape().text(), out.shape().text());
  }
  dispatch(qkv, [&, &out = out, &lse = lse]<class T>(auto where) {
    launch(where, AxialAttentionForward<T>{qkv.data<T>(), add.data<T>(), out.data<T>(),
                                           lse.data<Accumulator<T>>(), shape});
  });
  record(Op::axial_attention, {qkv, add}, {out}, {qkv, lse}, AttentionAttributes{shape});
  return out;
}

Tensor stc_attention(const Tensor& qkv, Axis axis, Index heads, double scale,
                     const LocalTerm& local) {
  check_local_term(Op::axial_attention, qkv, local);
  const AttentionShape shape = checked_shape(qkv, axis, heads, scale);
  const auto [out, lse] = results(qkv, shape);
  dispatch(qkv, [&, &out = out, &lse = lse]<class T>(auto where) {
    run(where, StcAttentionForward<T>{
                   {qkv.data<T>(), nullptr, out.data<T>(), lse.data<Accumulator<T>>(), shape},
                   forward_arguments<T>(qkv, local, nullptr)});
  });
  record(Op::axial_attention, {qkv, {}, local.weight, local.bias, local.table, local.part}, {out},
         {qkv, lse, local.weight, local.part}, AttentionAttributes{shape, local.scale});
  return out;
}

const Rule axial_attention_rule{backward_rule, flops, mode};

}  // namespace posetape
