#include "diffusion/conditional_noise.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <exception>

#include "engine/dispatch.hpp"
#include "engine/ops.hpp"
#include "engine/random_fill.hpp"
#include "kernels/ar1/ar1.hpp"
#include "kernels/base/parallel.hpp"

namespace posetape::diffusion {
namespace {

// Rows of one block: their scatter is one matrix product that stays in cache.
constexpr Index kBlockRows = 256;
// Sequences that are held in memory at a time, each with its own accumulator.
constexpr Index kSequencesAtOnce = 32;

// A small f64 matrix, row-major.
struct Dense {
  Index rows = 0;
  Index columns = 0;
  std::vector<double> values;

  Dense(Index r, Index c) : rows(r), columns(c), values(static_cast<std::size_t>(r * c)) {}
  double* row(Index i) { return values.data() + i * columns; }
  const double* row(Index i) const { return values.data() + i * columns; }
  double& at(Index i, Index j) { return row(i)[j]; }
  double at(Index i, Index j) const { return row(i)[j]; }
};

Dense transposed(const Dense& m) {
  Dense t(m.columns, m.rows);
  for (Index i = 0; i < m.rows; ++i) {
    for (Index j = 0; j < m.columns; ++j) t.at(j, i) = m.at(i, j);
  }
  return t;
}

// A B, its terms added in their order, so that it is the same with any instruction set.
Dense product(const Dense& a, const Dense& b) {
  Dense c(a.rows, b.columns);
  for (Index i = 0; i < c.rows; ++i) {
    double* sums = c.row(i);
    for (Index k = 0; k < a.columns; ++k) {
      const double x = a.at(i, k);
      const double* terms = b.row(k);
#pragma omp simd
      for (Index j = 0; j < c.columns; ++j) sums[j] += x * terms[j];
    }
  }
  return c;
}

Dense block(const Dense& m, Index row, Index column, Index rows, Index columns) {
  Dense part(rows, columns);
  for (Index i = 0; i < rows; ++i) std::copy_n(m.row(row + i) + column, columns, part.row(i));
  return part;
}

void scale_columns(Dense& m, std::span<const double> factors) {
  for (Index i = 0; i < m.rows; ++i) {
    for (Index j = 0; j < m.columns; ++j) m.at(i, j) *= factors[static_cast<std::size_t>(j)];
  }
}

struct Eigensystem {
  std::vector<double> values;  // falling
  Dense vectors;               // column i belongs to value i
};

Eigensystem eigensystem(const Dense& symmetric) {
  const Index n = symmetric.rows;
  const Eigen::MatrixXd matrix =
      Eigen::Map<const Eigen::MatrixXd>(symmetric.values.data(), n, n);  // symmetric: either order
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(matrix);
  Eigensystem result{{}, Dense(n, n)};
  for (Index j = 0; j < n; ++j) {
    const Index rising = n - 1 - j;
    result.values.push_back(solver.eigenvalues()(rising));
    for (Index i = 0; i < n; ++i) result.vectors.at(i, j) = solver.eigenvectors()(i, rising);
  }
  return result;
}

// How many of the falling eigenvalues count, against the largest one of a matrix of their unit.
Index count_above(std::span<const double> eigenvalues, double cutoff, double largest) {
  return std::ranges::count_if(eigenvalues,
                               [&](double x) { return x > 0 && x >= cutoff * largest; });
}

Dense matrix(const Tensor& t) {
  Dense m(t.shape()[0], t.shape()[1]);
  std::ranges::copy(t.values<double>(), m.values.begin());
  return m;
}

Tensor tensor(const Dense& m) {
  return Tensor::of<double>({m.rows, m.columns}, m.values);
}

Tensor tensor(std::span<const double> v) {
  return Tensor::of<double>({static_cast<Index>(v.size())}, v);
}

Tensor as(const Tensor& t, DType dtype, Device device) {
  if (t.dtype() == dtype) return t.to(device);
  const Tensor converted = Tensor::empty(t.shape(), dtype, t.device());
  copy(t, converted);
  return converted.to(device);
}

// Calls f(i) for each i in [0, count), in parallel, and throws what the first of them threw.
template <class F>
void for_each(Index count, const F& f) {
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(count));
  parallel_for(count, 1, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      try {
        f(i);
      } catch (...) {
        errors[static_cast<std::size_t>(i)] = std::current_exception();
      }
    }
  });
  for (const auto& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

// a and b of one sequence side by side, [F, A + B].
Dense joined(const NoiseSource& source, Index index, Index a_width, Index b_width) {
  const NoiseSequence sequence = source(index);
  const auto a_size = static_cast<Index>(sequence.a.size());
  const auto b_size = static_cast<Index>(sequence.b.size());
  const Index frames = a_size / a_width;
  if (a_size != frames * a_width || b_size != frames * b_width) {
    fail(
        "noise fit: sequence {} has {} numbers of error and {} of condition; {} and {} a frame, "
        "for as many frames, are expected",
        index, a_size, b_size, a_width, b_width);
  }
  Dense rows(frames, a_width + b_width);
  for (Index f = 0; f < frames; ++f) {
    std::copy_n(sequence.a.data() + f * a_width, a_width, rows.row(f));
    std::copy_n(sequence.b.data() + f * b_width, b_width, rows.row(f) + a_width);
  }
  if (!std::ranges::all_of(rows.values, [](double x) { return std::isfinite(x); })) {
    fail("noise fit: sequence {} holds a NaN or an infinite number; leave it out", index);
  }
  return rows;
}

MomentAccumulator moments(const NoiseSource& source, Index sequences, Index a_width,
                          Index b_width) {
  MomentAccumulator total(a_width + b_width);
  for (Index first = 0; first < sequences; first += kSequencesAtOnce) {
    const Index count = std::min(kSequencesAtOnce, sequences - first);
    std::vector<MomentAccumulator> parts(static_cast<std::size_t>(count),
                                         MomentAccumulator(a_width + b_width));
    for_each(count, [&](Index i) {
      parts[static_cast<std::size_t>(i)].add(joined(source, first + i, a_width, b_width).values);
    });
    // A tree of fixed shape: neighbours first.
    for (std::size_t step = 1; step < parts.size(); step *= 2) {
      for (std::size_t i = 0; i + step < parts.size(); i += 2 * step) {
        parts[i].merge(parts[i + step]);
      }
    }
    total.merge(parts[0]);
  }
  return total;
}

// Sums over pairs of consecutive frames, u = L^+ (a - mu(b)).
struct LagSums {
  double product = 0;  // u_i . u_{i-1}
  double square = 0;   // (|u_i|^2 + |u_{i-1}|^2) / 2
};

// u of every frame of one sequence. The columns of L are orthogonal with the eigenvalues as squared
// lengths, so L^+ = diag(1/lambda) L^T.
Dense whitened(const ConditionalNoise& noise, const Dense& rows) {
  const Index a_width = noise.a_width();
  const Index b_width = noise.b_width();
  const std::span<const double> mu_a = noise.mu_a.values<double>();
  const std::span<const double> mu_b = noise.mu_b.values<double>();
  Dense b = block(rows, 0, a_width, rows.rows, b_width);
  for (Index f = 0; f < rows.rows; ++f) {
    for (Index i = 0; i < b_width; ++i) b.at(f, i) -= mu_b[static_cast<std::size_t>(i)];
  }
  Dense residual = product(b, transposed(matrix(noise.gain)));
  for (Index f = 0; f < rows.rows; ++f) {
    for (Index i = 0; i < a_width; ++i) {
      residual.at(f, i) = rows.at(f, i) - mu_a[static_cast<std::size_t>(i)] - residual.at(f, i);
    }
  }
  Dense u = product(residual, matrix(noise.factor));
  std::vector<double> inverse;
  for (const double lambda :
       noise.eigenvalues.values<double>().first(static_cast<std::size_t>(noise.rank()))) {
    inverse.push_back(1 / lambda);
  }
  scale_columns(u, inverse);
  return u;
}

// The pooled autocorrelation: at most 1 in size but for rounding, since u v <= (u^2 + v^2) / 2.
double lag_correlation(const ConditionalNoise& noise, Index sequences, const NoiseSource& source) {
  std::vector<LagSums> sums(static_cast<std::size_t>(sequences));
  for_each(sequences, [&](Index s) {
    const Dense u = whitened(noise, joined(source, s, noise.a_width(), noise.b_width()));
    LagSums& sum = sums[static_cast<std::size_t>(s)];
    for (Index f = 1; f < u.rows; ++f) {
      for (Index i = 0; i < u.columns; ++i) {
        const double now = u.at(f, i);
        const double before = u.at(f - 1, i);
        sum.product += now * before;
        sum.square += (now * now + before * before) / 2;
      }
    }
  });
  LagSums total;
  for (const LagSums& s : sums) {
    total.product += s.product;
    total.square += s.square;
  }
  return total.square > 0 ? std::clamp(total.product / total.square, -1.0, 1.0) : 0;
}

void check_condition(const char* what, const Tensor& b, Index b_width) {
  const bool narrow = b.dtype() == DType::bf16 || b.dtype() == DType::i32;
  if (!b.defined() || narrow || b.shape().rank() < 1 || b.shape().back() != b_width) {
    fail("noise {}: condition is {} {}; f32 or f64 with {} as the last dimension is expected", what,
         b.shape().text(), name(b.dtype()), b_width);
  }
}

}  // namespace

MomentAccumulator::MomentAccumulator(Index width)
    : width_(width),
      mean_(static_cast<std::size_t>(width)),
      scatter_(static_cast<std::size_t>(width * width)) {}

void MomentAccumulator::add(std::span<const double> rows) {
  const auto size = static_cast<Index>(rows.size());
  if (size % width_ != 0) fail("moments: {} numbers are no rows of {}", size, width_);
  for (std::span<const double> rest = rows; !rest.empty();) {
    const auto part =
        rest.first(std::min(rest.size(), static_cast<std::size_t>(kBlockRows * width_)));
    rest = rest.subspan(part.size());
    Dense centred(static_cast<Index>(part.size()) / width_, width_);
    std::ranges::copy(part, centred.values.begin());

    std::vector<double> mean(static_cast<std::size_t>(width_));
    for (Index r = 0; r < centred.rows; ++r) {
      for (Index i = 0; i < width_; ++i) mean[static_cast<std::size_t>(i)] += centred.at(r, i);
    }
    for (double& x : mean) x /= static_cast<double>(centred.rows);
    for (Index r = 0; r < centred.rows; ++r) {
      for (Index i = 0; i < width_; ++i) centred.at(r, i) -= mean[static_cast<std::size_t>(i)];
    }
    merge(centred.rows, mean, product(transposed(centred), centred).values);
  }
}

void MomentAccumulator::merge(const MomentAccumulator& other) {
  if (other.width_ != width_) {
    fail("moments: rows of {} merged into rows of {}", other.width_, width_);
  }
  if (other.count_ > 0) merge(other.count_, other.mean_, other.scatter_);
}

void MomentAccumulator::merge(Index count, std::span<const double> mean,
                              std::span<const double> scatter) {
  const double share = static_cast<double>(count) / static_cast<double>(count_ + count);
  const auto width = static_cast<std::size_t>(width_);
  std::vector<double> shift(width);
  for (std::size_t i = 0; i < width; ++i) shift[i] = mean[i] - mean_[i];
  for (std::size_t i = 0; i < width; ++i) {
    const double scaled = static_cast<double>(count_) * share * shift[i];
    for (std::size_t j = 0; j < width; ++j) {
      scatter_[i * width + j] += scatter[i * width + j] + scaled * shift[j];
    }
  }
  for (std::size_t i = 0; i < width; ++i) mean_[i] += share * shift[i];
  count_ += count;
}

std::vector<double> MomentAccumulator::covariance() const {
  std::vector<double> covariance = scatter_;
  for (double& x : covariance) x /= static_cast<double>(std::max<Index>(count_, 1));
  return covariance;
}

ConditionalNoise ConditionalNoise::fit(Index a_width, Index b_width, Index sequences,
                                       const NoiseSource& source, const NoiseFitOptions& options) {
  if (a_width < 1 || b_width < 1) fail("noise fit: widths {} and {}", a_width, b_width);
  const MomentAccumulator joint = moments(source, sequences, a_width, b_width);
  if (joint.count() == 0) fail("noise fit: no frames; give the sequences of the training set");

  Dense covariance(a_width + b_width, a_width + b_width);
  covariance.values = joint.covariance();
  const Dense saa = block(covariance, 0, 0, a_width, a_width);
  const Dense sab = block(covariance, 0, a_width, a_width, b_width);
  const Dense sbb = block(covariance, a_width, a_width, b_width, b_width);

  // Sigma_bb^+ = Q diag(1/lambda) Q^T over the directions that count. With
  // W = Sigma_ab Q diag(1/sqrt(lambda)), Sigma = Sigma_aa - W W^T.
  const Eigensystem of_b = eigensystem(sbb);
  std::vector<double> inverse_root(of_b.values.size());
  const Index used = count_above(of_b.values, options.cutoff, of_b.values.front());
  for (std::size_t i = 0; i < static_cast<std::size_t>(used); ++i) {
    inverse_root[i] = 1 / std::sqrt(of_b.values[i]);
  }
  Dense w = product(sab, of_b.vectors);
  scale_columns(w, inverse_root);
  Dense sigma = saa;
  const Dense explained = product(w, transposed(w));
  for (Index i = 0; i < a_width; ++i) {
    for (Index j = 0; j < a_width; ++j) {
      sigma.at(i, j) -= (explained.at(i, j) + explained.at(j, i)) / 2;  // as symmetric as Sigma_aa
    }
  }
  scale_columns(w, inverse_root);
  const Dense gain = product(w, transposed(of_b.vectors));

  Eigensystem of_sigma = eigensystem(sigma);
  for (double& x : of_sigma.values) x = std::max(x, 0.0);
  const Index rank = count_above(of_sigma.values, options.cutoff, eigensystem(saa).values.front());
  Dense factor = block(of_sigma.vectors, 0, 0, a_width, rank);
  std::vector<double> root;
  for (const double x : of_sigma.values) root.push_back(std::sqrt(x));
  scale_columns(factor, root);

  const std::span<const double> mean = joint.mean();
  ConditionalNoise noise;
  noise.mu_a = tensor(mean.first(static_cast<std::size_t>(a_width)));
  noise.mu_b = tensor(mean.last(static_cast<std::size_t>(b_width)));
  noise.gain = tensor(gain);
  noise.sigma = tensor(sigma);
  noise.factor = tensor(factor);
  noise.eigenvalues = tensor(of_sigma.values);
  noise.count = joint.count();
  noise.cutoff = options.cutoff;
  noise.rho = lag_correlation(noise, sequences, source);
  return noise;
}

NoiseSampler::NoiseSampler(const ConditionalNoise& noise, DType dtype, Device device)
    : mu_a_(as(noise.mu_a, dtype, device)),
      mu_b_(as(noise.mu_b, dtype, device)),
      gain_(as(noise.gain, dtype, device)),
      rho_(noise.rho) {
  if (!noise.gain.defined()) fail("conditional noise: was not fitted");
  const Dense gain = matrix(noise.gain);
  const Dense factor = matrix(noise.factor);
  Dense weight(gain.rows, gain.columns + factor.columns);
  for (Index i = 0; i < weight.rows; ++i) {
    std::copy_n(gain.row(i), gain.columns, weight.row(i));
    std::copy_n(factor.row(i), factor.columns, weight.row(i) + gain.columns);
  }
  weight_ = as(tensor(weight), dtype, device);
}

Tensor NoiseSampler::mean(const Tensor& b) const {
  check_condition("mean", b, mu_b_.size());
  return linear(sub(b, mu_b_), gain_, mu_a_);
}

Tensor NoiseSampler::sample(const Tensor& b, NoiseKind kind, std::uint64_t seed,
                            const Tensor& address) const {
  check_condition("sample", b, mu_b_.size());
  if (b.shape().rank() != 3) {
    fail("noise sample: condition is {}; [windows, frames, {}] is expected", b.shape().text(),
         mu_b_.size());
  }
  const Index rank = weight_.shape()[1] - mu_b_.size();
  // Numbers that carry derivatives are drawn as f64.
  const DType drawn = b.dtype() == DType::f32 ? DType::f32 : DType::f64;
  const Tensor n = Tensor::empty(b.shape().with(-1, rank), drawn, b.device());
  fill_normal(n, seed, Stream::noise, address);
  if (kind == NoiseKind::ar1) {
    dispatch_real(n, [&]<class T>(auto where) {
      launch(where, Ar1<T>{n.data<T>(), b.shape()[0], b.shape()[1], rank, rho_,
                           std::sqrt(1 - rho_ * rho_)});
    });
  }
  return linear(concat({sub(b, mu_b_), as(n, b.dtype(), b.device())}, -1), weight_, mu_a_);
}

Tensor ConditionalNoise::mean(const Tensor& b) const {
  check_condition("mean", b, b_width());
  return NoiseSampler(*this, b.dtype(), b.device()).mean(b);
}

Tensor ConditionalNoise::sample(const Tensor& b, NoiseKind kind, std::uint64_t seed,
                                std::uint64_t step) const {
  check_condition("sample", b, b_width());
  const Tensor number = Tensor::full({}, static_cast<double>(step), DType::f64, b.device());
  return NoiseSampler(*this, b.dtype(), b.device()).sample(b, kind, seed, number);
}

void ConditionalNoise::save(TensorFile& file) const {
  const auto add = [&](const char* member, const Tensor& t) {
    file.tensors.emplace_back(std::string("cnd.") + member, t);
  };
  add("mu_a", mu_a);
  add("mu_b", mu_b);
  add("gain", gain);
  add("sigma", sigma);
  add("factor", factor);
  add("eigenvalues", eigenvalues);
  add("rho", Tensor::full({}, rho, DType::f64));
  add("count", Tensor::full({}, static_cast<double>(count), DType::f64));
  add("cutoff", Tensor::full({}, cutoff, DType::f64));
}

ConditionalNoise ConditionalNoise::load(const TensorFile& file) {
  const auto get = [&](const char* member, int rank) {
    const std::string full = std::string("cnd.") + member;
    const Tensor& t = file.at(full);
    if (t.dtype() != DType::f64 || t.shape().rank() != rank) {
      fail("tensor '{}' is {} {}; f64 of rank {} is expected, so the file is not of this program",
           full, t.shape().text(), posetape::name(t.dtype()), rank);
    }
    return t;
  };
  ConditionalNoise noise;
  noise.mu_a = get("mu_a", 1);
  noise.mu_b = get("mu_b", 1);
  noise.gain = get("gain", 2);
  noise.sigma = get("sigma", 2);
  noise.factor = get("factor", 2);
  noise.eigenvalues = get("eigenvalues", 1);
  noise.rho = get("rho", 0).item();
  noise.count = static_cast<Index>(get("count", 0).item());
  noise.cutoff = get("cutoff", 0).item();
  const Index a = noise.a_width();
  const Index b = noise.b_width();
  if (noise.gain.shape() != Shape{a, b} || noise.sigma.shape() != Shape{a, a} ||
      noise.factor.shape()[0] != a || noise.eigenvalues.size() != a) {
    fail("tensors 'cnd.*' do not fit each other (mu_a {}, mu_b {}, gain {}, sigma {}, factor {})",
         noise.mu_a.shape().text(), noise.mu_b.shape().text(), noise.gain.shape().text(),
         noise.sigma.shape().text(), noise.factor.shape().text());
  }
  if (!(std::abs(noise.rho) <= 1)) fail("tensor 'cnd.rho' is {}, outside [-1, 1]", noise.rho);
  return noise;
}

}  // namespace posetape::diffusion
