#include "data/figures.hpp"

#include <Eigen/Geometry>
#include <Eigen/SVD>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <vector>

#include "data/skeleton.hpp"

namespace posetape::data {
namespace {

using Eigen::Matrix3d;
using Eigen::Vector2d;
using Eigen::Vector3d;
// A column a joint.
using Pose2 = Eigen::Matrix<double, 2, kJoints>;
using Pose3 = Eigen::Matrix<double, 3, kJoints>;

double degrees(double radians) {
  return radians * 180 / std::numbers::pi;
}

double quantile(std::vector<double>& values, double share) {
  std::erase_if(values, [](double v) { return !std::isfinite(v); });
  if (values.empty()) return 0;
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

std::vector<int> frames_to_look_at(int frames) {
  const int count = std::min(frames, kExaminedFrames);
  std::vector<int> chosen;
  for (int i = 0; i < count; ++i) {
    chosen.push_back(static_cast<int>(std::int64_t{i} * frames / count));
  }
  return chosen;
}

template <class Pose>
double size_of(const Pose& centred) {
  return std::sqrt(centred.squaredNorm() / kJoints);
}

template <class Pose>
Pose centred(const Pose& pose) {
  return pose.colwise() - pose.rowwise().mean();
}

// Zero where all joints are in one place.
template <class Pose>
Pose normalised(const Pose& pose) {
  const Pose about_centre = centred(pose);
  const double size = size_of(about_centre);
  return size > 0 ? Pose(about_centre / size) : about_centre;
}

template <class Pose>
double bones_length(const Pose& pose) {
  double sum = 0;
  for (const auto& [parent, child] : kBones) sum += (pose.col(child) - pose.col(parent)).norm();
  return sum;
}

// The shortest tree that joins all joints, after Prim.
template <class Pose>
double shortest_tree(const Pose& pose) {
  constexpr int kDimensions = Pose::RowsAtCompileTime;
  const double* joints = pose.data();      // one after the other
  std::array<double, kJoints> distance{};  // squared, to the tree
  distance.fill(std::numeric_limits<double>::infinity());
  std::array<bool, kJoints> inside{};
  double sum = 0;
  int next = 0;
  for (int step = 0; step < kJoints; ++step) {
    inside[std::size_t(next)] = true;
    if (step > 0) sum += std::sqrt(distance[std::size_t(next)]);
    const double* from = joints + kDimensions * next;
    double least = std::numeric_limits<double>::infinity();
    for (int j = 0; j < kJoints; ++j) {
      if (inside[std::size_t(j)]) continue;
      double square = 0;
      for (int c = 0; c < kDimensions; ++c) {
        const double difference = joints[kDimensions * j + c] - from[c];
        square += difference * difference;
      }
      double& nearest = distance[std::size_t(j)];
      nearest = std::min(nearest, square);
      if (nearest < least) {
        least = nearest;
        next = j;
      }
    }
  }
  return sum;
}

template <class Pose>
double tree_ratio_of(const Pose& pose) {
  const double least = shortest_tree(pose);
  return least > 0 ? bones_length(pose) / least : 1;
}

// The frames that are looked at, about their centroids: the image's at size 1, the poses' in
// metres.
struct Both {
  std::vector<Pose2> image;
  std::vector<Pose3> poses;
};

Both both(const Sequence& sequence, const PoseArray& poses, const JointOrder& order) {
  Both all;
  for (const int f : frames_to_look_at(sequence.frames())) {
    const Pose2 image = normalised(pose_at<2>(sequence.pose_2d, f));
    Pose3 pose = pose_at<3>(poses, f);
    if (order != kSameOrder) {
      const Pose3 old = pose;
      for (int j = 0; j < kJoints; ++j) pose.col(j) = old.col(order[std::size_t(j)]);
    }
    if (image.isZero()) continue;
    all.image.push_back(image);
    all.poses.push_back(centred(pose));
  }
  return all;
}

Pose2 seen(const Pose3& pose, const Matrix3d& rotation) {
  return normalised(Pose2(rotation.topRows<2>() * pose));
}

// The rotation by which poses, seen along z, fit the image best: a linear map of least squares, to
// which the nearest rotation is taken; frames are scaled by what it gives, and joints weigh less
// the worse they fit. A small pull to no rotation decides where the poses are flat.
Matrix3d best_rotation(const Both& all) {
  Matrix3d rotation = Matrix3d::Identity();
  std::vector<double> scale;
  for (const Pose3& pose : all.poses) scale.push_back(size_of(pose));
  std::vector<Eigen::Array<double, 1, kJoints>> weight(all.poses.size(),
                                                       Eigen::Array<double, 1, kJoints>::Ones());
  constexpr int kRounds = 6;
  for (int round = 0; round < kRounds; ++round) {
    Eigen::Matrix<double, 2, 3> cross = Eigen::Matrix<double, 2, 3>::Zero();
    Matrix3d square = Matrix3d::Zero();
    for (std::size_t f = 0; f < all.poses.size(); ++f) {
      const Pose3 weighed = (all.poses[f].array().rowwise() * weight[f]).matrix();
      cross += scale[f] * all.image[f] * weighed.transpose();
      square += all.poses[f] * weighed.transpose();
    }
    const double pull = 0.01 * square.trace() / 3;
    if (!(pull > 0)) return Matrix3d::Identity();
    cross += pull * Matrix3d::Identity().topRows<2>();
    square += pull * Matrix3d::Identity();
    const Eigen::Matrix<double, 2, 3> map = cross * square.inverse();
    const Eigen::JacobiSVD<Eigen::Matrix<double, 2, 3>> svd(
        map, Eigen::ComputeFullU | Eigen::ComputeFullV);
    const Eigen::Matrix<double, 2, 3> rows =
        svd.matrixU() * svd.matrixV().leftCols<2>().transpose();
    rotation.row(0) = rows.row(0);
    rotation.row(1) = rows.row(1);
    rotation.row(2) = rows.row(0).cross(rows.row(1));
    std::vector<double> all_errors;
    for (std::size_t f = 0; f < all.poses.size(); ++f) {
      const Pose2 flat = rotation.topRows<2>() * all.poses[f];
      scale[f] = size_of(flat);
      weight[f] = (flat / std::max(scale[f], 1e-12) - all.image[f]).colwise().norm().array();
      for (int j = 0; j < kJoints; ++j) all_errors.push_back(weight[f](j));
    }
    const double usual = std::max(median(std::move(all_errors)), 1e-6);
    for (auto& w : weight) w = (1 + (w / (2 * usual)).square()).inverse();
  }
  return rotation;
}

double angle_of(const Matrix3d& rotation) {
  return degrees(std::acos(std::clamp((rotation.trace() - 1) / 2, -1.0, 1.0)));
}

double misfit_of(const Both& all, const Matrix3d& rotation) {
  std::vector<double> distances;
  for (std::size_t f = 0; f < all.poses.size(); ++f) {
    const Pose2 error = seen(all.poses[f], rotation) - all.image[f];
    for (int j = 0; j < kJoints; ++j) distances.push_back(error.col(j).norm());
  }
  return median(std::move(distances));
}

template <class Pose>
auto middle(const Pose& pose, int a, int b) {
  return ((pose.col(a) + pose.col(b)) / 2).eval();
}

// Of both, thighs and shins.
template <class Pose>
double legs_length(const Pose& pose) {
  double sum = 0;
  for (const int hip : {joint::right_hip, joint::left_hip}) {
    sum +=
        (pose.col(hip + 1) - pose.col(hip)).norm() + (pose.col(hip + 2) - pose.col(hip + 1)).norm();
  }
  return sum;
}

// From each left joint to its right one.
template <class Pose>
auto across(const Pose& pose) {
  Eigen::Matrix<double, Pose::RowsAtCompileTime, static_cast<int>(kLeftJoints.size())> sides;
  for (std::size_t i = 0; i < kLeftJoints.size(); ++i) {
    sides.col(Eigen::Index(i)) =
        pose.col(kLeftJoints[i]) - pose.col(kMirror[std::size_t(kLeftJoints[i])]);
  }
  return sides;
}

}  // namespace

double median(std::vector<double> values) {
  std::erase_if(values, [](double v) { return !std::isfinite(v); });
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

double tree_ratio(const PoseArray& poses) {
  std::vector<double> ratios;
  for (const int f : frames_to_look_at(poses.frames())) {
    ratios.push_back(poses.channels == 2 ? tree_ratio_of(pose_at<2>(poses, f))
                                         : tree_ratio_of(pose_at<3>(poses, f)));
  }
  return median(std::move(ratios));
}

ImageFigures image_figures(const Sequence& sequence) {
  ImageFigures figures;
  const double width = sequence.image_size[0];
  const double height = sequence.image_size[1];
  const double longer = std::max(width, height);
  std::vector<double> person, tree, upright, legs, hip, thorax, coordinates;
  double joints = 0;
  for (const int f : frames_to_look_at(sequence.frames())) {
    const Pose2 pose = pose_at<2>(sequence.pose_2d, f);
    Eigen::AlignedBox2d box;
    for (int j = 0; j < kJoints; ++j) {
      if (sequence.confidence &&
          (*sequence.confidence)[std::size_t(f) * kJoints + std::size_t(j)] <= 0)
        continue;
      const Vector2d p = pose.col(j);
      box.extend(p);
      coordinates.push_back(p.x());
      coordinates.push_back(p.y());
      const double beyond = std::max({-p.x(), -p.y(), p.x() - width, p.y() - height}) / longer;
      joints += 1;
      figures.outside += beyond > 0.1 ? 1 : 0;
      figures.away += beyond > 1 ? 1 : 0;
    }
    if (box.isEmpty()) continue;
    const double side = box.sizes().maxCoeff();
    person.push_back(side);
    tree.push_back(tree_ratio_of(pose));
    const Vector2d hips = middle(pose, joint::left_hip, joint::right_hip);
    const Vector2d shoulders = middle(pose, joint::left_shoulder, joint::right_shoulder);
    if (const double torso = (shoulders - hips).norm(); torso > 0) {
      legs.push_back(legs_length(pose) / 2 / torso);
      hip.push_back((pose.col(joint::hip) - hips).norm() / torso);
      thorax.push_back((pose.col(joint::thorax) - shoulders).norm() / torso);
    }
    const double ankles = (pose(1, joint::left_foot) + pose(1, joint::right_foot)) / 2;
    if (side > 0) upright.push_back((ankles - pose(1, joint::head)) / side);
  }
  if (joints > 0) {
    figures.outside /= joints;
    figures.away /= joints;
  }
  figures.person = median(std::move(person));
  figures.tree = median(std::move(tree));
  figures.upright = median(std::move(upright));
  figures.legs = median(std::move(legs));
  figures.hip = median(std::move(hip));
  figures.thorax = median(std::move(thorax));
  figures.low = quantile(coordinates, 0.02);
  figures.high = quantile(coordinates, 0.98);
  return figures;
}

BodyFigures body_figures(const PoseArray& poses, double fps) {
  BodyFigures figures;
  std::vector<double> root, legs, tree, size, lean, speed, jitter;
  double along = 0;
  double across_all = 0;
  for (const int f : frames_to_look_at(poses.frames())) {
    const Pose3 pose = pose_at<3>(poses, f);
    root.push_back(pose.col(0).norm());
    size.push_back(size_of(centred(pose)));
    tree.push_back(tree_ratio_of(pose));
    const Vector3d up = pose.col(joint::head) - middle(pose, joint::left_foot, joint::right_foot);
    lean.push_back(degrees(std::atan2(-up.z(), -up.y())));
    const Vector3d to_left = (pose.col(joint::left_hip) - pose.col(joint::right_hip)).normalized();
    for (const int hip : {joint::right_hip, joint::left_hip}) {
      const Vector3d thigh = pose.col(hip + 1) - pose.col(hip);
      const Vector3d shin = pose.col(hip + 2) - pose.col(hip + 1);
      legs.push_back(thigh.norm());
      legs.push_back(shin.norm());
      const Vector3d axis = thigh.cross(shin) / std::max(thigh.norm() * shin.norm(), 1e-12);
      constexpr double kBent = 0.26;  // sine of 15 degrees
      if (axis.norm() < kBent) continue;
      ++figures.bends;
      along += axis.dot(to_left);
      across_all += axis.norm();
    }
    if (f + 1 >= poses.frames()) continue;
    const Pose3 next = pose_at<3>(poses, f + 1);
    const Pose3 step = (next.colwise() - next.col(0)) - (pose.colwise() - pose.col(0));
    for (int j = 1; j < kJoints; ++j) speed.push_back(step.col(j).norm() * fps);
    if (f + 2 >= poses.frames()) continue;
    const Pose3 third = pose_at<3>(poses, f + 2);
    const Pose3 turn = (third.colwise() - third.col(0)) - (next.colwise() - next.col(0)) - step;
    for (int j = 1; j < kJoints; ++j) jitter.push_back(turn.col(j).norm());
  }
  figures.root = median(std::move(root));
  figures.leg = median(std::move(legs));
  figures.tree = median(std::move(tree));
  figures.size = median(std::move(size));
  figures.lean = median(std::move(lean));
  figures.speed = quantile(speed, 0.95);
  figures.jitter = median(std::move(jitter));
  figures.knees = across_all > 0 ? along / across_all : 0;
  return figures;
}

FitFigures fit_figures(const Sequence& sequence, const PoseArray& poses) {
  FitFigures figures;
  const Both all = both(sequence, poses, kSameOrder);
  std::array<std::vector<double>, kJoints> joints;
  std::vector<double> distances;
  double alike = 0;
  double image = 0;
  double body = 0;
  for (std::size_t f = 0; f < all.poses.size(); ++f) {
    const Pose2 flat = seen(all.poses[f], Matrix3d::Identity());
    const Pose2 error = flat - all.image[f];
    for (int j = 0; j < kJoints; ++j) {
      joints[std::size_t(j)].push_back(error.col(j).norm());
      distances.push_back(error.col(j).norm());
    }
    const auto a = across(all.image[f]);
    const auto b = across(flat);
    alike += a.cwiseProduct(b).sum();
    image += a.squaredNorm();
    body += b.squaredNorm();
  }
  figures.misfit = median(std::move(distances));
  for (std::size_t j = 0; j < kJoints; ++j) figures.joints[j] = median(std::move(joints[j]));
  figures.sides = image > 0 && body > 0 ? alike / std::sqrt(image * body) : 1;
  figures.rotation = best_rotation(all);
  figures.angle = angle_of(figures.rotation);
  figures.turned_misfit = misfit_of(all, figures.rotation);
  return figures;
}

double misfit(const Sequence& sequence, const PoseArray& poses, const JointOrder& order) {
  return misfit_of(both(sequence, poses, order), Matrix3d::Identity());
}

std::array<double, kJoints> joint_misfits(const Sequence& sequence, const PoseArray& poses,
                                          const JointOrder& order) {
  const Both all = both(sequence, poses, order);
  std::array<double, kJoints> joints{};
  for (int j = 0; j < kJoints; ++j) {
    std::vector<double> distances;
    for (std::size_t f = 0; f < all.poses.size(); ++f) {
      const Pose2 error = seen(all.poses[f], Matrix3d::Identity()) - all.image[f];
      distances.push_back(error.col(j).norm());
    }
    joints[std::size_t(j)] = median(std::move(distances));
  }
  return joints;
}

Lag best_lag(const Sequence& sequence, const PoseArray& poses) {
  const int most = std::min({static_cast<int>(sequence.fps), 120, sequence.frames() / 2});
  Lag best{0, std::numeric_limits<double>::infinity()};
  for (int lag = -most; lag <= most; ++lag) {
    std::vector<double> distances;
    for (const int f : frames_to_look_at(sequence.frames())) {
      if (f + lag < 0 || f + lag >= sequence.frames()) continue;
      const Pose2 error = normalised(pose_at<2>(sequence.pose_2d, f + lag)) -
                          seen(centred(pose_at<3>(poses, f)), Matrix3d::Identity());
      for (int j = 0; j < kJoints; ++j) distances.push_back(error.col(j).norm());
    }
    const double misfit = median(std::move(distances));
    if (misfit < best.misfit) best = {lag, misfit};
  }
  return best;
}

JointOrder nearest_order(const Sequence& sequence, const PoseArray& poses) {
  const Both all = both(sequence, poses, kSameOrder);
  struct Pair {
    double distance;
    int image, pose;
  };
  std::vector<Pair> pairs;
  for (int j = 0; j < kJoints; ++j) {
    for (int k = 0; k < kJoints; ++k) {
      std::vector<double> distances;
      for (std::size_t f = 0; f < all.poses.size(); ++f) {
        const Pose2 flat = seen(all.poses[f], Matrix3d::Identity());
        distances.push_back((flat.col(k) - all.image[f].col(j)).norm());
      }
      pairs.push_back({median(std::move(distances)), j, k});
    }
  }
  std::ranges::stable_sort(pairs, {}, &Pair::distance);
  JointOrder order;
  order.fill(-1);
  std::array<bool, kJoints> taken{};
  for (const auto& [distance, j, k] : pairs) {
    if (order[std::size_t(j)] >= 0 || taken[std::size_t(k)]) continue;
    order[std::size_t(j)] = k;
    taken[std::size_t(k)] = true;
  }
  return order;
}

PairFigures pair_figures(const PoseArray& first, const PoseArray& second) {
  PairFigures figures;
  std::vector<Pose3> a, b;
  std::vector<double> scale;
  for (const int f : frames_to_look_at(std::min(first.frames(), second.frames()))) {
    a.push_back(centred(pose_at<3>(first, f)));
    b.push_back(centred(pose_at<3>(second, f)));
    const double size = size_of(b.back());
    if (size > 0) scale.push_back(size_of(a.back()) / size);
  }
  figures.scale = median(std::move(scale));
  Matrix3d cross = Matrix3d::Zero();
  for (std::size_t f = 0; f < a.size(); ++f) {
    a[f] = normalised(a[f]);
    b[f] = normalised(b[f]);
    cross += b[f] * a[f].transpose();
  }
  const Eigen::JacobiSVD<Matrix3d> svd(cross, Eigen::ComputeFullU | Eigen::ComputeFullV);
  const Matrix3d best = svd.matrixU() * svd.matrixV().transpose();
  figures.mirrored = best.determinant() < 0;
  figures.angle = figures.mirrored ? angle_of(-best) : angle_of(best);
  std::vector<double> plain, turned;
  for (std::size_t f = 0; f < a.size(); ++f) {
    for (int j = 0; j < kJoints; ++j) {
      plain.push_back((a[f].col(j) - b[f].col(j)).norm());
      turned.push_back((best * a[f].col(j) - b[f].col(j)).norm());
    }
  }
  figures.misfit = median(std::move(plain));
  figures.turned_misfit = median(std::move(turned));
  return figures;
}

std::optional<ProjectionFigures> projection_figures(const Sequence& sequence,
                                                    const PoseArray& poses) {
  ProjectionFigures figures;
  std::vector<Pose2> rays, image;
  std::vector<double> depth, person;
  for (const int f : frames_to_look_at(sequence.frames())) {
    const Pose3 pose = pose_at<3>(poses, f);
    depth.push_back(pose(2, 0));
    if (!(pose.row(2).minCoeff() > 0)) continue;
    rays.push_back((pose.topRows<2>().array().rowwise() / pose.row(2).array()).matrix());
    image.push_back(pose_at<2>(sequence.pose_2d, f));
    person.push_back(
        (image.back().rowwise().maxCoeff() - image.back().rowwise().minCoeff()).maxCoeff());
  }
  figures.depth = median(std::move(depth));
  if (rays.empty() || !(figures.depth > 0)) return std::nullopt;
  // Lines through the points of each axis: least squares, with joints weighing less the worse they
  // fit.
  std::vector<Eigen::Array<double, 1, kJoints>> weight(rays.size(),
                                                       Eigen::Array<double, 1, kJoints>::Ones());
  std::vector<double> distances;
  for (int round = 0; round < 6; ++round) {
    for (std::size_t axis = 0; axis < 2; ++axis) {
      double n = 0, x = 0, u = 0, xx = 0, xu = 0;
      for (std::size_t f = 0; f < rays.size(); ++f) {
        for (int j = 0; j < kJoints; ++j) {
          const double w = weight[f](j);
          const double ray = rays[f](Eigen::Index(axis), j);
          const double at = image[f](Eigen::Index(axis), j);
          n += w, x += w * ray, u += w * at, xx += w * ray * ray, xu += w * ray * at;
        }
      }
      const double spread = xx / n - (x / n) * (x / n);
      if (!(spread > 1e-8)) return std::nullopt;
      figures.focal[axis] = (xu / n - x / n * (u / n)) / spread;
      figures.centre[axis] = u / n - figures.focal[axis] * (x / n);
    }
    distances.clear();
    for (std::size_t f = 0; f < rays.size(); ++f) {
      for (int j = 0; j < kJoints; ++j) {
        const Vector2d at(figures.focal[0] * rays[f](0, j) + figures.centre[0],
                          figures.focal[1] * rays[f](1, j) + figures.centre[1]);
        weight[f](j) = (at - image[f].col(j)).norm();
        distances.push_back(weight[f](j));
      }
    }
    const double usual = std::max(median(distances), 1e-9);
    for (auto& w : weight) w = (1 + (w / (2 * usual)).square()).inverse();
  }
  const double size = median(std::move(person));
  figures.misfit = size > 0 ? median(std::move(distances)) / size : 0;
  return figures;
}

}  // namespace posetape::data
