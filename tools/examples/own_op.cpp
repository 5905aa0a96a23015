// An op of one's own, outside of the library: the lengths of a chain of bones, with its backward
// rule and the check of its gradient.
//
//   g++ -std=c++20 own_op.cpp $(pkg-config --cflags --libs posetape) -o own_op
#include <cstdio>

#include "engine/add_op.hpp"
#include "engine/dispatch.hpp"
#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "kernels/base/numbers_math.hpp"

using namespace posetape;

namespace {

// Joint j hangs on joint j - 1. The code is a template, so that the numbers which carry derivatives
// (kernels/base/numbers.hpp) go through it too: they are how its gradient is checked.
template <class T>
void lengths(const T* joints, Index rows, Index count, T* out) {
  for (Index r = 0; r < rows; ++r, joints += 3 * count) {
    for (Index j = 1; j < count; ++j) {
      Accumulator<T> square = 0;
      for (Index c = 0; c < 3; ++c) {
        const auto d = load(joints[3 * j + c]) - load(joints[3 * j - 3 + c]);
        square = square + d * d;
      }
      *out++ = store<T>(sqrt_(square));
    }
  }
}

// d length / d joint is the bone's direction at its end and the reverse at its start, so that a
// joint gets a part from each of its two bones.
template <class T>
void lengths_backward(const T* joints, const T* out, const T* cotangent, Index rows, Index count,
                      GradientOut<T> gradient) {
  for (Index r = 0; r < rows; ++r) {
    for (Index j = 0; j < count; ++j) {
      for (Index c = 0; c < 3; ++c) {
        const Index at = (r * count + j) * 3 + c;
        const Index bone = r * (count - 1) + j;  // the one that starts here; bone - 1 ends here
        Accumulator<T> sum = 0;
        if (j > 0) {
          const auto d = load(joints[at]) - load(joints[at - 3]);
          sum = sum + load(cotangent[bone - 1]) * d / load(out[bone - 1]);
        }
        if (j + 1 < count) {
          const auto d = load(joints[at + 3]) - load(joints[at]);
          sum = sum - load(cotangent[bone]) * d / load(out[bone]);
        }
        gradient.put(at, sum);  // writes or adds, as the engine says
      }
    }
  }
}

struct Sizes {
  Index rows, count;
};

void backward_rule(const Node& node, Backward& backward) {
  if (!backward.wants(0)) return;
  const auto sizes = node.attributes.as<Sizes>();
  dispatch(node.saved[0], [&]<class T>(auto) {
    lengths_backward(node.saved[0].data<T>(), node.saved[1].data<T>(),
                     backward.cotangent().data<T>(), sizes.rows, sizes.count,
                     backward.gradient<T>(0));
  });
}

const Rule kRule{backward_rule,
                 [](const Node& node) { return 9.0 * double(node.outputs[0].shape.size()); }};
const Op kBoneLengths = add_op("bone_lengths", kRule);

// joints [..., J, 3] -> [..., J - 1]
Tensor bone_lengths(const Tensor& joints) {
  const Shape& shape = joints.shape();
  if (shape.rank() < 2 || shape[-1] != 3 || shape[-2] < 2) {
    fail("bone_lengths: joints are {}; expected [..., J, 3] with two joints or more", shape.text());
  }
  const Sizes sizes{shape.size() / (3 * shape[-2]), shape[-2]};
  const Shape lengths_shape(
      shape.with(-2, shape[-2] - 1).dims().first(static_cast<std::size_t>(shape.rank() - 1)));
  const Tensor out = Tensor::empty(lengths_shape, joints.dtype());
  dispatch(joints, [&]<class T>(auto) {
    lengths(joints.data<T>(), sizes.rows, sizes.count, out.data<T>());
  });
  record(kBoneLengths, {joints}, {out}, {joints, out}, sizes);
  return out;
}

}  // namespace

int main() {
  // The same from ops of the library, as a second opinion.
  const TensorFunction of_ops = [](std::span<const Tensor> in) {
    const Index count = in[0].shape()[-2];
    const Tensor d = sub(slice(in[0], -2, 1, count), slice(in[0], -2, 0, count - 1));
    return std::vector{sqrt(sum(mul(d, d), {{-1}}))};
  };
  GradcheckOptions options;
  options.composite = of_ops;
  options.step = 0.01;
  const std::vector inputs{random_normal({4, 7, 3}, 1)};
  const GradcheckReport report = gradcheck(
      [](std::span<const Tensor> in) { return std::vector{bone_lengths(in[0])}; }, inputs, options);
  for (const Finding& finding : report.findings) {
    std::printf("%-21s %-8s %.1e\n", name(finding.oracle), name(finding.verdict), finding.error);
  }
  std::fputs(report.failures().c_str(), stdout);
  return report.passed() ? 0 : 1;
}
