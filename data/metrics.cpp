#include "data/metrics.hpp"

#include <Eigen/LU>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <limits>

#include "data/skeleton.hpp"

namespace posetape::data {
namespace {

using Points = Eigen::Matrix<double, kJoints, 3, Eigen::RowMajor>;
using ConstPoints = Eigen::Map<const Points>;

constexpr double kMillimetres = 1000;

double length(const Pose& pose, int joint) {
  const double* p = pose.data() + 3 * joint;
  return std::sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]);
}

double bone_length(const Pose& pose, int parent, int child) {
  const double* p = pose.data() + 3 * parent;
  const double* c = pose.data() + 3 * child;
  return std::hypot(c[0] - p[0], c[1] - p[1], c[2] - p[2]);
}

Pose scaled(const Pose& estimate, const Pose& truth) {
  const ConstPoints y(estimate.data());
  const ConstPoints x(truth.data());
  const double square = y.squaredNorm();
  const double scale = square > 0 ? x.cwiseProduct(y).sum() / square : 0;
  Pose result;
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = scale * estimate[i];
  return result;
}

bool counts_for_pck(int joint) {
  return joint != joint::hip && joint != joint::spine && joint != joint::neck;
}

}  // namespace

Pose error_vectors(const Pose& estimate, const Pose& truth) {
  Pose error;
  for (std::size_t i = 0; i < error.size(); ++i) {
    error[i] = (estimate[i] - truth[i]) * kMillimetres;
  }
  return error;
}

JointErrors joint_errors(const Pose& error) {
  JointErrors lengths;
  for (int j = 0; j < kJoints; ++j) lengths[static_cast<std::size_t>(j)] = length(error, j);
  return lengths;
}

double mean_length(const Pose& vectors) {
  double sum = 0;
  for (int j = 0; j < kJoints; ++j) sum += length(vectors, j);
  return sum / kJoints;
}

double p_mpjpe(const Pose& estimate, const Pose& truth) {
  return mean_length(error_vectors(procrustes(estimate, truth), truth));
}

double n_mpjpe(const Pose& estimate, const Pose& truth) {
  return mean_length(error_vectors(scaled(estimate, truth), truth));
}

// As VideoPose3D's p_mpjpe: center, scale to norm 1, rotate by the SVD of the covariance.
Pose procrustes(const Pose& estimate, const Pose& truth) {
  const ConstPoints x(truth.data());
  const ConstPoints y(estimate.data());
  const Eigen::RowVector3d x_mean = x.colwise().mean();
  const Eigen::RowVector3d y_mean = y.colwise().mean();
  Points x0 = x.rowwise() - x_mean;
  Points y0 = y.rowwise() - y_mean;
  const double x_norm = x0.norm();
  const double y_norm = y0.norm();

  Pose result;
  Eigen::Map<Points> aligned(result.data());
  aligned.rowwise() = x_mean;
  if (x_norm == 0 || y_norm == 0) return result;  // the best scale is 0
  x0 /= x_norm;
  y0 /= y_norm;

  const Eigen::Matrix3d covariance = x0.transpose() * y0;
  const Eigen::JacobiSVD<Eigen::Matrix3d> svd(covariance,
                                              Eigen::ComputeFullU | Eigen::ComputeFullV);
  Eigen::Matrix3d v = svd.matrixV();
  Eigen::Vector3d s = svd.singularValues();
  Eigen::Matrix3d rotation = v * svd.matrixU().transpose();
  if (rotation.determinant() < 0) {  // a reflection fits better, but no body is its mirror image
    v.col(2) *= -1;
    s(2) *= -1;
    rotation = v * svd.matrixU().transpose();
  }
  aligned += s.sum() * x_norm * y0 * rotation;
  return result;
}

double bone_length_error(const Pose& estimate, const Pose& truth) {
  double sum = 0;
  for (const auto& [parent, child] : kBones) {
    sum += std::abs(bone_length(estimate, parent, child) - bone_length(truth, parent, child));
  }
  return kMillimetres * sum / static_cast<double>(kBones.size());
}

double symmetry_error(const Pose& estimate) {
  double sum = 0;
  for (const int left : kLeftJoints) {
    const int right = kMirror[static_cast<std::size_t>(left)];
    sum += std::abs(bone_length(estimate, kParents[static_cast<std::size_t>(left)], left) -
                    bone_length(estimate, kParents[static_cast<std::size_t>(right)], right));
  }
  return kMillimetres * sum / static_cast<double>(kLeftJoints.size());
}

double pck(const JointErrors& errors, double threshold_mm) {
  int joints = 0;
  int below = 0;
  for (int j = 0; j < kJoints; ++j) {
    if (!counts_for_pck(j)) continue;
    ++joints;
    if (errors[static_cast<std::size_t>(j)] < threshold_mm) ++below;
  }
  return 100.0 * below / joints;
}

double auc(const JointErrors& errors) {
  double sum = 0;
  int thresholds = 0;
  for (int mm = 0; mm <= 150; mm += 5, ++thresholds) sum += pck(errors, mm);
  return sum / thresholds;
}

double peak_speed(std::span<const Pose> poses) {
  constexpr std::array<std::size_t, 4> kEnds{3, 6, 13, 16};  // ankles and wrists
  std::vector<double> speeds;
  for (std::size_t f = 1; f < poses.size(); ++f) {
    for (const std::size_t j : kEnds) {
      const double* now = &poses[f][3 * j];
      const double* before = &poses[f - 1][3 * j];
      speeds.push_back(1000 *
                       std::hypot(now[0] - before[0], now[1] - before[1], now[2] - before[2]));
    }
  }
  std::ranges::sort(speeds);
  return quantile(speeds, 0.99);
}

double quantile(std::span<const double> sorted, double q) {
  if (sorted.empty()) return std::numeric_limits<double>::quiet_NaN();
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Histogram histogram(std::span<const double> values) {
  Histogram counts{};
  for (const double value : values) {
    ++counts[static_cast<std::size_t>(std::min(value / kBinWidth, double{kBins - 1}))];
  }
  return counts;
}

}  // namespace posetape::data
