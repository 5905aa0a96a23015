#include "engine/ops/elementwise.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/broadcast.hpp"
#include "engine/tape.hpp"
#include "kernels/elementwise/binary.hpp"
#include "kernels/elementwise/unary.hpp"

namespace posetape {
namespace {

template <class F>
Tensor unary_op(Op op, const Tensor& x) {
  check_operands(op, {{"x", x}});
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where, UnaryForward<T, F>{x.data<T>(), y.data<T>(), x.size()});
  });
  record(op, {x}, {y}, {x, y});
  return y;
}

template <class F>
void unary_rule(const Node& node, Backward& backward) {
  const Tensor& dy = backward.cotangent();
  dispatch(dy, [&]<class T>(auto where) {
    launch(where, UnaryBackward<T, F>{node.saved[0].data<T>(), node.saved[1].data<T>(),
                                      dy.data<T>(), backward.gradient<T>(0), dy.size()});
  });
}

template <class F>
Tensor binary_op(Op op, const Tensor& a, const Tensor& b) {
  check_operands(op, {{"a", a}, {"b", b}});
  const Shape shape = broadcast(name(op), a.shape(), b.shape());
  const Tensor y = Tensor::empty(shape, a.dtype(), a.device());
  dispatch(a, [&]<class T>(auto where) {
    launch(where, BinaryForward<T, F>{a.data<T>(), b.data<T>(), y.data<T>(),
                                      broadcast_steps(shape, a.shape(), b.shape())});
  });
  if constexpr (F::kLinear) {
    record(op, {a, b}, {y}, {});
  } else {
    record(op, {a, b}, {y}, {a, b});
  }
  return y;
}

template <class F>
void binary_rule(const Node& node, Backward& backward) {
  const Tensor& dy = backward.cotangent();
  const Shape& a = node.inputs[0].shape;
  const Shape& b = node.inputs[1].shape;
  const bool passes[] = {F::kPasses[0] && a.size() == dy.size(),
                         F::kPasses[1] && b.size() == dy.size()};
  bool left = false;
  for (int i = 0; i < 2; ++i) {
    if (passes[i]) {
      backward.pass(i, dy);
    } else {
      left = left || backward.wants(i);
    }
  }
  if (!left) return;
  const Tensor saved_a = node.saved.empty() ? Tensor() : Tensor(node.saved[0]);
  const Tensor saved_b = node.saved.empty() ? Tensor() : Tensor(node.saved[1]);
  dispatch(dy, [&]<class T>(auto where) {
    launch(where, BinaryBackward<T, F>{saved_a.data<T>(), saved_b.data<T>(), dy.data<T>(),
                                       passes[0] ? GradientOut<T>{} : backward.gradient<T>(0),
                                       passes[1] ? GradientOut<T>{} : backward.gradient<T>(1),
                                       broadcast_steps(dy.shape(), a, b)});
  });
}

template <class F>
double flops(const Node& node) {
  return F::kFlops * static_cast<double>(node.outputs[0].shape.size());
}

}  // namespace

#define POSETAPE_UNARY(op)                 \
  Tensor op(const Tensor& x) {             \
    return unary_op<unary::op>(Op::op, x); \
  }                                        \
  const Rule op##_rule{unary_rule<unary::op>, flops<unary::op>};
#define POSETAPE_BINARY(op)                     \
  Tensor op(const Tensor& a, const Tensor& b) { \
    return binary_op<binary::op>(Op::op, a, b); \
  }                                             \
  const Rule op##_rule{binary_rule<binary::op>, flops<binary::op>};
#include "kernels/ops.def"

Tensor clamp(const Tensor& x, double low, double high) {
  if (!(low <= high))
    fail("clamp: from {} to {}; the first must not be above the second", low, high);
  check_operands(Op::maximum, {{"x", x}});
  const auto limit = [&](double value) { return Tensor::full({}, value, x.dtype(), x.device()); };
  return minimum(maximum(x, limit(low)), limit(high));
}

}  // namespace posetape
