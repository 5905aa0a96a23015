#include "engine/ops/matmul.hpp"

#include <algorithm>
#include <vector>

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/broadcast_to.hpp"
#include "engine/tape.hpp"

namespace posetape {
namespace {

enum Input { kA, kB };

// Of leading dimensions that are equal, or all a's where b is a matrix for all of them.
MatmulSizes sizes_of(const Shape& a, const Shape& b, MatmulFlags flags) {
  return {a.outer(a.rank() - 2), flags.transpose_a ? a[-1] : a[-2],
          flags.transpose_b ? b[-2] : b[-1], flags.transpose_a ? a[-2] : a[-1], b.rank() == 2};
}

Shape leading(const Shape& shape) {
  return Shape(shape.dims().first(static_cast<std::size_t>(shape.rank() - 2)));
}

Shape joined(const Shape& leading, const Shape& matrix) {
  std::vector<Index> dims(leading.dims().begin(), leading.dims().end());
  dims.insert(dims.end(), {matrix[-2], matrix[-1]});
  return Shape(dims);
}

// The leading dimensions of the result.
Shape check(const Shape& a, const Shape& b, MatmulFlags flags) {
  if (a.rank() < 2 || b.rank() < 2) {
    fail("matmul: shapes are {} and {}; both must be matrices or batches of them", a.text(),
         b.text());
  }
  const auto fit = [](Index x, Index y) { return x == y || x == 1 || y == 1; };
  bool fits = a[flags.transpose_a ? -2 : -1] == b[flags.transpose_b ? -1 : -2];
  for (int i = 3; i <= std::min(a.rank(), b.rank()); ++i) fits = fits && fit(a[-i], b[-i]);
  if (!fits) {
    fail(
        "matmul: {}{} times {}{}; expected [..., m, k] times [..., k, n] with leading dimensions "
        "that are equal, 1 or left out",
        a.text(), flags.transpose_a ? " transposed" : "", b.text(),
        flags.transpose_b ? " transposed" : "");
  }
  return broadcast("matmul", leading(a), leading(b));
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& a = node.saved[kA];
  const Tensor& b = node.saved[kB];
  const Tensor& dc = backward.cotangent();
  const auto flags = node.attributes.as<MatmulFlags>();
  dispatch(dc, [&]<class T>(auto where) {
    launch(where, MatmulBackward<T>{a.data<T>(), b.data<T>(), dc.data<T>(),
                                    backward.gradient<T>(kA), backward.gradient<T>(kB),
                                    sizes_of(a.shape(), b.shape(), flags), flags});
  });
}

double flops(const Node& node) {
  const auto flags = node.attributes.as<MatmulFlags>();
  const MatmulSizes s = sizes_of(node.inputs[kA].shape, node.inputs[kB].shape, flags);
  return 2.0 * static_cast<double>(s.batch) * static_cast<double>(s.m * s.n * s.k);
}

std::string mode(const Node& node) {
  const auto flags = node.attributes.as<MatmulFlags>();
  return fmt::format("{}{}", flags.transpose_a ? "t" : "n", flags.transpose_b ? "t" : "n");
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, MatmulFlags flags) {
  check_operands(Op::matmul, {{"a", a}, {"b", b}});
  const Shape batch = check(a.shape(), b.shape(), flags);
  const bool of_a = leading(a.shape()) == batch;
  const bool shared = b.shape().rank() == 2 && (!flags.transpose_a || batch.rank() == 0);
  const bool of_b = shared || leading(b.shape()) == batch;
  if (!of_a || !of_b) {
    return matmul(of_a ? a : broadcast_to(a, joined(batch, a.shape())),
                  of_b ? b : broadcast_to(b, joined(batch, b.shape())), flags);
  }
  const MatmulSizes sizes = sizes_of(a.shape(), b.shape(), flags);
  const Tensor c =
      Tensor::empty(a.shape().with(-2, sizes.m).with(-1, sizes.n), a.dtype(), a.device());
  dispatch(a, [&]<class T>(auto where) {
    launch(where, MatmulForward<T>{a.data<T>(), b.data<T>(), c.data<T>(), sizes, flags});
  });
  record(Op::matmul, {a, b}, {c}, {a, b}, flags);
  return c;
}

const Rule matmul_rule{backward_rule, flops, mode, /*products=*/true};

}  // namespace posetape
