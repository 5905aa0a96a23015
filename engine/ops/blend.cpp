#include "engine/ops/blend.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"
#include "kernels/blend/blend.hpp"

namespace posetape {
namespace {

enum Input { kP, kX, kQ, kY };

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& dout = backward.cotangent();
  const Shape& shape = dout.shape();
  dispatch(dout, [&]<class T>(auto where) {
    launch(where, BlendBackward<T>{node.saved[kP].data<T>(), node.saved[kX].data<T>(),
                                   node.saved[kQ].data<T>(), node.saved[kY].data<T>(),
                                   dout.data<T>(), backward.gradient<T>(kP),
                                   backward.gradient<T>(kX), backward.gradient<T>(kQ),
                                   backward.gradient<T>(kY), shape[0], shape.inner(0)});
  });
}

double flops(const Node& node) {
  return 3.0 * static_cast<double>(node.outputs[0].shape.size());
}

}  // namespace

Tensor blend(const Tensor& p, const Tensor& x, const Tensor& q, const Tensor& y) {
  check_operands(Op::blend, {{"p", p}, {"x", x}, {"q", q}, {"y", y}});
  const Shape& shape = x.shape();
  if (shape.rank() < 1 || y.shape() != shape) {
    fail("blend: x is {}, y {}; they must be equal, of rank 1 or more", shape.text(),
         y.shape().text());
  }
  const Shape batch{shape[0]};
  if (p.shape() != batch || q.shape() != batch) {
    fail("blend: x is {}, so p and q must be {}; they are {} and {}", shape.text(), batch.text(),
         p.shape().text(), q.shape().text());
  }
  const Tensor out = Tensor::empty(shape, x.dtype(), x.device());
  dispatch(x, [&]<class T>(auto where) {
    launch(where, BlendForward<T>{p.data<T>(), x.data<T>(), q.data<T>(), y.data<T>(), out.data<T>(),
                                  shape[0], shape.inner(0)});
  });
  // x and y are only needed for the gradients of their factors, which are constants in a diffusion.
  record(Op::blend, {p, x, q, y}, {out},
         {p, recording({p}) ? x : Tensor(), q, recording({q}) ? y : Tensor()});
  return out;
}

const Rule blend_rule{backward_rule, flops};

}  // namespace posetape
