#include "engine/ops/matmul.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/tape.hpp"

namespace posetape {
namespace {

enum Input { kA, kB };

MatmulSizes sizes_of(const Shape& a, const Shape& b, MatmulFlags flags) {
  if (a.rank() < 2 || b.rank() < 2) {
    fail("matmul: shapes are {} and {}; both must be matrices or batches of them", a.text(),
         b.text());
  }
  const bool shared = b.rank() == 2;
  const int leading = a.rank() - 2;
  bool same = shared || b.rank() == a.rank();
  for (int i = 0; i < leading && same && !shared; ++i) same = a[i] == b[i];
  const Index k = flags.transpose_a ? a[-2] : a[-1];
  const Index k_of_b = flags.transpose_b ? b[-1] : b[-2];
  if (!same || k != k_of_b) {
    fail(
        "matmul: {}{} times {}{}; expected [..., m, k] times [..., k, n] with equal leading "
        "dimensions, or times [k, n]",
        a.text(), flags.transpose_a ? " transposed" : "", b.text(),
        flags.transpose_b ? " transposed" : "");
  }
  MatmulSizes s{a.outer(leading), flags.transpose_a ? a[-1] : a[-2],
                flags.transpose_b ? b[-2] : b[-1], k, shared};
  if (shared && flags.transpose_a && leading > 0) {
    fail("matmul: a {} is transposed and b {} shared by the batch; transpose a first", a.text(),
         b.text());
  }
  return s;
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
