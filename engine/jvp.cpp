#include "engine/jvp.hpp"

#include "engine/error.hpp"
#include "engine/tape.hpp"

namespace posetape {
namespace {

// Its square is below the smallest number, so that nothing but the first derivative is left.
constexpr double kStep = 0x1p-600;

double& derivative(Dual& x) {
  return x.slope;
}
double& derivative(Complex& x) {
  return x.step;
}

template <class N>
std::vector<Tensor> run(const TensorFunction& f, std::span<const Tensor> inputs,
                        std::span<const Tensor> tangents, double step) {
  std::vector<Tensor> numbers;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& x = inputs[i];
    const Tensor tangent = i < tangents.size() ? tangents[i] : Tensor();
    if (!x.defined() || x.dtype() == DType::i32) {
      numbers.push_back(x);
      continue;
    }
    if (tangent.defined() && tangent.shape() != x.shape()) {
      fail("jvp: tangent {} is {}, its input {}", i, tangent.shape().text(), x.shape().text());
    }
    const Tensor n = Tensor::empty(x.shape(), dtype_of<N>, x.device());
    for (Index k = 0; k < x.size(); ++k) {
      n.data<N>()[k] =
          N(x.data<double>()[k], tangent.defined() ? step * tangent.data<double>()[k] : 0);
    }
    numbers.push_back(n);
  }
  const NoRecording off;
  std::vector<Tensor> derivatives;
  for (const Tensor& y : f(numbers)) {
    if (!y.defined()) {
      derivatives.emplace_back();
      continue;
    }
    const Tensor d = Tensor::empty(y.shape(), DType::f64, y.device());
    for (Index k = 0; k < y.size(); ++k) d.data<double>()[k] = derivative(y.data<N>()[k]) / step;
    derivatives.push_back(d);
  }
  return derivatives;
}

}  // namespace

std::vector<Tensor> jvp(const TensorFunction& f, std::span<const Tensor> inputs,
                        std::span<const Tensor> tangents) {
  return run<Dual>(f, inputs, tangents, 1);
}

std::vector<Tensor> complex_step(const TensorFunction& f, std::span<const Tensor> inputs,
                                 std::span<const Tensor> tangents) {
  return run<Complex>(f, inputs, tangents, kStep);
}

}  // namespace posetape
