#include "engine/ops/structure_embedding.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/local_term.hpp"
#include "engine/tape.hpp"

namespace posetape {
namespace {

enum Input { kQkv, kWeight };

void check_parts(Op op, const Tensor& table, const Tensor& part, Index joints) {
  if (table.defined() != part.defined()) {
    fail("{}: table and part belong together; only {} is given", name(op),
         table.defined() ? "table" : "part");
  }
  if (!table.defined()) return;
  const Shape& shape = table.shape();
  if (shape.rank() != 2 || shape[1] == 0 || part.shape() != Shape{joints}) {
    fail("{}: table is {}, part {}; they must be [P, W] and [J] = [{}]", name(op), shape.text(),
         part.shape().text(), joints);
  }
  if (part.device() != Device::cpu) return;  // the kernel gives NaN
  for (const std::int32_t p : part.values<std::int32_t>()) {
    if (p < 0 || p >= shape[0]) {
      fail("{}: part {} is out of range, table {} has {} parts", name(op), p, shape.text(),
           shape[0]);
    }
  }
}

void check(Op op, const Tensor& qkv, const Tensor& weight, const Tensor& bias) {
  const Shape& shape = qkv.shape();
  if (shape.rank() != 4 || shape.back() % 3 != 0) {
    fail("{}: qkv is {}; it must be [B, N, J, 3D]", name(op), shape.text());
  }
  const Index width = shape.back() / 3;
  if (weight.shape() != Shape{width, 3, 3} || bias.shape() != Shape{width}) {
    fail(
        "{}: qkv is {}, so weight and bias must be [{}, 3, 3] and [{}]; they are "
        "{} and {}",
        name(op), shape.text(), width, width, weight.shape().text(), bias.shape().text());
  }
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& qkv = node.saved[0];
  dispatch(qkv, [&]<class T>(auto where) {
    launch(where, backward_arguments(node, backward, kWeight, qkv, node.saved[1], node.saved[2],
                                     node.attributes.as<double>(), backward.gradient<T>(kQkv)));
  });
}

double flops(const Node& node) {
  return local_term_flops(node.outputs[0].shape.size());
}

}  // namespace

void check_local_term(Op op, const Tensor& qkv, const LocalTerm& local) {
  check_operands(
      op,
      {{"qkv", qkv}, {"weight", local.weight}, {"bias", local.bias}, {"table", local.table, true}});
  check_index(op, {"part", local.part, true}, {"qkv", qkv});
  check(op, qkv, local.weight, local.bias);
  check_parts(op, local.table, local.part, qkv.shape()[2]);
}

Tensor structure_embedding(const Tensor& qkv, const Tensor& weight, const Tensor& bias,
                           const Tensor& table, const Tensor& part, double scale) {
  const LocalTerm local{weight, bias, table, part, scale};
  check_local_term(Op::structure_embedding, qkv, local);
  const Shape shape = qkv.shape().with(-1, qkv.shape().back() / 3);
  const Tensor out = Tensor::empty(shape, qkv.dtype(), qkv.device());
  dispatch(qkv, [&]<class T>(auto where) {
    launch(where, forward_arguments(qkv, local, out.data<T>()));
  });
  record(Op::structure_embedding, {qkv, weight, bias, table, part}, {out}, {qkv, weight, part},
         scale);
  return out;
}

const Rule structure_embedding_rule{backward_rule, flops};

}  // namespace posetape
