// The best similarity transform by another way than the product's.
#pragma once

#include <Eigen/Eigenvalues>
#include <Eigen/Geometry>

#include "data/dataset.hpp"

namespace posetape::test {

using Points = Eigen::Matrix<double, data::kJoints, 3, Eigen::RowMajor>;

// Horn, "Closed-form solution of absolute orientation using unit quaternions" (1987), without an
// SVD and without a case for reflections: the estimate under the scale, proper rotation and
// translation that bring it closest to the truth.
inline Points horn(const Points& estimate, const Points& truth) {
  const Eigen::RowVector3d y_mean = estimate.colwise().mean();
  const Eigen::RowVector3d x_mean = truth.colwise().mean();
  const Points y = estimate.rowwise() - y_mean;
  const Points x = truth.rowwise() - x_mean;
  const Eigen::Matrix3d m = y.transpose() * x;
  Eigen::Matrix4d n;
  n << m.trace(), m(1, 2) - m(2, 1), m(2, 0) - m(0, 2), m(0, 1) - m(1, 0),   //
      0, m(0, 0) - m(1, 1) - m(2, 2), m(0, 1) + m(1, 0), m(2, 0) + m(0, 2),  //
      0, 0, -m(0, 0) + m(1, 1) - m(2, 2), m(1, 2) + m(2, 1),                 //
      0, 0, 0, -m(0, 0) - m(1, 1) + m(2, 2);
  const Eigen::SelfAdjointEigenSolver<Eigen::Matrix4d> solver(n.transpose());  // reads the lower
  const Eigen::Vector4d q = solver.eigenvectors().col(3);
  const Eigen::Matrix3d r = Eigen::Quaterniond(q[0], q[1], q[2], q[3]).toRotationMatrix();
  const double scale = (y * r.transpose()).cwiseProduct(x).sum() / y.squaredNorm();
  return (scale * y * r.transpose()).rowwise() + x_mean;
}

}  // namespace posetape::test
