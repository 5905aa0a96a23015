#include "engine/ops/structure_embedding.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"
#include "kernels/structure_embedding/structure_embedding.hpp"

namespace posetape {
namespace {

enum Input { kQkv, kWeight, kBias, kTable, kPart };

void check_parts(const Tensor& table, const Tensor& part, Index joints) {
  if (table.defined() != part.defined()) {
    fail("structure_embedding: table and part belong together; only {} is given",
         table.defined() ? "table" : "part");
  }
  if (!table.defined()) return;
  const Shape& shape = table.shape();
  if (shape.rank() != 2 || shape[1] == 0 || part.shape() != Shape{joints}) {
    fail("structure_embedding: table is {}, part {}; they must be [P, W] and [J] = [{}]",
         shape.text(), part.shape().text(), joints);
  }
  if (part.device() != Device::cpu) return;  // the kernel gives NaN
  for (const std::int32_t p : part.values<std::int32_t>()) {
    if (p < 0 || p >= shape[0]) {
      fail("structure_embedding: part {} is out of range, table {} has {} parts", p, shape.text(),
           shape[0]);
    }
  }
}

void check(const Tensor& qkv, const Tensor& weight, const Tensor& bias) {
  const Shape& shape = qkv.shape();
  if (shape.rank() != 4 || shape.back() % 3 != 0) {
    fail("structure_embedding: qkv is {}; it must be [B, N, J, 3D]", shape.text());
  }
  const Index width = shape.back() / 3;
  if (weight.shape() != Shape{width, 3, 3} || bias.shape() != Shape{width}) {
    fail(
        "structure_embedding: qkv is {}, so weight and bias must be [{}, 3, 3] and [{}]; they are "
        "{} and {}",
        shape.text(), width, width, weight.shape().text(), bias.shape().text());
  }
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& qkv = node.saved[0];
  const Tensor& weight = node.saved[1];
  const Tensor& part = node.saved[2];
  const Tensor& dout = backward.cotangent();
  const Shape& shape = dout.shape();
  const Value& table = node.inputs[kTable];
  dispatch(dout, [&]<class T>(auto where) {
    launch(where, StructureEmbeddingBackward<T>{
                      qkv.data<T>(), weight.data<T>(), part.data<std::int32_t>(), dout.data<T>(),
                      backward.gradient<T>(kQkv), backward.gradient<T>(kWeight),
                      backward.gradient<T>(kBias), backward.gradient<T>(kTable), shape[0], shape[1],
                      shape[2], shape[3], table.given ? table.shape[0] : 0,
                      table.given ? table.shape[1] : 0, node.attributes.as<double>()});
  });
}

double flops(const Node& node) {
  return 2.0 * 9 * static_cast<double>(node.outputs[0].shape.size());
}

}  // namespace

Tensor structure_embedding(const Tensor& qkv, const Tensor& weight, const Tensor& bias,
                           const Tensor& table, const Tensor& part, double scale) {
  check_operands(Op::structure_embedding,
                 {{"qkv", qkv}, {"weight", weight}, {"bias", bias}, {"table", table, true}});
  check_index(Op::structure_embedding, {"part", part, true}, {"qkv", qkv});
  check(qkv, weight, bias);
  const Shape shape = qkv.shape().with(-1, qkv.shape().back() / 3);
  check_parts(table, part, shape[2]);
  const Tensor out = Tensor::empty(shape, qkv.dtype(), qkv.device());
  dispatch(qkv, [&]<class T>(auto where) {
    launch(where, StructureEmbeddingForward<T>{qkv.data<T>(), weight.data<T>(), bias.data<T>(),
                                               table.data<T>(), part.data<std::int32_t>(),
                                               out.data<T>(), shape[0], shape[1], shape[2],
                                               shape[3], table.defined() ? table.shape()[0] : 0,
                                               table.defined() ? table.shape()[1] : 0, scale});
  });
  record(Op::structure_embedding, {qkv, weight, bias, table, part}, {out}, {qkv, weight, part},
         scale);
  return out;
}

const Rule structure_embedding_rule{backward_rule, flops};

}  // namespace posetape
