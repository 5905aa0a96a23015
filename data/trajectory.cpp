#include "data/trajectory.hpp"

#include <Eigen/Cholesky>
#include <Eigen/SparseCholesky>
#include <algorithm>
#include <cmath>

#include "data/calibration.hpp"
#include "data/figures.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

using Mat3 = Eigen::Matrix3d;

constexpr double kAcross = 0.01;       // metres
constexpr double kAlong = 0.2;         // metres
constexpr double kAcceleration = 5;    // m/s^2
constexpr double kSlide = 0.05;        // m/s
constexpr double kLeastWeight = 1e-4;  // of a joint that was not seen

// A symmetric positive definite system A x = b of which no unknown meets others than those two
// frames around it. What is added to one place sums up.
class System {
 public:
  explicit System(int size) : a_(size, size), b_(Eigen::VectorXd::Zero(size)) {}

  void add(int i, int j, double v) { terms_.emplace_back(i, j, v); }  // j <= i
  void add_right(int i, double v) { b_[i] += v; }

  Eigen::VectorXd solve() && {
    a_.setFromTriplets(terms_.begin(), terms_.end());
    return Eigen::SimplicialLLT<Eigen::SparseMatrix<double>>(a_).solve(b_);
  }

 private:
  std::vector<Eigen::Triplet<double>> terms_;
  Eigen::SparseMatrix<double> a_;  // its lower triangle
  Eigen::VectorXd b_;
};

void add_places(System& system, const Trajectory& places) {
  for (std::size_t f = 0; f < places.size(); ++f) {
    const Vec3 ray = places[f].normalized();
    const Mat3 along = ray * ray.transpose();
    const Mat3 weight =
        (Mat3::Identity() - along) / (kAcross * kAcross) + along / (kAlong * kAlong);
    const Vec3 right = weight * places[f];
    const int first = 3 * static_cast<int>(f);
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j <= i; ++j) system.add(first + i, first + j, weight(i, j));
      system.add_right(first + i, right[i]);
    }
  }
}

void add_accelerations(System& system, int frames, double fps) {
  constexpr std::array<double, 3> kDifference{1, -2, 1};
  const double per_frame = kAcceleration / (fps * fps);
  for (int f = 0; f + 2 < frames; ++f) {
    for (int a = 0; a < 3; ++a) {
      for (int b = 0; b <= a; ++b) {
        const double weight =
            kDifference[std::size_t(a)] * kDifference[std::size_t(b)] / (per_frame * per_frame);
        for (int c = 0; c < 3; ++c) system.add(3 * (f + a) + c, 3 * (f + b) + c, weight);
      }
    }
  }
}

void add_feet(System& system, const PoseArray& poses, const FeetDown& down, double fps) {
  const double weight = fps * fps / (kSlide * kSlide);
  for (std::size_t foot = 0; foot < kFeet.size(); ++foot) {
    for (int f = 0; f + 1 < poses.frames(); ++f) {
      if (!down[foot][std::size_t(f)] || !down[foot][std::size_t(f) + 1]) continue;
      const Vec3 step = (pose_at<3>(poses, f + 1) - pose_at<3>(poses, f)).col(kFeet[foot]);
      for (int c = 0; c < 3; ++c) {
        const int here = 3 * f + c, next = here + 3;
        system.add(here, here, weight);
        system.add(next, next, weight);
        system.add(next, here, -weight);
        system.add_right(here, weight * step[c]);
        system.add_right(next, -weight * step[c]);
      }
    }
  }
}

}  // namespace

Trajectory fit_trajectory(const Sequence& sequence, const PoseArray& poses) {
  const Camera lens = lens_of(sequence);
  Trajectory places;
  for (int f = 0; f < poses.frames(); ++f) {
    const auto pose = pose_at<3>(poses, f);
    const auto pixels = pose_at<2>(sequence.pose_2d, f);
    Mat3 normal = Mat3::Zero();
    Vec3 right = Vec3::Zero();
    for (int j = 0; j < kJoints; ++j) {
      const Vec2 at = ray(lens, pixels.col(j));
      const double weight = std::max(kLeastWeight, double{sequence.sure(f, j)});
      for (int c = 0; c < 2; ++c) {
        Vec3 row = Vec3::Unit(c);
        row.z() = -at[c];
        normal += weight * row * row.transpose();
        right -= weight * row.dot(pose.col(j)) * row;
      }
    }
    const Vec3 place = normal.ldlt().solve(right);
    if (!(place.z() > 0)) {
      fail(
          "sequence {}, frame {}: its pose is where its 2D pose has it only behind the camera; are "
          "lens and image size those of the clip?",
          sequence.name, f);
    }
    places.push_back(place);
  }
  return places;
}

Trajectory smooth_trajectory(const Trajectory& places, const PoseArray& poses, const FeetDown& down,
                             double fps) {
  const int frames = static_cast<int>(places.size());
  System system(3 * frames);
  add_places(system, places);
  add_accelerations(system, frames, fps);
  add_feet(system, poses, down, fps);
  const Eigen::VectorXd solution = std::move(system).solve();
  Trajectory way;
  for (std::size_t f = 0; f < places.size(); ++f)
    way.emplace_back(solution.segment<3>(3 * static_cast<int>(f)));
  return way;
}

}  // namespace posetape::data
