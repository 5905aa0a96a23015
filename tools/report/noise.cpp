#include "tools/report/noise.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <utility>
#include <vector>

#include "diffusion/sequences.hpp"
#include "tools/report/encoding.hpp"

namespace posetape::tools::report {
namespace {

using Json = nlohmann::ordered_json;
using Vector3 = Eigen::Vector3d;
using Matrix3 = Eigen::Matrix3d;

constexpr std::size_t kJoints = data::kJoints;
constexpr std::size_t kWidth = static_cast<std::size_t>(diffusion::kErrorWidth);
constexpr double kMm = 1000;
constexpr double kBinMm = 10;
constexpr std::size_t kBins = 61;  // to 600 mm, and beyond
constexpr std::size_t kLags = 51;
constexpr std::size_t kLevels = 20;
constexpr std::size_t kExamples = 12;

// The probability that a Gaussian in three dimensions is nearer to its mean than a Mahalanobis
// distance whose square is q: the chi-squared distribution with three degrees of freedom.
double inside_probability(double q) {
  return std::erf(std::sqrt(q / 2)) - std::sqrt(2 * q / std::numbers::pi) * std::exp(-q / 2);
}

Matrix3 block(std::span<const double> sigma, std::size_t joint) {
  Matrix3 m;
  for (std::size_t r = 0; r < 3; ++r) {
    for (std::size_t c = 0; c < 3; ++c) {
      m(static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(c)) =
          sigma[(3 * joint + r) * kWidth + 3 * joint + c];
    }
  }
  return m;
}

// The inverse of a joint's covariance; none for one that hardly spreads, such as the root.
std::optional<Matrix3> inverse(const Matrix3& covariance) {
  const Eigen::SelfAdjointEigenSolver<Matrix3> solver(covariance);
  constexpr double kLeast = 1e-5;  // metres
  if (solver.eigenvalues()[0] < kLeast * kLeast) return std::nullopt;
  return covariance.inverse();
}

Json millimetres(std::span<const double> metres, int digits = 4) {
  Json list = Json::array();
  for (const double value : metres) list.push_back(rounded(kMm * value, digits));
  return list;
}

// Sums over frames for what noise_json gives beside the distribution itself.
class Measured {
 public:
  Measured(const diffusion::ConditionalNoise& noise, diffusion::NoiseKind kind, std::uint64_t seed)
      : noise_(noise),
        kind_(kind),
        seed_(seed),
        factor_(noise.factor.to_doubles()),
        eigenvalues_(noise.eigenvalues.to_doubles()) {
    const std::vector<double> sigma = noise.sigma.to_doubles();
    for (std::size_t j = 0; j < kJoints; ++j) inverses_[j] = inverse(block(sigma, j));
  }

  // The means mu(b) of the sequence's frames.
  std::vector<double> add(const diffusion::NoiseSequence& rows, std::uint64_t number) {
    const auto frames = static_cast<Index>(rows.a.size() / kWidth);
    const Tensor b = Tensor::of({1, frames, diffusion::kConditionWidth}, rows.b, DType::f64);
    std::vector<double> mean = noise_.mean(b).to_doubles();
    const std::vector<double> drawn = noise_.sample(b, kind_, seed_, number).to_doubles();
    std::vector<double> residual(rows.a.size());
    for (std::size_t i = 0; i < residual.size(); ++i) residual[i] = rows.a[i] - mean[i];
    for (std::size_t f = 0; f < static_cast<std::size_t>(frames); ++f) {
      for (std::size_t j = 0; j < kJoints; ++j) {
        const std::size_t at = f * kWidth + 3 * j;
        ++real_[j][bin(&rows.a[at])];
        ++drawn_[j][bin(&drawn[at])];
        if (inverses_[j]) add_level(j, Eigen::Map<const Vector3>(&residual[at]));
      }
    }
    add_correlation(residual);
    frames_ += frames;
    return mean;
  }

  void write(Json& json) const {
    json["scored"] = frames_;
    json["correlation"] = Json::array();
    for (std::size_t lag = 0; lag < kLags && pairs_[lag] > 0; ++lag) {
      const double variance = products_[0] / static_cast<double>(pairs_[0]);
      json["correlation"].push_back(
          rounded(products_[lag] / static_cast<double>(pairs_[lag]) / variance, 4));
    }
    json["bin_mm"] = kBinMm;
    json["real"] = real_;
    json["drawn"] = drawn_;
    json["inside"] = Json::array();
    for (std::size_t j = 0; j < kJoints; ++j) {
      Json shares = Json::array();
      for (const std::int64_t count : inside_[j]) {
        shares.push_back(rounded(static_cast<double>(count) / static_cast<double>(frames_), 4));
      }
      json["inside"].push_back(inverses_[j] ? shares : Json());
    }
  }

 private:
  static std::size_t bin(const double* error) {
    const double mm = kMm * Eigen::Map<const Vector3>(error).norm();
    return static_cast<std::size_t>(std::min(mm / kBinMm, double{kBins - 1}));
  }

  void add_level(std::size_t joint, const Vector3& residual) {
    const double level = inside_probability(residual.dot(*inverses_[joint] * residual));
    for (std::size_t k = 0; k < kLevels; ++k) {
      const double edge = static_cast<double>(k + 1) / kLevels;
      if (k + 1 == kLevels || level <= edge) ++inside_[joint][k];
    }
  }

  // L^+ r = diag(1 / lambda) L^T r, since L's columns are eigenvectors times roots of lambda.
  void add_correlation(const std::vector<double>& residual) {
    const auto rank = static_cast<std::size_t>(noise_.rank());
    const std::size_t frames = residual.size() / kWidth;
    std::vector<double> white(frames * rank, 0.0);
    for (std::size_t f = 0; f < frames; ++f) {
      for (std::size_t i = 0; i < kWidth; ++i) {
        for (std::size_t k = 0; k < rank; ++k) {
          white[f * rank + k] += factor_[i * rank + k] * residual[f * kWidth + i];
        }
      }
      for (std::size_t k = 0; k < rank; ++k) white[f * rank + k] /= eigenvalues_[k];
    }
    for (std::size_t lag = 0; lag < std::min(kLags, frames); ++lag) {
      const std::size_t count = (frames - lag) * rank;
      double sum = 0;
      for (std::size_t i = 0; i < count; ++i) sum += white[i] * white[i + lag * rank];
      products_[lag] += sum;
      pairs_[lag] += static_cast<std::int64_t>(count);
    }
  }

  const diffusion::ConditionalNoise& noise_;
  diffusion::NoiseKind kind_;
  std::uint64_t seed_;
  std::vector<double> factor_;
  std::vector<double> eigenvalues_;
  std::array<std::optional<Matrix3>, kJoints> inverses_;
  std::int64_t frames_ = 0;
  std::array<double, kLags> products_{};
  std::array<std::int64_t, kLags> pairs_{};
  std::array<std::array<std::int64_t, kBins>, kJoints> real_{};
  std::array<std::array<std::int64_t, kBins>, kJoints> drawn_{};
  std::array<std::array<std::int64_t, kLevels>, kJoints> inside_{};
};

// One frame: the truth, the base estimate, and the base less its expected error.
Json example(const std::string& name, std::size_t frame, const diffusion::NoiseSequence& rows,
             const std::vector<double>& mean) {
  std::vector<double> truth;
  std::vector<double> base;
  std::vector<double> expected;
  for (std::size_t i = 0; i < kWidth; ++i) {
    const double noisy = rows.b[frame * diffusion::kConditionWidth + 2 * kJoints + i];
    base.push_back(noisy);
    truth.push_back(noisy - rows.a[frame * kWidth + i]);
    expected.push_back(noisy - mean[frame * kWidth + i]);
  }
  return {{"name", name},
          {"frame", frame},
          {"truth", millimetres(truth)},
          {"base", millimetres(base)},
          {"expected", millimetres(expected)}};
}

}  // namespace

Json noise_json(const diffusion::ConditionalNoise& noise, diffusion::NoiseKind kind,
                const data::Dataset& dataset, std::span<const int> sequences, std::uint64_t seed) {
  Json json{{"rank", noise.rank()},
            {"frames", noise.count},
            {"rho", rounded(noise.rho, 4)},
            {"kind", name(kind)}};
  for (const double value : noise.eigenvalues.to_doubles()) {
    json["spread"].push_back(rounded(kMm * std::sqrt(value), 4));
  }
  const std::vector<double> mu = noise.mu_a.to_doubles();
  const std::vector<double> sigma = noise.sigma.to_doubles();
  for (std::size_t j = 0; j < kJoints; ++j) {
    json["mean"].push_back(millimetres(std::span(mu).subspan(3 * j, 3)));
    const Matrix3 m = kMm * kMm * block(sigma, j);
    Json upper = Json::array();
    for (const double value : {m(0, 0), m(0, 1), m(0, 2), m(1, 1), m(1, 2), m(2, 2)}) {
      upper.push_back(rounded(value, 4));
    }
    json["covariance"].push_back(upper);
  }
  std::vector<int> known;
  std::ranges::copy_if(sequences, std::back_inserter(known), [&](int i) {
    const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(i)];
    return s.pose_3d && s.noisy_3d;
  });
  if (known.empty()) return json;
  Measured measured(noise, kind, seed);
  const std::size_t every = (known.size() + kExamples - 1) / kExamples;
  for (std::size_t i = 0; i < known.size(); ++i) {
    const diffusion::NoiseSequence rows = diffusion::noise_rows(dataset, known[i]);
    const std::vector<double> mean = measured.add(rows, i);
    if (i % every != 0) continue;
    const std::size_t middle = rows.a.size() / kWidth / 2;
    const auto index = static_cast<std::size_t>(known[i]);
    json["examples"].push_back(example(dataset.sequences[index].name, middle, rows, mean));
  }
  measured.write(json);
  return json;
}

}  // namespace posetape::tools::report
