#include "tests/cases/composites.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

Tensor zeros_like(const Tensor& x, const Shape& shape) {
  return Tensor::zeros(shape, x.dtype());
}

Tensor square(const Tensor& x) {
  return mul(x, x);
}

// exp(s) / sum of exp(s) over the last dimension
Tensor normalised_exp(const Tensor& s) {
  const Tensor e = exp(s);
  return div(e, sum(e, {{-1}, true}));
}

// 1 where an index is v: [outer, count, extent, inner]
Tensor one_hot(const Tensor& index, int axis, Index extent, DType dtype) {
  const Shape& s = index.shape();
  const int counted = axis < 0 ? axis + s.rank() : axis;
  const Shape shape{s.outer(counted), s[counted], extent, s.inner(counted)};
  std::vector<double> ones(static_cast<std::size_t>(shape.size()), 0.0);
  const std::vector<double> given = index.to_doubles();
  for (std::size_t n = 0; n < given.size(); ++n) {
    const auto inner = static_cast<std::size_t>(shape[3]);
    const auto v = static_cast<std::size_t>(given[n]);
    ones[(n / inner * static_cast<std::size_t>(extent) + v) * inner + n % inner] = 1;
  }
  return Tensor::of(shape, ones, dtype);
}

// softmax(scale q k^T) v along one axis of the grid; q, k, v [B, N, J, width].
Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, bool space, Index heads,
              double factor) {
  const Shape& s = q.shape();
  const Shape split({s[0], s[1], s[2], heads, s[3] / heads});
  // [B, N, heads, J, .] or [B, J, heads, N, .]
  const auto sequences = [&](const Tensor& x) {
    const Tensor h = reshape(x, split);
    return space ? transpose(h, {0, 1, 3, 2, 4}) : transpose(h, {0, 2, 3, 1, 4});
  };
  const Tensor scores = matmul(sequences(q), sequences(k), {false, true});
  const Tensor out = matmul(normalised_exp(scale(scores, factor)), sequences(v));
  return reshape(space ? transpose(out, {0, 1, 3, 2, 4}) : transpose(out, {0, 3, 1, 2, 4}), s);
}

}  // namespace

// max(x, 0) + max(-x, 0)
Tensor abs_composite(const Tensor& x) {
  return add(relu(x), relu(scale(x, -1)));
}

// The same on all channels, or with the first half in space beside the second in time, plus what
// is added
Tensor axial_attention_composite(const Tensor& qkv, Axis axis, Index heads, double factor,
                                 const Tensor& added) {
  const Index width = qkv.shape().back() / 3;
  const Index segments = axis == Axis::cross ? 2 : 1;
  const Index part = width / segments;
  if (factor == 0) factor = 1 / std::sqrt(static_cast<double>(part / heads));
  std::vector<Tensor> outs;
  for (Index segment = 0; segment < segments; ++segment) {
    const auto third = [&](Index i) {
      const Index begin = i * width + segment * part;
      return slice(qkv, 3, begin, begin + part);
    };
    const bool space = axis == Axis::space || (axis == Axis::cross && segment == 0);
    outs.push_back(attend(third(0), third(1), third(2), space, heads, factor));
  }
  const Tensor out = concat(outs, 3);
  return added.defined() ? add(out, added) : out;
}

// p x + q y, p and q repeated over each sample
Tensor blend_composite(const Tensor& p, const Tensor& x, const Tensor& q, const Tensor& y) {
  Shape column = x.shape();
  for (int i = 1; i < column.rank(); ++i) column = column.with(i, 1);
  return add(mul(reshape(p, column), x), mul(reshape(q, column), y));
}

// -1 / rows sum of [c is class] log(softmax(x)), over the rows whose class is not negative
Tensor cross_entropy_composite(const Tensor& logits, const Tensor& classes) {
  const Index width = logits.shape().back();
  std::vector<double> chosen(static_cast<std::size_t>(logits.size()), 0.0);
  const std::vector<double> given = classes.to_doubles();
  double counted = 0;
  for (std::size_t r = 0; r < given.size(); ++r) {
    if (given[r] < 0) continue;  // ignored
    ++counted;
    chosen[r * static_cast<std::size_t>(width) + static_cast<std::size_t>(given[r])] = 1;
  }
  const Tensor one_hot = Tensor::of(logits.shape(), chosen, logits.dtype());
  return scale(sum(mul(one_hot, log(softmax_composite(logits)))), -1 / counted);
}

// A triangle of ones times x.
Tensor cumsum_composite(const Tensor& x, int axis) {
  const Shape& shape = x.shape();
  const Index count = shape[axis];
  std::vector<double> ones(static_cast<std::size_t>(count * count), 0.0);
  for (Index k = 0; k < count; ++k) {
    for (Index j = 0; j <= k; ++j) ones[static_cast<std::size_t>(k * count + j)] = 1;
  }
  const int counted = axis < 0 ? axis + shape.rank() : axis;
  const Tensor rows = reshape(x, {shape.outer(counted), count, shape.inner(counted)});
  const Tensor triangle = Tensor::of({count, count}, ones, x.dtype());
  return reshape(matmul(triangle, rows), shape);
}

// a exp(-log b)
Tensor div_composite(const Tensor& a, const Tensor& b) {
  return mul(a, exp(scale(log(b), -1)));
}

// x times a mask that is drawn here, number by number
Tensor dropout_composite(const Tensor& x, double rate, std::uint64_t seed, Stream stream,
                         std::uint64_t step) {
  Random random(seed, stream, step);
  std::vector<double> mask(static_cast<std::size_t>(x.size()));
  for (double& m : mask) m = random.uniform() < rate ? 0 : 1 / (1 - rate);
  return mul(x, Tensor::of(x.shape(), mask, x.dtype()));
}

// mean of sqrt(sum of (x - y)^2)
Tensor joint_distance_loss_composite(const Tensor& prediction, const Tensor& target) {
  return mean(sqrt(sum(square(sub(prediction, target)), {{-1}})));
}

// s = x + residual + shift, gamma (s - mean s) / sqrt(mean (s - mean s)^2 + eps) + beta
Normalized layer_norm_composite(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                double eps, const Tensor& residual, const Tensor& shift) {
  Tensor s = residual.defined() ? add(x, residual) : x;
  if (shift.defined()) {
    const Index groups = shift.shape()[0];
    const Index width = x.shape().back();
    const Index rows = x.shape().outer(x.shape().rank() - 1);
    const Tensor grouped = reshape(s, {groups, rows / groups, width});
    s = reshape(add(grouped, reshape(shift, {groups, 1, width})), x.shape());
  }
  const Tensor d = sub(s, mean(s, {{-1}, true}));
  const Tensor deviation = sqrt(scale(mean(square(d), {{-1}, true}), 1, eps));
  return {add(mul(gamma, div(d, deviation)), beta), s};
}

// f(x W^T + b). The slope of gelu is no function of small ops: there the op of that name stands in.
Tensor linear_composite(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        Activation activation) {
  const Index rows = x.shape().outer(x.shape().rank() - 1);
  const Tensor flat = reshape(x, {rows, x.shape().back()});
  Tensor z =
      reshape(matmul(flat, transpose(weight, {1, 0})), x.shape().with(-1, weight.shape()[0]));
  if (bias.defined()) z = add(z, bias);
  switch (activation) {
    case Activation::gelu:
      return gelu(z);
    case Activation::silu:
      return silu_composite(z);
    case Activation::none:
      break;
  }
  return z;
}

Tensor log_softmax_composite(const Tensor& x) {
  return log(softmax_composite(x));
}

// The sum of x times a mask, which is 1 at the first of the largest.
Tensor max_composite(const Tensor& x, const SumOptions& options) {
  const Shape& shape = x.shape();
  std::vector<bool> reduced(static_cast<std::size_t>(shape.rank()), options.axes.empty());
  for (const int axis : options.axes) {
    reduced[static_cast<std::size_t>(axis < 0 ? axis + shape.rank() : axis)] = true;
  }
  const std::vector<double> values = x.to_doubles();
  std::map<std::vector<Index>, std::size_t> best;  // by the place in the result
  each_index(shape, [&](const std::vector<Index>& at, std::size_t n) {
    std::vector<Index> kept;
    for (std::size_t i = 0; i < at.size(); ++i) kept.push_back(reduced[i] ? 0 : at[i]);
    std::size_t& place = best.try_emplace(kept, n).first->second;
    if (values[n] > values[place]) place = n;
  });
  std::vector<double> mask(values.size(), 0.0);
  for (const auto& [kept, place] : best) mask[place] = 1;
  return sum(mul(x, Tensor::of(shape, mask, x.dtype())), options);
}

// b + max(a - b, 0)
Tensor maximum_composite(const Tensor& a, const Tensor& b) {
  return add(b, relu(sub(a, b)));
}

// a - max(a - b, 0)
Tensor minimum_composite(const Tensor& a, const Tensor& b) {
  return sub(a, relu(sub(a, b)));
}

// mean of (x - y)^2
Tensor mse_loss_composite(const Tensor& prediction, const Tensor& target) {
  return mean(square(sub(prediction, target)));
}

// e^(p log x)
Tensor pow_composite(const Tensor& x, double exponent) {
  return exp(scale(log(x), exponent));
}

// factor x + offset, with the factors as tensors
Tensor scale_composite(const Tensor& x, double factor, double offset) {
  return add(mul(x, Tensor::full({}, factor, x.dtype())), Tensor::full({}, offset, x.dtype()));
}

// The sum over k of [index is v] x_k
Tensor scatter_add_composite(const Tensor& x, const Tensor& index, int axis, Index extent) {
  const Tensor chosen = one_hot(index, axis, extent, x.dtype());  // [outer, count, extent, inner]
  const Shape& s = chosen.shape();
  const Tensor y = sum(mul(reshape(x, s.with(2, 1)), chosen), {{1}});
  return reshape(y, x.shape().with(axis, extent));
}

// 1 / (1 + e^-x)
Tensor sigmoid_composite(const Tensor& x) {
  return div(Tensor::full({}, 1, x.dtype()), scale(exp(scale(x, -1)), 1, 1));
}

// x / (1 + e^-x)
Tensor silu_composite(const Tensor& x) {
  return div(x, scale(exp(scale(x, -1)), 1, 1));
}

// e^(x - m) / sum of e^(x - m), the same for any m; the mean keeps the exponents small
Tensor softmax_composite(const Tensor& x) {
  return normalised_exp(sub(x, mean(x, {{-1}, true})));
}

// e^(log(x) / 2)
Tensor sqrt_composite(const Tensor& x) {
  return exp(scale(log(x), 0.5));
}

// The composites of the two ops that it is
Tensor stc_attention_composite(const Tensor& qkv, Axis axis, Index heads, double scale,
                               const LocalTerm& local) {
  return axial_attention_composite(
      qkv, axis, heads, scale,
      structure_embedding_composite(qkv, local.weight, local.bias, local.table, local.part,
                                    local.scale));
}

// bias + sum over t, s of weight[., t, s] v[n + t - 1, j + s - 1] + scale table[part], v padded
// with a frame and a joint of zeros on each side
Tensor structure_embedding_composite(const Tensor& qkv, const Tensor& weight, const Tensor& bias,
                                     const Tensor& table, const Tensor& part, double factor) {
  const Index width = qkv.shape().back() / 3;
  const Shape shape = qkv.shape().with(3, width);
  const Tensor v = slice(qkv, 3, 2 * width, 3 * width);
  const Tensor frame = zeros_like(qkv, shape.with(1, 1));
  const Tensor tall = concat({frame, v, frame}, 1);
  const Tensor joint = zeros_like(qkv, tall.shape().with(2, 1));
  const Tensor padded = concat({joint, tall, joint}, 2);
  Tensor out = broadcast_to(bias, shape);
  for (Index t = 0; t < 3; ++t) {
    for (Index s = 0; s < 3; ++s) {
      const Tensor w = reshape(slice(slice(weight, 1, t, t + 1), 2, s, s + 1), {width});
      const Tensor moved = slice(slice(padded, 1, t, t + shape[1]), 2, s, s + shape[2]);
      out = add(out, mul(w, moved));
    }
  }
  if (!table.defined()) return out;
  const Index half = width / 2;
  const Tensor rows = gather(table, part);
  std::vector<Tensor> columns;
  for (Index c = 0; c < half; c += table.shape()[1]) {
    columns.push_back(slice(rows, 1, 0, std::min(table.shape()[1], half - c)));
  }
  columns.push_back(zeros_like(qkv, {shape[2], width - half}));
  return add(out, scale(concat(columns, 1), factor));
}

// The sum over v of [index is v] x_v
Tensor take_along_axis_composite(const Tensor& x, const Tensor& index, int axis) {
  const Tensor chosen = one_hot(index, axis, x.shape()[axis], x.dtype());
  const Shape& s = chosen.shape();
  return reshape(sum(mul(reshape(x, s.with(1, 1)), chosen), {{2}}), index.shape());
}

// (e^2x - 1) / (e^2x + 1)
Tensor tanh_composite(const Tensor& x) {
  const Tensor e = exp(scale(x, 2));
  return div(scale(e, 1, -1), scale(e, 1, 1));
}

// A shifted copy for each pixel of a patch: every stride-th row and column of x between zeros.
Tensor unfold_composite(const Tensor& x, std::array<Index, 2> size, const UnfoldOptions& o) {
  Tensor padded = x;
  for (int axis = 1; axis <= 2; ++axis) {
    const auto i = static_cast<std::size_t>(axis - 1);
    const auto zeros = [&](Index count) { return zeros_like(x, padded.shape().with(axis, count)); };
    // So many that each patch may take a whole stride of every shifted copy.
    padded = concat({zeros(o.before[i]), padded, zeros(o.after[i] + o.stride[i])}, axis);
  }
  const auto every = [&](const Tensor& t, int axis, Index tap) {
    const auto i = static_cast<std::size_t>(axis - 1);
    const Index reach = (size[i] - 1) * o.dilation[i] + 1;
    const Index length = padded.shape()[axis] - o.stride[i];
    const Index count = (length - reach) / o.stride[i] + 1;
    const Index begin = tap * o.dilation[i];
    const Tensor part = slice(t, axis, begin, begin + count * o.stride[i]);
    const Shape& s = part.shape();
    const Tensor runs = reshape(part, {s.outer(axis), count, o.stride[i], s.inner(axis)});
    return reshape(slice(runs, 2, 0, 1), s.with(axis, count));
  };
  std::vector<Tensor> pixels;
  for (Index u = 0; u < size[0]; ++u) {
    for (Index v = 0; v < size[1]; ++v) pixels.push_back(every(every(padded, 1, u), 2, v));
  }
  const Tensor all = concat(pixels, 3);
  const Shape& s = all.shape();
  return reshape(all, {s[0], s[1], s[2], size[0], size[1], x.shape()[3]});
}

// m x + (1 - m) y, with m 1 where the condition is above 0
Tensor where_composite(const Tensor& condition, const Tensor& x, const Tensor& y) {
  std::vector<double> mask = condition.to_doubles();
  for (double& m : mask) m = m > 0 ? 1 : 0;
  const Tensor first = Tensor::of(condition.shape(), mask, x.dtype());
  return add(mul(first, x), mul(scale(first, -1, 1), y));
}

}  // namespace posetape
