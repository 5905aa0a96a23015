#include "diffusion/conditional_noise.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>

#include "engine/gradcheck.hpp"
#include "engine/random_fill.hpp"
#include "kernels/base/parallel.hpp"
#include "tests/diffusion/reference.hpp"

using namespace posetape;
using namespace posetape::diffusion;
using doctest::Approx;

namespace {

using RowMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

RowMatrix normals(Index rows, Index columns, std::uint64_t step) {
  const Tensor t = Tensor::empty({rows, columns}, DType::f64);
  fill_normal(t, 1, Stream::test, step);
  return Eigen::Map<const RowMatrix>(t.data<double>(), rows, columns);
}

RowMatrix matrix(const Tensor& t) {
  const std::vector<double> values = t.to_doubles();
  const Index columns = t.shape().back();
  return Eigen::Map<const RowMatrix>(values.data(), t.size() / columns, columns);
}

Tensor tensor(const Shape& shape, const RowMatrix& m, DType dtype = DType::f64) {
  return Tensor::of(shape, std::span(m.data(), static_cast<std::size_t>(m.size())), dtype);
}

// By functions, so that Eigen's products are compiled once.
RowMatrix times(const RowMatrix& a, const RowMatrix& b) {
  return a * b;
}

// The x of a x = b, a symmetric and positive definite.
RowMatrix solve(const RowMatrix& a, const RowMatrix& b) {
  return a.ldlt().solve(b);
}

RowMatrix transposed(const RowMatrix& m) {
  return m.transpose();
}

// X^T X / rows, of rows less `mean`.
RowMatrix covariance(const RowMatrix& rows, const Vector& mean) {
  const RowMatrix centred = rows.rowwise() - mean.transpose();
  return times(transposed(centred), centred) / static_cast<double>(rows.rows());
}

double largest(const RowMatrix& m) {
  return m.cwiseAbs().maxCoeff();
}

std::vector<double> values(const RowMatrix& m) {
  return {m.data(), m.data() + m.size()};
}

reference::Matrix plain(const RowMatrix& m) {
  return {static_cast<int>(m.rows()), static_cast<int>(m.cols()), values(m)};
}

// All dimensions but the last are rows.
reference::Matrix plain(const Tensor& t) {
  const Index columns = t.shape().back();
  return {static_cast<int>(t.shape().with(-1, 1).size()), static_cast<int>(columns),
          t.to_doubles()};
}

// The rows cut into sequences of `frames` frames, the last one shorter.
NoiseSource cut(const RowMatrix& a, const RowMatrix& b, Index frames) {
  return [=](Index i) {
    const Index count = std::min(frames, a.rows() - i * frames);
    return NoiseSequence{values(a.middleRows(i * frames, count)),
                         values(b.middleRows(i * frames, count))};
  };
}

ConditionalNoise fit(const RowMatrix& a, const RowMatrix& b, Index frames,
                     const NoiseFitOptions& options = {}) {
  return ConditionalNoise::fit(a.cols(), b.cols(), (a.rows() + frames - 1) / frames,
                               cut(a, b, frames), options);
}

// a = 0.3 + G b + C n with b correlated and off zero; the residual has covariance C C^T.
struct Linear {
  RowMatrix gain, noise, b, a;
};
Linear linear_data(Index rows, Index a_width, Index b_width, Index noise_width) {
  Linear d;
  d.gain = normals(a_width, b_width, 1) * 0.2;
  d.noise = normals(a_width, noise_width, 2) * 0.3;
  d.b = times(normals(rows, b_width, 3), normals(b_width, b_width, 4));
  d.b.array() += 2.0;
  d.a = times(d.b, transposed(d.gain)) + times(normals(rows, noise_width, 5), transposed(d.noise));
  d.a.array() += 0.3;
  return d;
}

bool bit_equal(const Tensor& x, const Tensor& y) {
  return x.shape() == y.shape() && x.dtype() == y.dtype() &&
         std::memcmp(x.raw(), y.raw(), x.bytes()) == 0;
}

bool bit_equal(const ConditionalNoise& x, const ConditionalNoise& y) {
  return bit_equal(x.mu_a, y.mu_a) && bit_equal(x.mu_b, y.mu_b) && bit_equal(x.gain, y.gain) &&
         bit_equal(x.sigma, y.sigma) && bit_equal(x.factor, y.factor) &&
         bit_equal(x.eigenvalues, y.eigenvalues) && x.rho == y.rho && x.count == y.count &&
         x.cutoff == y.cutoff;
}

// Calls f with 1 and with 3 threads and returns both results.
template <class F>
auto with_threads(const F& f) {
  const int before = threads();
  set_threads(1);
  auto one = f();
  set_threads(3);
  auto three = f();
  set_threads(before);
  return std::pair(std::move(one), std::move(three));
}

}  // namespace

TEST_CASE("moments: any cut into parts gives the moments of all rows") {
  RowMatrix rows = times(normals(1500, 7, 1), normals(7, 7, 2));
  rows.array() += 50.0;
  const Vector mean = rows.colwise().mean();
  const RowMatrix expected = covariance(rows, mean);

  MomentAccumulator one(7);
  one.add(values(rows));
  for (const Index at : {1, 255, 256, 257, 1000, 1499}) {
    MomentAccumulator left(7);
    MomentAccumulator right(7);
    left.add(values(rows.topRows(at)));
    right.add(values(rows.bottomRows(1500 - at)));
    left.merge(right);
    CHECK(left.count() == 1500);
    for (const MomentAccumulator* m : {&left, &one}) {
      const std::vector<double> found = m->covariance();
      CHECK(largest(Eigen::Map<const RowMatrix>(found.data(), 7, 7) - expected) <
            1e-12 * largest(expected));
      CHECK((Eigen::Map<const Vector>(m->mean().data(), 7) - mean).cwiseAbs().maxCoeff() < 5e-12);
    }
  }
}

TEST_CASE("moments: a mean a million times the spread costs no digits") {
  // x = 1e6 + {0, 1, 0, 1, ...}: variance 1/4 exactly; the textbook sum of squares gets 0.2499...
  MomentAccumulator moments(1);
  for (int i = 0; i < 1000; ++i) moments.add(std::vector{1e6, 1e6 + 1});
  CHECK(moments.covariance()[0] == Approx(0.25).epsilon(1e-12));
  CHECK(moments.mean()[0] == Approx(1e6 + 0.5).epsilon(1e-15));
}

TEST_CASE("moments: empty parts change nothing, other widths are refused") {
  MomentAccumulator moments(2);
  CHECK(moments.covariance() == std::vector<double>(4, 0.0));
  moments.add(std::vector{1.0, 2.0});
  moments.merge(MomentAccumulator(2));
  moments.add({});
  CHECK(moments.count() == 1);
  CHECK(moments.mean() == std::vector{1.0, 2.0});
  CHECK_THROWS_WITH_AS(moments.merge(MomentAccumulator(3)),
                       "moments: rows of 3 merged into rows of 2", Error);
  CHECK_THROWS_WITH_AS(moments.add(std::vector{1.0, 2.0, 3.0}),
                       "moments: 3 numbers are no rows of 2", Error);
}

TEST_CASE("moments: of one row, and of a row at a time, are those of two passes") {
  RowMatrix rows = times(normals(600, 3, 1), normals(3, 3, 2));
  rows.array() += 4.0;
  const auto check = [](const MomentAccumulator& m, const RowMatrix& all) {
    CHECK(m.count() == all.rows());
    CHECK(reference::distance(m.mean(), reference::mean(plain(all))) < 1e-14 * 20);
    CHECK(reference::distance(m.covariance(), reference::covariance(plain(all)).values) < 1e-12);
  };
  MomentAccumulator by_row(3);
  by_row.add(values(rows.topRows(1)));
  check(by_row, rows.topRows(1));
  CHECK(by_row.covariance() == std::vector<double>(9, 0.0));
  for (Index i = 1; i < rows.rows(); ++i) by_row.add(values(rows.middleRows(i, 1)));
  check(by_row, rows);

  // Into an empty one (that took in another), and parts of very different sizes in both orders.
  MomentAccumulator empty(3);
  empty.merge(MomentAccumulator(3));
  empty.merge(by_row);
  check(empty, rows);
  for (const Index at : {1, 2, 300, 599}) {
    MomentAccumulator first(3);
    MomentAccumulator second(3);
    first.add(values(rows.topRows(at)));
    second.add(values(rows.bottomRows(rows.rows() - at)));
    second.merge(first);
    check(second, rows);
  }
}

TEST_CASE("fit: recovers a known Gaussian") {
  const Index rows = 40000;
  const Linear d = linear_data(rows, 6, 9, 6);
  const ConditionalNoise noise = fit(d.a, d.b, 500);
  const RowMatrix sigma = times(d.noise, transposed(d.noise));
  // Standard errors: about sqrt(2 / rows) = 0.7 % of a variance, bounds at six of them.
  CHECK(largest(matrix(noise.sigma) - sigma) < 0.045 * largest(sigma));
  CHECK(largest(matrix(noise.gain) - d.gain) < 0.05);
  CHECK(noise.count == rows);
  CHECK(noise.rank() == 6);
  CHECK(std::abs(noise.rho) < 6 / std::sqrt(6.0 * rows));

  // L L^T is Sigma, and the eigenvalues are its own, falling.
  const RowMatrix factor = matrix(noise.factor);
  CHECK(largest(times(factor, transposed(factor)) - matrix(noise.sigma)) < 1e-13 * largest(sigma));
  const std::vector<double> eigenvalues = noise.eigenvalues.to_doubles();
  double trace = 0;
  for (std::size_t i = 0; i < eigenvalues.size(); ++i) {
    trace += eigenvalues[i];
    if (i > 0) CHECK(eigenvalues[i] <= eigenvalues[i - 1]);
  }
  CHECK(trace == Approx(matrix(noise.sigma).trace()).epsilon(1e-13));
}

TEST_CASE("fit: the conditional mean is the least-squares regression on [1, b]") {
  const Linear d = linear_data(3000, 5, 8, 3);
  const ConditionalNoise noise = fit(d.a, d.b, 700);
  RowMatrix design(d.b.rows(), 9);
  design << Vector::Ones(d.b.rows()), d.b;
  const RowMatrix solution =
      solve(times(transposed(design), design), times(transposed(design), d.a));
  const RowMatrix expected = times(design, solution);
  const Tensor mean = noise.mean(tensor({d.b.rows(), 8}, d.b));
  CHECK(mean.shape() == Shape{d.b.rows(), 5});
  CHECK(largest(matrix(mean) - expected) < 1e-9);

  const RowMatrix residual = d.a - expected;
  CHECK(largest(matrix(noise.sigma) - covariance(residual, Vector::Zero(5))) < 1e-12);
}

TEST_CASE("fit: constant and repeated coordinates are no trouble") {
  Linear d = linear_data(2000, 4, 6, 4);
  RowMatrix b(2000, 10);
  // A constant, a copy, a sum and a zero beside the six: what they add to Sigma_bb is singular.
  b << d.b, Vector::Constant(2000, 0.7), d.b.col(0), d.b.col(1) + d.b.col(2), Vector::Zero(2000);
  RowMatrix a(2000, 6);
  a << d.a, Vector::Zero(2000), Vector::Constant(2000, -0.25);

  const ConditionalNoise plain = fit(d.a, d.b, 2000);
  const ConditionalNoise noise = fit(a, b, 2000);
  CHECK(noise.rank() == 4);
  CHECK(largest(matrix(noise.sigma).topLeftCorner(4, 4) - matrix(plain.sigma)) < 1e-10);
  CHECK(matrix(noise.gain).allFinite());
  CHECK(largest(matrix(noise.gain)) < 10);

  const RowMatrix mean = matrix(noise.mean(tensor({2000, 10}, b)));
  CHECK(largest(mean.leftCols(4) - matrix(plain.mean(tensor({2000, 6}, d.b)))) < 1e-9);
  // Constant coordinates of a stay constant in every sample: the root joint of a pose is 0.
  const RowMatrix e = matrix(noise.sample(tensor({20, 100, 10}, b), NoiseKind::independent, 1, 1));
  CHECK(largest(e.col(4)) == 0);
  CHECK(largest(e.col(5).array() + 0.25) < 1e-12);
}

namespace {

// What fit() makes of the data against the formulas, both to the numbers of `tolerance`.
void check_fit(const RowMatrix& a, const RowMatrix& b, Index frames, double cutoff,
               double tolerance) {
  const ConditionalNoise noise = fit(a, b, frames, {.cutoff = cutoff});
  const reference::Conditional expected = reference::condition(plain(a), plain(b), cutoff);
  CHECK(noise.cutoff == cutoff);
  CHECK(noise.count == a.rows());
  CHECK(reference::distance(noise.mu_a.to_doubles(), expected.mu_a) < tolerance);
  CHECK(reference::distance(noise.mu_b.to_doubles(), expected.mu_b) < tolerance);
  CHECK(reference::distance(plain(noise.gain), expected.gain) < tolerance);
  CHECK(reference::distance(plain(noise.sigma), expected.sigma) < tolerance);
  CHECK(noise.rank() == expected.rank);

  // Symmetric, its eigenvalues falling and never negative.
  CHECK(reference::distance(reference::transposed(plain(noise.sigma)), plain(noise.sigma)) <
        1e-15 * reference::largest(reference::covariance(plain(a))));
  reference::Numbers eigenvalues = reference::eigensystem(expected.sigma).values;
  for (double& x : eigenvalues) x = std::max(x, 0.0);
  CHECK(reference::distance(noise.eigenvalues.to_doubles(), eigenvalues) < tolerance);
  CHECK(std::ranges::is_sorted(noise.eigenvalues.to_doubles(), std::greater()));
  CHECK(noise.eigenvalues.to_doubles().back() >= 0);

  // L L^T is Sigma, less the eigenvalues that don't count; L's columns are orthogonal.
  const reference::Matrix factor = plain(noise.factor);
  CHECK(
      reference::distance(reference::times(factor, reference::transposed(factor)), expected.sigma) <
      tolerance + cutoff * reference::largest(reference::covariance(plain(a))));
  const reference::Matrix gram = reference::times(reference::transposed(factor), factor);
  for (int i = 0; i < gram.rows; ++i) {
    for (int j = 0; j < gram.columns; ++j) {
      const double lambda = noise.eigenvalues.data<double>()[i];
      CHECK(std::fabs(gram(i, j) - (i == j ? lambda : 0)) < tolerance);
    }
  }

  CHECK(reference::distance(plain(noise.mean(tensor({b.rows(), b.cols()}, b))),
                            reference::conditional_mean(expected, plain(b))) < tolerance);
  if (expected.rank > 0) {
    CHECK(std::fabs(noise.rho - reference::lag_correlation(expected, plain(a), plain(b),
                                                           static_cast<int>(frames))) < 1e-9);
  }
}

// Poses of 17 joints whose root never moves: the error, and [y; x_noisy].
std::pair<RowMatrix, RowMatrix> poses(Index frames) {
  RowMatrix noisy = times(normals(frames, 48, 21), normals(48, 51, 22)) * 0.05;
  RowMatrix y = normals(frames, 34, 23) * 0.3;
  y.array() += 0.1;
  RowMatrix e = times(noisy, normals(51, 51, 24)) * 0.05 + normals(frames, 51, 25) * 0.04;
  for (Index f = 1; f < frames; ++f) e.row(f) = 0.7 * e.row(f - 1) + 0.7 * e.row(f);
  e.array() += 0.01;
  e.leftCols(3).setZero();
  noisy.leftCols(3).setZero();
  RowMatrix b(frames, 85);
  b << y, noisy;
  return {e, b};
}

}  // namespace

TEST_CASE("fit: one frame is its own mean, and leaves no noise") {
  const Linear d = linear_data(1, 2, 3, 2);
  const ConditionalNoise noise = fit(d.a, d.b, 1);
  CHECK(noise.count == 1);
  CHECK(noise.mu_a.to_doubles() == values(d.a));
  CHECK(noise.mu_b.to_doubles() == values(d.b));
  CHECK(noise.rank() == 0);
  CHECK(largest(matrix(noise.gain)) == 0);
  CHECK(noise.rho == 0);
}

TEST_CASE("fit: mean and covariance are the formulas', whatever the rank") {
  const Linear d = linear_data(400, 4, 5, 3);
  check_fit(d.a, d.b, 50, 1e-8, 1e-10);
  check_fit(d.a, d.b, 4, 1e-8, 1e-10);  // more sequences than are held at a time
  const auto [e, b] = poses(300);
  check_fit(e, b, 30, 1e-8, 1e-10);
  // Fewer frames than coordinates: y and x_noisy span 59 directions of 85, and explain all of e.
  const auto [few_e, few_b] = poses(60);
  check_fit(few_e, few_b, 20, 1e-8, 1e-9);
}

TEST_CASE(
    "fit: a direction of b counts by its variance relative to the largest, whatever the unit") {
  // Orthogonal directions of b with variances 1, 1e-3 and 1e-6, each of which a follows.
  const Index rows = 64;
  RowMatrix b(rows, 3);
  for (Index i = 0; i < rows; ++i) {
    b(i, 0) = i % 2 == 0 ? 1 : -1;
    b(i, 1) = i % 4 < 2 ? std::sqrt(1e-3) : -std::sqrt(1e-3);
    b(i, 2) = i % 8 < 4 ? 1e-3 : -1e-3;
  }
  RowMatrix a = times(b, normals(3, 2, 31)) + normals(rows, 2, 32) * 0.1;
  for (const double unit : {1.0, 1e-3, 1e3}) {
    for (const double cutoff : {1e-2, 1e-4, 1e-8}) {
      CAPTURE(unit);
      CAPTURE(cutoff);
      const RowMatrix scaled = b * unit;
      check_fit(a, scaled, 16, cutoff, 1e-8 / std::min(unit, 1.0));
      const RowMatrix gain = matrix(fit(a, scaled, 16, {.cutoff = cutoff}).gain);
      CHECK((largest(gain.col(1)) > 1e-6) == (cutoff < 1e-3));
      CHECK((largest(gain.col(2)) > 1e-6) == (cutoff < 1e-6));
    }
  }
}

TEST_CASE("fit: a direction of the residual counts by its variance relative to that of a") {
  // a follows b but for residuals of variance 1e-4 and 1e-6 of it.
  const Index rows = 64;
  RowMatrix b(rows, 1);
  RowMatrix a(rows, 3);
  for (Index i = 0; i < rows; ++i) {
    b(i, 0) = i % 2 == 0 ? 1 : -1;
    a(i, 0) = 2 * b(i, 0);
    a(i, 1) = i % 4 < 2 ? 0.02 : -0.02;
    a(i, 2) = i % 8 < 4 ? 0.002 : -0.002;
  }
  for (const auto& [cutoff, rank] : {std::pair{1e-3, 0}, std::pair{1e-5, 1}, std::pair{1e-7, 2}}) {
    CHECK(fit(a, b, 16, {.cutoff = cutoff}).rank() == rank);
    check_fit(a, b, 16, cutoff, 1e-10);
  }
}

TEST_CASE("fit: rho is the formula's, on sequences of any length") {
  const auto [e, b] = poses(240);
  for (const Index frames : {2, 7, 60, 240}) {
    const reference::Conditional c = reference::condition(plain(e), plain(b), 1e-8);
    const double expected =
        reference::lag_correlation(c, plain(e), plain(b), static_cast<int>(frames));
    CHECK(std::fabs(expected) > 0.1);
    CHECK(fit(e, b, frames).rho == Approx(expected).epsilon(1e-8));
  }
}

TEST_CASE("fit: an error that b explains entirely leaves no noise") {
  Linear d = linear_data(500, 3, 4, 1);
  d.a = times(d.b, transposed(d.gain));
  const ConditionalNoise noise = fit(d.a, d.b, 50);
  CHECK(noise.rank() == 0);
  CHECK(noise.rho == 0);
  const Tensor b = tensor({10, 50, 4}, d.b);
  CHECK(largest(matrix(noise.sample(b, NoiseKind::ar1, 1, 1)) - d.a) < 1e-11);
}

TEST_CASE("fit: rho is that of the residuals, within sequences only") {
  const Index frames = 60;
  const Index sequences = 300;
  Linear d = linear_data(frames * sequences, 5, 6, 5);
  RowMatrix n = normals(frames * sequences, 5, 9);
  for (Index i = 0; i < n.rows(); ++i) {
    if (i % frames > 0) n.row(i) = 0.9 * n.row(i - 1) + std::sqrt(1 - 0.81) * n.row(i);
  }
  d.a = times(d.b, transposed(d.gain)) + times(n, transposed(d.noise));
  const ConditionalNoise noise = fit(d.a, d.b, frames);
  // Standard error sqrt((1 - rho^2) / pairs) = 0.0015.
  CHECK(noise.rho == Approx(0.9).epsilon(0.007));

  // The same frames as sequences of one: there are no pairs.
  CHECK(fit(d.a, d.b, 1).rho == 0);
  // Cut in the middle of nowhere, pairs across the joins are lost, not mixed in.
  CHECK(fit(d.a, d.b, 2).rho == Approx(0.9).epsilon(0.01));
}

TEST_CASE("sample: mean and covariance over 200000 samples") {
  const Linear d = linear_data(4000, 6, 5, 6);
  const ConditionalNoise noise = fit(d.a, d.b, 4000);
  const Index samples = 200000;
  for (const DType dtype : {DType::f64, DType::f32}) {
    // One condition for all: every sample then has the mean mu(b).
    const RowMatrix b = d.b.row(17).replicate(samples, 1);
    const Tensor condition = tensor({samples / 50, 50, 5}, b, dtype);
    const Tensor e = noise.sample(condition, NoiseKind::independent, 3, 4);
    CHECK(e.dtype() == dtype);
    CHECK(e.shape() == Shape{samples / 50, 50, 6});
    const RowMatrix rows = matrix(e);
    const Vector mean = rows.colwise().mean();
    const RowMatrix sampled = covariance(rows, mean);
    const RowMatrix sigma = matrix(noise.sigma);
    const RowMatrix expected = matrix(noise.mean(tensor({1, 5}, d.b.row(17))));
    for (Index i = 0; i < 6; ++i) {
      CHECK(std::abs(mean(i) - expected(0, i)) < 5 * std::sqrt(sigma(i, i) / samples));
      for (Index j = 0; j < 6; ++j) {
        const double spread = sigma(i, i) * sigma(j, j) + sigma(i, j) * sigma(i, j);
        CHECK(std::abs(sampled(i, j) - sigma(i, j)) < 5 * std::sqrt(spread / samples));
      }
    }
  }
}

TEST_CASE("sample: ar1 keeps the marginal of every frame and correlates neighbours") {
  const Linear d = linear_data(4000, 4, 3, 4);
  ConditionalNoise noise = fit(d.a, d.b, 4000);
  noise.rho = 0.92;
  const Index windows = 20000;
  const Index frames = 9;
  const Tensor b = Tensor::zeros({windows, frames, 3}, DType::f64);
  const Tensor e = noise.sample(b, NoiseKind::ar1, 5, 6);
  // Back to n: e - mu(b) = L n with L of full rank.
  const RowMatrix residual = matrix(e) - matrix(noise.mean(b));
  const RowMatrix factor = matrix(noise.factor);
  const RowMatrix gram = times(transposed(factor), factor);
  const RowMatrix n = transposed(solve(gram, transposed(times(residual, factor))));

  // Per frame 80000 values: standard errors 0.005 for a variance, 0.0014 for the correlation,
  // 0.0035 for the one across 8 frames.
  std::vector<double> variance(static_cast<std::size_t>(frames));
  double lag_8 = 0;
  for (Index w = 0; w < windows; ++w) {
    lag_8 += n.row(w * frames).dot(n.row(w * frames + 8));
    for (Index f = 0; f < frames; ++f) {
      variance[static_cast<std::size_t>(f)] += n.row(w * frames + f).squaredNorm();
    }
  }
  const double per_frame = static_cast<double>(windows * 4);
  for (const double v : variance) CHECK(v / per_frame == Approx(1).epsilon(0.025));
  CHECK(lag_8 / per_frame == Approx(std::pow(0.92, 8)).epsilon(0.035));

  double within = 0;
  double across = 0;
  for (Index i = 1; i < n.rows(); ++i) {
    (i % frames == 0 ? across : within) += n.row(i).dot(n.row(i - 1));
  }
  CHECK(within / (per_frame * 8) == Approx(0.92).epsilon(0.004));
  CHECK(std::abs(across / per_frame) < 0.02);  // windows are independent of each other
}

TEST_CASE("sample: f32 and f64 draw the same noise, and each step its own") {
  const Linear d = linear_data(1000, 4, 3, 4);
  const ConditionalNoise noise = fit(d.a, d.b, 100);
  const RowMatrix b = d.b.topRows(60);
  for (const NoiseKind kind : {NoiseKind::independent, NoiseKind::ar1}) {
    const RowMatrix e64 = matrix(noise.sample(tensor({4, 15, 3}, b), kind, 1, 2));
    const RowMatrix e32 = matrix(noise.sample(tensor({4, 15, 3}, b, DType::f32), kind, 1, 2));
    CHECK(largest(e64 - e32) < 1e-5);
    CHECK(largest(e64 - matrix(noise.sample(tensor({4, 15, 3}, b), kind, 1, 3))) > 0.1);
    CHECK(largest(e64 - matrix(noise.sample(tensor({4, 15, 3}, b), kind, 2, 2))) > 0.1);
  }
}

TEST_CASE("sample is mu(b) + L n, with the numbers n of the noise's own stream") {
  const Linear d = linear_data(1000, 4, 3, 3);
  const ConditionalNoise noise = fit(d.a, d.b, 100);
  REQUIRE(noise.rank() == 3);
  const RowMatrix b = d.b.topRows(60);
  for (const NoiseKind kind : {NoiseKind::independent, NoiseKind::ar1}) {
    for (const double rho : {0.0, 0.3, -0.8, 1.0}) {
      ConditionalNoise other = noise;
      other.rho = rho;
      const Tensor w = Tensor::empty({60, 3}, DType::f64);
      fill_normal(w, 6, Stream::noise, 7);
      reference::Matrix n = plain(w);
      if (kind == NoiseKind::ar1) n = reference::ar1(n, 15, rho);
      const RowMatrix mean = matrix(noise.mean(tensor({60, 3}, b)));
      reference::Matrix expected = reference::times(n, reference::transposed(plain(noise.factor)));
      for (int i = 0; i < 60; ++i) {
        for (int j = 0; j < 4; ++j) expected(i, j) += mean(i, j);
      }
      const Tensor e = other.sample(tensor({4, 15, 3}, b), kind, 6, 7);
      CHECK(reference::distance(plain(e), expected) < 1e-13);
    }
  }
}

TEST_CASE("mean and sample have the right derivative with respect to the condition") {
  const Linear d = linear_data(1000, 4, 3, 4);
  const ConditionalNoise noise = fit(d.a, d.b, 100);
  const std::vector<Tensor> b{tensor({2, 5, 3}, d.b.topRows(10))};
  for (const NoiseKind kind : {NoiseKind::independent, NoiseKind::ar1}) {
    const GradcheckReport report = gradcheck(
        [&](std::span<const Tensor> in) {
          return std::vector{noise.mean(in[0]), noise.sample(in[0], kind, 1, 2)};
        },
        b);
    CHECK_MESSAGE(report.passed(), report.failures());
  }
}

TEST_CASE("bit-equal for any thread count") {
  const Linear d = linear_data(9000, 12, 20, 12);
  const auto fits = with_threads([&] { return fit(d.a, d.b, 70); });
  CHECK(bit_equal(fits.first, fits.second));
  for (const NoiseKind kind : {NoiseKind::independent, NoiseKind::ar1}) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Tensor b = tensor({90, 100, 20}, d.b, dtype);
      const auto samples = with_threads([&] { return fits.first.sample(b, kind, 1, 1); });
      CHECK(bit_equal(samples.first, samples.second));
    }
  }
}

TEST_CASE("constants survive a file bit by bit") {
  const Linear d = linear_data(800, 5, 7, 2);
  const ConditionalNoise noise = fit(d.a, d.b, 80, {.cutoff = 1e-9});
  REQUIRE(noise.rank() == 2);
  const std::string name = fmt::format("/tmp/posetape-cnd-{}.safetensors", getpid());
  TensorFile file;
  noise.save(file);
  write_safetensors(name, file);
  const ConditionalNoise back = ConditionalNoise::load(read_safetensors(name));
  std::remove(name.c_str());
  CHECK(bit_equal(noise, back));
  CHECK(noise.rho != 0);
  const Tensor b = tensor({8, 100, 7}, d.b, DType::f32);
  CHECK(bit_equal(noise.sample(b, NoiseKind::ar1, 1, 1), back.sample(b, NoiseKind::ar1, 1, 1)));
}

TEST_CASE("load refuses what save did not write") {
  const Linear d = linear_data(100, 2, 3, 2);
  TensorFile file;
  fit(d.a, d.b, 100).save(file);
  TensorFile other = file;
  other.tensors.erase(other.tensors.begin());
  CHECK_THROWS_WITH_AS(ConditionalNoise::load(other), doctest::Contains("no tensor 'cnd.mu_a'"),
                       Error);
  other = file;
  other.tensors[2].second = Tensor::zeros({2, 4}, DType::f64);
  CHECK_THROWS_WITH_AS(ConditionalNoise::load(other), doctest::Contains("do not fit each other"),
                       Error);
  other.tensors[2].second = Tensor::zeros({2, 3}, DType::f32);
  CHECK_THROWS_WITH_AS(ConditionalNoise::load(other),
                       doctest::Contains("'cnd.gain' is [2, 3] f32; f64 of rank 2"), Error);
  // Of mu_a, mu_b, gain, sigma, factor and eigenvalues any one with another size.
  for (const auto& [i, shape] :
       {std::pair{0, Shape{3}}, std::pair{1, Shape{4}}, std::pair{2, Shape{3, 3}},
        std::pair{3, Shape{2, 3}}, std::pair{3, Shape{3, 2}}, std::pair{4, Shape{3, 2}},
        std::pair{5, Shape{3}}}) {
    other = file;
    other.tensors[static_cast<std::size_t>(i)].second = Tensor::zeros(shape, DType::f64);
    CHECK_THROWS_WITH_AS(ConditionalNoise::load(other), doctest::Contains("do not fit each other"),
                         Error);
  }
  for (std::size_t i = 0; i < file.tensors.size(); ++i) {
    other = file;
    other.tensors[i].second = Tensor::zeros({1, 1, 1}, DType::f64);
    CHECK_THROWS_WITH_AS(ConditionalNoise::load(other), doctest::Contains("is expected"), Error);
  }
  for (const double rho : {1.5, -1.5, std::nan("")}) {
    other = file;
    other.tensors[6].second = Tensor::full({}, rho, DType::f64);
    CHECK_THROWS_WITH_AS(ConditionalNoise::load(other), doctest::Contains("outside [-1, 1]"),
                         Error);
  }
  for (const double rho : {1.0, -1.0}) {
    other = file;
    other.tensors[6].second = Tensor::full({}, rho, DType::f64);
    CHECK(ConditionalNoise::load(other).rho == rho);
  }
}

TEST_CASE("a residual that never changes has rho 1, and its ar1 noise is constant in time") {
  RowMatrix a(40, 2);
  for (Index i = 0; i < 40; ++i) a.row(i).setConstant(i < 20 ? 0.1 : -0.3);
  const ConditionalNoise noise = fit(a, RowMatrix::Zero(40, 3), 20);
  CHECK(noise.rho == Approx(1).epsilon(1e-15));
  CHECK(noise.rho <= 1);
  const RowMatrix e =
      matrix(noise.sample(Tensor::zeros({1, 10, 3}, DType::f64), NoiseKind::ar1, 1, 1));
  CHECK(largest(e.rowwise() - e.row(0)) < 1e-7);
}

TEST_CASE("two frames that follow each other are enough for rho, one wide as they may be") {
  // A third, far away, has a sequence of its own.
  RowMatrix a(3, 1);
  a << 0.1, 0.12, -5;
  const ConditionalNoise noise = fit(a, RowMatrix::Zero(3, 1), 2);
  const double mean = (0.1 + 0.12 - 5) / 3;
  const double u = 0.1 - mean;
  const double v = 0.12 - mean;
  CHECK(noise.rho == Approx(2 * u * v / (u * u + v * v)).epsilon(1e-12));
}

TEST_CASE("fit and sample refuse what cannot be") {
  const Linear d = linear_data(100, 2, 3, 2);
  const ConditionalNoise noise = fit(d.a, d.b, 100);
  CHECK_THROWS_WITH_AS(NoiseSampler(ConditionalNoise{}, DType::f32, Device::cpu),
                       "conditional noise: was not fitted", Error);
  CHECK_THROWS_WITH_AS(ConditionalNoise::fit(2, 3, 0, cut(d.a, d.b, 10)),
                       doctest::Contains("no frames"), Error);
  CHECK_THROWS_WITH_AS(ConditionalNoise::fit(2, 2, 10, cut(d.a, d.b, 10)),
                       "noise fit: sequence 0 has 20 numbers of error and 30 of condition; 2 and 2 "
                       "a frame, for as many frames, are expected",
                       Error);
  CHECK_THROWS_WITH_AS(ConditionalNoise::fit(
                           3, 3, 1,
                           [](Index) {
                             return NoiseSequence{std::vector<double>(20), std::vector<double>(18)};
                           }),
                       doctest::Contains("sequence 0 has 20 numbers of error and 18 of condition"),
                       Error);
  CHECK_THROWS_WITH_AS(ConditionalNoise::fit(0, 3, 10, cut(d.a, d.b, 10)),
                       "noise fit: widths 0 and 3", Error);
  CHECK_THROWS_WITH_AS(ConditionalNoise::fit(2, 0, 10, cut(d.a, d.b, 10)),
                       "noise fit: widths 2 and 0", Error);
  for (const double value : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    RowMatrix bad = d.b;
    bad(57, 1) = value;
    CHECK_THROWS_WITH_AS(fit(d.a, bad, 10),
                         "noise fit: sequence 5 holds a NaN or an infinite number; leave it out",
                         Error);
  }
  for (const Tensor& b : {Tensor(), Tensor::zeros({}, DType::f64), Tensor::zeros({3}, DType::i32),
                          Tensor::zeros({2, 3, 4}, DType::f64)}) {
    CHECK_THROWS_AS(noise.mean(b), Error);
    CHECK_THROWS_AS(noise.sample(b, NoiseKind::ar1, 1, 1), Error);
  }
  CHECK_THROWS_AS(noise.sample(Tensor::zeros({1, 2, 4, 3}, DType::f64), NoiseKind::ar1, 1, 1),
                  Error);
  CHECK_THROWS_WITH_AS(noise.mean(Tensor::zeros({4, 4}, DType::f32)),
                       "noise mean: condition is [4, 4] f32; f32 or f64 with 3 as the last "
                       "dimension is expected",
                       Error);
  CHECK_THROWS_WITH_AS(noise.sample(Tensor::zeros({4, 3}, DType::f32), NoiseKind::ar1, 1, 1),
                       "noise sample: condition is [4, 3]; [windows, frames, 3] is expected",
                       Error);
  CHECK(noise.mean(Tensor::zeros({3}, DType::f64)).shape() == Shape{2});
  const NoiseSampler sampler(noise, DType::f64, Device::cpu);
  for (const DType dtype : {DType::bf16, DType::i32}) {
    const Tensor b = Tensor::zeros({1, 4, 3}, dtype);
    for (const auto& f : std::vector<std::function<void()>>{
             [&] { noise.mean(b); }, [&] { sampler.mean(b); },
             [&] { noise.sample(b, NoiseKind::ar1, 1, 1); },
             [&] { sampler.sample(b, NoiseKind::ar1, 1, Tensor::zeros({}, DType::f64)); }}) {
      CHECK_THROWS_WITH_AS(f(), doctest::Contains("f32 or f64 with 3 as the last dimension"),
                           Error);
    }
  }
  CHECK(parse<NoiseKind>("ar1") == NoiseKind::ar1);
  CHECK(parse<NoiseKind>(name(NoiseKind::independent)) == NoiseKind::independent);
  CHECK_THROWS_WITH_AS(parse<NoiseKind>("white"),
                       "noise \"white\" is unknown; choose one of: independent, ar1", Error);
}
