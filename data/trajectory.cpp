#include "data/trajectory.hpp"

#include <Eigen/Cholesky>
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

// A symmetric positive definite system whose unknowns are coupled only within kReach of each other:
// L L' x = b by Cholesky's decomposition in place.
class BandSystem {
 public:
  static constexpr int kReach = 6;  // two frames of three coordinates

  explicit BandSystem(int size) : rows_(std::size_t(size), Row{}), b_(std::size_t(size), 0.0) {}

  // Adds v to the matrix at (i, j), where j <= i <= j + kReach, and to the right-hand side.
  void add(int i, int j, double v) { at(i, j) += v; }
  void add_right(int i, double v) { b_[std::size_t(i)] += v; }

  std::vector<double> solve() && {
    const int size = static_cast<int>(b_.size());
    for (int i = 0; i < size; ++i) {
      for (int j = std::max(0, i - kReach); j <= i; ++j) {
        double sum = at(i, j);
        for (int k = std::max(0, i - kReach); k < j; ++k) sum -= at(i, k) * at(j, k);
        at(i, j) = j == i ? std::sqrt(sum) : sum / at(j, j);
      }
    }
    for (int i = 0; i < size; ++i) {
      for (int k = std::max(0, i - kReach); k < i; ++k)
        add_right(i, -at(i, k) * b_[std::size_t(k)]);
      b_[std::size_t(i)] /= at(i, i);
    }
    for (int i = size - 1; i >= 0; --i) {
      for (int k = i + 1; k <= std::min(size - 1, i + kReach); ++k) {
        add_right(i, -at(k, i) * b_[std::size_t(k)]);
      }
      b_[std::size_t(i)] /= at(i, i);
    }
    return std::move(b_);
  }

 private:
  using Row = std::array<double, kReach + 1>;  // of columns i - kReach ... i
  double& at(int i, int j) { return rows_[std::size_t(i)][std::size_t(j - i + kReach)]; }

  std::vector<Row> rows_;
  std::vector<double> b_;
};

void add_places(BandSystem& system, const Trajectory& places) {
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

void add_accelerations(BandSystem& system, int frames, double fps) {
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

void add_feet(BandSystem& system, const PoseArray& poses, const FeetDown& down, double fps) {
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
  BandSystem system(3 * frames);
  add_places(system, places);
  add_accelerations(system, frames, fps);
  add_feet(system, poses, down, fps);
  const std::vector<double> solution = std::move(system).solve();
  Trajectory way;
  for (std::size_t f = 0; f < places.size(); ++f) way.emplace_back(solution.data() + 3 * f);
  return way;
}

}  // namespace posetape::data
