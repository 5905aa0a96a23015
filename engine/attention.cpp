#include "engine/attention.hpp"

#include <algorithm>
#include <cmath>

#include "engine/ops/concat.hpp"
#include "engine/ops/elementwise.hpp"
#include "engine/ops/matmul.hpp"
#include "engine/ops/scale.hpp"
#include "engine/ops/slice.hpp"
#include "engine/ops/softmax.hpp"
#include "engine/taps.hpp"

namespace posetape {

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask) {
  if (!q.defined() || !k.defined() || !v.defined()) fail("attention: q, k or v is undefined");
  const Tensor scores = scale(matmul(q, k, {.transpose_b = true}),
                              1 / std::sqrt(static_cast<double>(q.shape().back())));
  return matmul(softmax(mask.defined() ? add(scores, mask) : scores), v);
}

Tensor causal_mask(Index length, DType dtype, Device device) {
  std::vector<double> mask(static_cast<std::size_t>(length * length), 0.0);
  for (Index t = 0; t < length; ++t) {
    for (Index s = t + 1; s < length; ++s) mask[static_cast<std::size_t>(t * length + s)] = -1e30;
  }
  return Tensor::of({length, length}, mask, dtype, device);
}

AttentionProbabilities::AttentionProbabilities(const Tensor& qkv, Axis layout, Index heads,
                                               double scale, Axis axis)
    : qkv_(qkv), axis_(axis) {
  const Shape& in = qkv.shape();
  const Index segments = layout == Axis::cross ? 2 : 1;
  if (in.rank() != 4 || heads < 1 || in[3] % (3 * segments * heads) != 0) {
    fail("attention probabilities: qkv is {}, heads {}; expected [B, N, J, 3D], D a multiple of {}",
         in.text(), heads, segments * heads);
  }
  if (axis == Axis::cross || (layout != Axis::cross && layout != axis)) {
    fail("attention probabilities: ask for the axis that the attention runs along");
  }
  shape_ = {in[0], in[1], in[2], in[3] / 3, heads, layout, scale};
  if (scale == 0) shape_.scale = 1 / std::sqrt(static_cast<double>(shape_.head_width()));
}

Shape AttentionProbabilities::shape() const {
  return {shape_.batch, lines(), shape_.heads, length(), length()};
}

Shape AttentionProbabilities::mean_shape() const {
  return {shape_.heads, length(), length()};
}

// f(batch, line, head, query, probabilities of its row)
template <class F>
void AttentionProbabilities::for_each_row(F&& f) const {
  const std::vector<double> qkv = qkv_.to_doubles();
  const AttentionShape& s = shape_;
  const Index width = s.head_width();
  // Time is the second half of the channels where there are both.
  const Index first = s.axis == Axis::cross && axis_ == Axis::time ? s.width / 2 : 0;
  const auto head_of = [&](Index b, Index line, Index place, Index head) {
    const Index frame = axis_ == Axis::space ? line : place;
    const Index joint = axis_ == Axis::space ? place : line;
    const Index token = (b * s.frames + frame) * s.joints + joint;
    return qkv.data() + token * 3 * s.width + first + head * width;
  };
  std::vector<double> row(static_cast<std::size_t>(length()));
  for (Index b = 0; b < s.batch; ++b) {
    for (Index line = 0; line < lines(); ++line) {
      for (Index head = 0; head < s.heads; ++head) {
        for (Index i = 0; i < length(); ++i) {
          const double* q = head_of(b, line, i, head);
          for (Index j = 0; j < length(); ++j) {
            const double* k = head_of(b, line, j, head) + s.width;
            double score = 0;
            for (Index c = 0; c < width; ++c) score += q[c] * k[c];
            row[static_cast<std::size_t>(j)] = s.scale * score;
          }
          const double top = *std::max_element(row.begin(), row.end());
          double sum = 0;
          for (double& p : row) sum += p = std::exp(p - top);
          for (double& p : row) p /= sum;
          f(b, line, head, i, row);
        }
      }
    }
  }
}

std::vector<double> AttentionProbabilities::values() const {
  std::vector<double> all;
  all.reserve(static_cast<std::size_t>(shape().size()));
  for_each_row([&](Index, Index, Index, Index, const std::vector<double>& row) {
    all.insert(all.end(), row.begin(), row.end());
  });
  return all;
}

std::vector<double> AttentionProbabilities::mean() const {
  std::vector<double> mean(static_cast<std::size_t>(mean_shape().size()), 0.0);
  const double weight = 1 / static_cast<double>(shape_.batch * lines());
  for_each_row([&](Index, Index, Index head, Index i, const std::vector<double>& row) {
    double* to = mean.data() + (head * length() + i) * length();
    for (const double p : row) *to++ += weight * p;
  });
  return mean;
}

void tap_attention(const Tensor& qkv, Axis layout, Index heads, double scale) {
  const Taps* taps = Taps::current();
  if (taps == nullptr) return;
  for (const Axis axis : {Axis::space, Axis::time}) {
    if (layout != Axis::cross && layout != axis) continue;
    const AttentionProbabilities p(qkv, layout, heads, scale, axis);
    const bool whole = taps->options().whole_attention;
    show(axis == Axis::space ? "space.attention" : "time.attention",
         whole ? p.shape() : p.mean_shape(), [&] { return whole ? p.values() : p.mean(); });
  }
}

namespace {

// Elements begin ... begin + width - 1 of every row of x.
std::vector<double> channels(const Tensor& x, Index begin, Index width) {
  const std::vector<double> all = x.to_doubles();
  std::vector<double> some;
  for (Index row = 0; row < x.size(); row += x.shape().back()) {
    const auto from = all.begin() + row + begin;
    some.insert(some.end(), from, from + width);
  }
  return some;
}

}  // namespace

Tensor tap_heads(const Tensor& out, Axis layout, Index heads, const Tensor& add) {
  if (Observer::innermost() == nullptr) return out;
  const Index width = out.shape().back() / (layout == Axis::cross ? 2 : 1) / heads;
  const Shape shape = out.shape().with(out.shape().rank() - 1, width);
  std::vector<Tensor> parts;  // undefined: as it was
  for (Index begin = 0; begin < out.shape().back(); begin += width) {
    const Index part = begin / width;
    const bool space = layout == Axis::space || (layout == Axis::cross && part < heads);
    const auto said = [&] {
      std::vector<double> values = channels(out, begin, width);
      if (!add.defined()) return values;
      const std::vector<double> added = channels(add, begin, width);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] -= added[i];
      return values;
    };
    parts.push_back(tap(fmt::format("{}.attention.head{}", space ? "space" : "time", part % heads),
                        shape, out, said));
  }
  if (std::ranges::none_of(parts, &Tensor::defined)) return out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Index begin = static_cast<Index>(i) * width;
    if (!parts[i].defined()) {
      parts[i] = slice(out, -1, begin, begin + width);
    } else if (add.defined()) {
      parts[i] = posetape::add(parts[i], slice(add, -1, begin, begin + width));
    }
  }
  return concat(parts, -1);
}

}  // namespace posetape
