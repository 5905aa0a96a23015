#include "engine/ops/joint_distance_loss.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"
#include "kernels/joint_distance_loss/joint_distance_loss.hpp"

namespace posetape {
namespace {

enum Input { kPrediction, kTarget };

Index rows_of(const Shape& shape) {
  return shape.outer(shape.rank() - 1);
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& x = node.saved[kPrediction];
  const Tensor& y = node.saved[kTarget];
  const Tensor& dloss = backward.cotangent();
  dispatch(x, [&]<class T>(auto where) {
    launch(where, JointDistanceLossBackward<T>{
                      x.data<T>(), y.data<T>(), dloss.data<Accumulator<T>>(),
                      backward.gradient<T>(kPrediction), backward.gradient<T>(kTarget),
                      rows_of(x.shape()), x.shape().back()});
  });
}

double flops(const Node& node) {
  return 3.0 * static_cast<double>(node.inputs[kPrediction].shape.size());
}

}  // namespace

Tensor joint_distance_loss(const Tensor& prediction, const Tensor& target) {
  check_operands(Op::joint_distance_loss, {{"prediction", prediction}, {"target", target}});
  const Shape& shape = prediction.shape();
  if (shape.rank() < 1 || target.shape() != shape) {
    fail("joint_distance_loss: prediction is {}, target {}; they must be equal, [..., 3]",
         shape.text(), target.shape().text());
  }
  const DType dtype = accumulator_of(prediction.dtype());
  const Tensor loss = Tensor::empty({}, dtype, prediction.device());
  dispatch(prediction, [&]<class T>(auto where) {
    launch(where,
           JointDistanceLossForward<T>{prediction.data<T>(), target.data<T>(),
                                       loss.data<Accumulator<T>>(), rows_of(shape), shape.back()});
  });
  record(Op::joint_distance_loss, {prediction, target}, {loss}, {prediction, target});
  return loss;
}

const Rule joint_distance_loss_rule{backward_rule, flops};

}  // namespace posetape
