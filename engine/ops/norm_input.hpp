// What a layer norm takes: layer_norm() is it alone, and linear() may begin with one.
#pragma once

#include "engine/tape.hpp"
#include "kernels/layer_norm/layer_norm.hpp"

namespace posetape {

// x, residual [..., D]; gamma, beta [D]; shift [G, D] with the rows of x in G equal consecutive
// groups. residual and shift are optional.
struct NormInput {
  Tensor x, gamma, beta;
  double eps = 1e-5;
  Tensor residual, shift;

  bool summed() const { return residual.defined() || shift.defined(); }
  Index width() const { return x.shape().back(); }
  Index rows() const { return x.shape().outer(x.shape().rank() - 1); }
};

// y, the sum s (x itself where nothing is added), and what the backward pass needs of each row.
struct NormOutput {
  explicit NormOutput(const NormInput& in);
  Tensor y, s, mean, rstd;
};

// Throws where these do not belong together, in the name of `op`.
void check_norm_input(Op op, const NormInput& in);

// The kernels' arguments.
template <class T>
LayerNormForward<T> forward_arguments(const NormInput& in, const NormOutput& out) {
  return {in.x.data<T>(),
          in.residual.data<T>(),
          in.shift.data<T>(),
          in.gamma.data<T>(),
          in.beta.data<T>(),
          in.summed() ? out.s.data<T>() : nullptr,
          out.y.data<T>(),
          out.mean.data<LongSum<Accumulator<T>>>(),
          out.rstd.data<Accumulator<T>>(),
          in.rows(),
          in.width(),
          in.shift.defined() ? in.rows() / in.shift.shape()[0] : 1,
          in.eps};
}

// The backward pass of a norm that is a node, or the beginning of one. x is the node's first input;
// gamma, beta, residual and shift follow each other, and so do s, gamma, mean and rstd of what it
// has saved.
class NormBackward {
 public:
  NormBackward(const Node& node, Backward& backward, std::size_t first_input,
               std::size_t first_saved);

  // Whether any gradient is wanted.
  bool wanted() const;
  // What lets the gradient of y through, of which the node's second output has that of s.
  template <class T>
  LayerNormBackward<T> arguments(const Tensor& dy) {
    const Tensor& s = saved(0);
    if (shared()) ds_ = Tensor::empty(s.shape(), s.dtype(), s.device());
    return {s.data<T>(),
            saved(1).data<T>(),
            saved(2).data<LongSum<Accumulator<T>>>(),
            saved(3).data<Accumulator<T>>(),
            dy.data<T>(),
            summed() ? backward_.cotangent(1).data<T>() : nullptr,
            summed() ? GradientOut<T>{ds_.data<T>(), Into::write} : backward_.gradient<T>(0),
            backward_.gradient<T>(input(0)),
            backward_.gradient<T>(input(1)),
            backward_.gradient<T>(input(3)),
            s.shape().outer(s.shape().rank() - 1),
            s.shape().back(),
            of(3).given ? of(3).shape[0] : 1};
  }
  // After the kernels.
  void pass();

 private:
  const Tensor& saved(std::size_t i) const { return node_.saved[first_saved_ + i]; }
  int input(std::size_t i) const { return static_cast<int>(first_input_ + i); }
  const Value& of(std::size_t i) const { return node_.inputs[first_input_ + i]; }
  bool summed() const { return of(2).given || of(3).given; }
  bool shared() const;

  const Node& node_;
  Backward& backward_;
  std::size_t first_input_, first_saved_;
  Tensor ds_;
};

inline double norm_flops(Index elements) {
  return 8.0 * static_cast<double>(elements);
}

}  // namespace posetape
