#include "engine/ops/cast.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"
#include "kernels/cast/cast.hpp"

namespace posetape {
namespace {

void backward_rule(const Node& node, Backward& backward) {
  if (!backward.wants(0)) return;
  const Tensor dy = backward.cotangent().to(node.inputs[0].device);  // the rule of to() as well
  if (node.inputs[0].dtype == dy.dtype()) {
    backward.pass(0, dy);
    return;
  }
  const auto [dx, into] = backward.target(0);
  dispatch_real(dx, [&]<class T>(auto where) {
    dispatch_real(dy, [&]<class S>(auto) {
      launch(where, CastBackward<T, S>{dy.data<S>(), {dx.data<T>(), into}, dx.size()});
    });
  });
}

double flops(const Node&) {
  return 0;
}

}  // namespace

Tensor cast(const Tensor& x, DType dtype) {
  check_given(Op::cast, {"x", x});
  if (x.dtype() == DType::i32 || dtype == DType::i32) {
    fail("cast: {} {} to {}; only floating types are converted", name(x.dtype()), x.shape().text(),
         name(dtype));
  }
  // A number that carries a derivative stays one: rounding is no part of what is differentiated.
  const bool same = x.dtype() == dtype || x.dtype() == DType::dual || x.dtype() == DType::complex;
  const Tensor y = same ? x.alias(x.shape()) : Tensor::empty(x.shape(), dtype, x.device());
  if (!same) {
    const NoRecording off;  // the copy is what is recorded
    copy(x, y);
  }
  record(Op::cast, {x}, {y}, {});
  return y;
}

const Rule cast_rule{backward_rule, flops};

}  // namespace posetape
