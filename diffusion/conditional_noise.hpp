// The conditional noise distribution (CND) of D3PRefiner (Yan et al., arXiv 2401.03914): the error
// of a base estimator given what it saw and what it answered, as one Gaussian.
//
// Over the frames of the training set, a is the error e = x_noisy - x0 (17 x 3 = 51 numbers) and b
// what the error is conditioned on, [y; x_noisy] (34 + 51 = 85). With [a; b] jointly Gaussian,
//   a | b ~ N(mu(b), Sigma),   mu(b) = mu_a + Sigma_ab Sigma_bb^+ (b - mu_b),
//                              Sigma = Sigma_aa - Sigma_ab Sigma_bb^+ Sigma_ba,
// and since Sigma does not depend on b, it is factored once: Sigma = L L^T, e = mu(b) + L n.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/choices.hpp"
#include "engine/safetensors.hpp"
#include "engine/tensor.hpp"

namespace posetape::diffusion {

// Mean and covariance of rows in one pass, in f64. Rows are centred by blocks and the blocks put
// together by the pairwise update of Chan, Golub and LeVeque ("Algorithms for computing the sample
// variance", Am. Stat. 37, 1983), which does not cancel where the mean is large.
class MomentAccumulator {
 public:
  explicit MomentAccumulator(Index width);

  // Rows [count, width], row-major.
  void add(std::span<const double> rows);
  // As if the other's rows had been added here, but for rounding.
  void merge(const MomentAccumulator& other);

  Index width() const { return width_; }
  Index count() const { return count_; }
  const std::vector<double>& mean() const { return mean_; }
  // [width, width], divided by the count; zeros where there are no rows.
  std::vector<double> covariance() const;

 private:
  void merge(Index count, std::span<const double> mean, std::span<const double> scatter);

  Index width_;
  Index count_ = 0;
  std::vector<double> mean_;
  std::vector<double> scatter_;  // [width, width], sum of (row - mean) (row - mean)^T
};

// How the draws n of the frames of one window hang together. Each n_i is N(0, I) either way.
enum class NoiseKind {
  independent,  // the paper
  ar1,          // n_i = rho n_{i-1} + sqrt(1 - rho^2) w_i: smooth in time, as real errors are
};
constexpr auto choices(NoiseKind) {
  using enum NoiseKind;
  return make_choices<NoiseKind>("noise", {{independent, "independent", "of each frame"},
                                           {ar1, "ar1", "correlated, as real errors are"}});
}

// Consecutive frames of one training sequence: a [F, width of a] and b [F, width of b], row-major.
struct NoiseSequence {
  std::vector<double> a;
  std::vector<double> b;
};

// The training set, one sequence at a time, by index. Called twice for each index, from several
// threads at a time; must return the same both times.
using NoiseSource = std::function<NoiseSequence(Index)>;

struct NoiseFitOptions {
  // Eigenvalues below this fraction of the largest count as zero: those of Sigma_bb in its
  // pseudo-inverse, and those of Sigma against the largest of Sigma_aa. The root joint is constant,
  // so both are singular, and rounding leaves eigenvalues of 1e-17 that must not be inverted. At
  // 1e-8 a direction of b is used if it spreads by more than about 1e-4 (0.1 mm); the gain is then
  // at most some 1e3, so that the rounding of f32 inputs (6e-8) moves mu(b) by less than 0.1 mm.
  double cutoff = 1e-8;
};

struct ConditionalNoise;

// The distribution's constants on one device and in one type (f32 or f64), for many calls.
class NoiseSampler {
 public:
  NoiseSampler(const ConditionalNoise& noise, DType dtype, Device device);

  // As ConditionalNoise's. `address` is read where the numbers are drawn: f64, the step and, where
  // it has more than one element, the number of windows of the batch that lie before b's.
  Tensor mean(const Tensor& b) const;
  Tensor sample(const Tensor& b, NoiseKind kind, std::uint64_t seed, const Tensor& address) const;
  // The mean error [A] over all conditions.
  const Tensor& mu_a() const { return mu_a_; }

 private:
  Tensor mu_a_;
  Tensor mu_b_;
  Tensor gain_;    // [A, B]
  Tensor weight_;  // [A, B + r], the gain and L side by side
  double rho_;
};

// The fitted constants, in f64 on the CPU. A is the width of a, B that of b, r the rank of Sigma.
struct ConditionalNoise {
  Tensor mu_a;         // [A]
  Tensor mu_b;         // [B]
  Tensor gain;         // [A, B], Sigma_ab Sigma_bb^+
  Tensor sigma;        // [A, A]
  Tensor factor;       // [A, r], L: eigenvectors of Sigma times the roots of their eigenvalues
  Tensor eigenvalues;  // [A], of Sigma, falling, negative rounding clipped at 0
  // Lag-1 autocorrelation of the residuals L^+ (a - mu(b)), pooled over coordinates and sequences,
  // between consecutive frames only. 0 where no sequence has two frames.
  double rho = 0;
  Index count = 0;    // frames it was fitted to
  double cutoff = 0;  // NoiseFitOptions::cutoff

  // Bit-equal for any thread count. Throws Error on no frames, on sequences whose sizes do not fit
  // the widths and on numbers that are not finite, and passes on what `source` throws.
  static ConditionalNoise fit(Index a_width, Index b_width, Index sequences,
                              const NoiseSource& source, const NoiseFitOptions& options = {});

  Index a_width() const { return mu_a.size(); }
  Index b_width() const { return mu_b.size(); }
  Index rank() const { return factor.shape()[1]; }

  // b [..., B] -> mu(b) [..., A], in one matrix product; differentiable in b. In any type that
  // holds f32's digits.
  Tensor mean(const Tensor& b) const;

  // b [windows, N, B], likewise -> e = mu(b) + L n [windows, N, A], in one matrix product. The
  // n [windows, N, r] are fill_normal's for (seed, Stream::noise, step), correlated along N in
  // place where `kind` asks for it.
  Tensor sample(const Tensor& b, NoiseKind kind, std::uint64_t seed, std::uint64_t step) const;

  // As tensors "cnd.<member>". load throws Error where one is missing or has another shape.
  void save(TensorFile& file) const;
  static ConditionalNoise load(const TensorFile& file);
};

}  // namespace posetape::diffusion
