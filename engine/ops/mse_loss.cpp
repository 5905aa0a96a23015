#include "engine/ops/mse_loss.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"
#include "kernels/mse_loss/mse_loss.hpp"

namespace posetape {
namespace {

enum Input { kPrediction, kTarget };

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& x = node.saved[kPrediction];
  const Tensor& y = node.saved[kTarget];
  const Tensor& dloss = backward.cotangent();
  dispatch(x, [&]<class T>(auto where) {
    launch(where, MseLossBackward<T>{x.data<T>(), y.data<T>(), dloss.data<Accumulator<T>>(),
                                     backward.gradient<T>(kPrediction),
                                     backward.gradient<T>(kTarget), x.size()});
  });
}

double flops(const Node& node) {
  return 3.0 * static_cast<double>(node.inputs[kPrediction].shape.size());
}

}  // namespace

Tensor mse_loss(const Tensor& prediction, const Tensor& target) {
  check_operands(Op::mse_loss, {{"prediction", prediction}, {"target", target}});
  if (target.shape() != prediction.shape()) {
    fail("mse_loss: prediction is {}, target {}; they must be equal", prediction.shape().text(),
         target.shape().text());
  }
  const DType dtype = accumulator_of(prediction.dtype());
  const Tensor loss = Tensor::empty({}, dtype, prediction.device());
  dispatch(prediction, [&]<class T>(auto where) {
    launch(where, MseLossForward<T>{prediction.data<T>(), target.data<T>(),
                                    loss.data<Accumulator<T>>(), prediction.size()});
  });
  record(Op::mse_loss, {prediction, target}, {loss}, {prediction, target});
  return loss;
}

const Rule mse_loss_rule{backward_rule, flops};

}  // namespace posetape
