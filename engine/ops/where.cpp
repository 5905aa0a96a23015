#include "engine/ops/where.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/broadcast_to.hpp"
#include "engine/ops/elementwise.hpp"
#include "engine/tape.hpp"
#include "kernels/where/where.hpp"

namespace posetape {
namespace {

enum Input { kCondition, kFirst, kSecond };

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& condition = node.saved[0];
  const Tensor& dz = backward.cotangent();
  if (!backward.wants(kFirst) && !backward.wants(kSecond)) return;
  dispatch(dz, [&]<class T>(auto where) {
    launch(where, WhereBackward<T>{condition.data<T>(), dz.data<T>(), backward.gradient<T>(kFirst),
                                   backward.gradient<T>(kSecond), dz.size()});
  });
}

double flops(const Node& node) {
  return static_cast<double>(node.outputs[0].shape.size());
}

}  // namespace

Tensor where(const Tensor& condition, const Tensor& x, const Tensor& y) {
  check_operands(Op::where, {{"condition", condition}, {"x", x}, {"y", y}});
  const Shape two = broadcast("where", x.shape(), y.shape());
  const Shape shape = broadcast("where", condition.shape(), two);
  const auto whole = [&](const Tensor& t) {
    return t.shape() == shape ? t : broadcast_to(t, shape);
  };
  const Tensor c = whole(condition);
  const Tensor first = whole(x);
  const Tensor second = whole(y);
  const Tensor z = Tensor::empty(shape, x.dtype(), x.device());
  dispatch(z, [&]<class T>(auto where) {
    launch(where,
           WhereForward<T>{c.data<T>(), first.data<T>(), second.data<T>(), z.data<T>(), z.size()});
  });
  record(Op::where, {c, first, second}, {z}, {c});
  return z;
}

Tensor greater(const Tensor& a, const Tensor& b) {
  const NoRecording off;
  const Tensor above = sub(a, b);
  const auto constant = [&](double value) {
    return Tensor::full({}, value, above.dtype(), above.device());
  };
  return where(above, constant(1), constant(0));
}

const Rule where_rule{backward_rule, flops};

}  // namespace posetape
