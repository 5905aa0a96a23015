#include "data/metrics.hpp"

#include <doctest/doctest.h>

#include <Eigen/Geometry>
#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <span>

#include "data/evaluation.hpp"
#include "data/skeleton.hpp"
#include "engine/rng.hpp"
#include "tests/data/horn.hpp"
#include "tests/data/poses.hpp"

using namespace posetape;
using namespace posetape::data;

namespace {

using doctest::Approx;
using test::horn;
using test::Points;

Points points(const Pose& pose) {
  return Eigen::Map<const Points>(pose.data());
}
Pose pose(const Points& points) {
  Pose result;
  Eigen::Map<Points>(result.data()) = points;
  return result;
}

Points random_points(std::uint64_t seed) {
  Random random(seed, Stream::test);
  Points result;
  for (int i = 0; i < result.size(); ++i) result.data()[i] = random.normal();
  return result;
}

Eigen::Matrix3d random_rotation(std::uint64_t seed) {
  Random random(seed, Stream::test, 1);
  const Eigen::Quaterniond q(random.normal(), random.normal(), random.normal(), random.normal());
  return q.normalized().toRotationMatrix();
}

double mean_distance(const Points& a, const Points& b) {
  return (a - b).rowwise().norm().mean();
}

// A standing body of round lengths: every bone 0.1 m long but the thighs, of 0.4 m.
Pose body() {
  Points p = Points::Zero();
  for (const auto& [parent, child] : kBones) {
    const bool thigh = child == joint::right_knee || child == joint::left_knee;
    p.row(child) = p.row(parent) + Eigen::RowVector3d(0, thigh ? 0.4 : 0.1, 0);
  }
  return pose(p);
}

}  // namespace

TEST_CASE("Procrustes undoes any similarity transform") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Points truth = random_points(seed);
    const Points estimate = ((0.3 + 0.2 * double(seed)) * truth * random_rotation(seed)).rowwise() +
                            Eigen::RowVector3d(1, -2, double(seed));
    CHECK(mean_distance(points(procrustes(pose(estimate), pose(truth))), truth) < 1e-12);
  }
}

TEST_CASE("Procrustes is invariant to a similarity transform of the estimate") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Points truth = random_points(seed);
    const Points estimate = random_points(seed + 100);
    const Points moved =
        (7 * estimate * random_rotation(seed)).rowwise() + Eigen::RowVector3d(3, 2, 1);
    const double plain = mean_distance(points(procrustes(pose(estimate), pose(truth))), truth);
    const double after = mean_distance(points(procrustes(pose(moved), pose(truth))), truth);
    CHECK(after == Approx(plain).epsilon(1e-10));
  }
}

TEST_CASE("Procrustes agrees with Horn's quaternions, also where a reflection would fit better") {
  int reflections = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Points truth = random_points(seed);
    Points estimate = random_points(seed + 1000);
    if (seed % 2 == 1) {  // the mirror image, somewhat disturbed
      estimate = truth + 0.2 * estimate;
      estimate.col(0) *= -1;
    }
    const Points y0 = estimate.rowwise() - estimate.colwise().mean();
    const Points x0 = truth.rowwise() - truth.colwise().mean();
    if ((x0.transpose() * y0).determinant() < 0) ++reflections;
    const Points found = points(procrustes(pose(estimate), pose(truth)));
    CHECK((found - horn(estimate, truth)).norm() < 1e-9);
  }
  CHECK(reflections > 100);
}

TEST_CASE("a mirrored body is not a good estimate: it has the error of its best proper rotation") {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Points truth = random_points(seed);
    Points mirrored = truth;
    mirrored.col(0) *= -1;
    const double error = p_mpjpe(pose(mirrored), pose(truth));
    CHECK(error > 300);
    CHECK(error == Approx(1000 * mean_distance(horn(mirrored, truth), truth)).epsilon(1e-10));
    // No rotation and scale among many does better, by the measure that P-MPJPE minimises.
    const Points found = points(procrustes(pose(mirrored), pose(truth)));
    const double best = (found - truth).norm();
    const Points centred = mirrored.rowwise() - mirrored.colwise().mean();
    for (std::uint64_t other = 0; other < 200; ++other) {
      const Points turned = centred * random_rotation(1000 * seed + other);
      const Points x0 = truth.rowwise() - truth.colwise().mean();
      const double scale = turned.cwiseProduct(x0).sum() / turned.squaredNorm();
      CHECK((std::max(scale, 0.0) * turned - x0).norm() >= best);  // below 0 it is a reflection
    }
  }
}

TEST_CASE("errors are lengths in millimetres, of points in metres") {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Points truth = random_points(seed);
    const Points estimate = random_points(seed + 50);
    const Pose error = error_vectors(pose(estimate), pose(truth));
    const JointErrors lengths = joint_errors(error);
    double sum = 0;
    for (int j = 0; j < kJoints; ++j) {
      const double expected = 1000 * (estimate.row(j) - truth.row(j)).norm();
      CHECK(lengths[std::size_t(j)] == Approx(expected).epsilon(1e-12));
      for (int c = 0; c < 3; ++c) {
        CHECK(error[std::size_t(3 * j + c)] ==
              Approx(1000 * (estimate(j, c) - truth(j, c))).epsilon(1e-12));
      }
      sum += expected;
    }
    CHECK(mean_length(error) == Approx(sum / 17).epsilon(1e-12));
    CHECK(p_mpjpe(pose(estimate), pose(truth)) ==
          Approx(1000 * mean_distance(horn(estimate, truth), truth)).epsilon(1e-10));
  }
}

TEST_CASE("N-MPJPE takes the scale that fits best, about the origin, and nothing else") {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Points truth = random_points(seed);
    const Points estimate = truth + 0.4 * random_points(seed + 50);
    const auto error = [&](double scale) { return (scale * estimate - truth).norm(); };
    // Where the parabola through three errors squared has its least.
    const double e0 = std::pow(error(0), 2), e1 = std::pow(error(1), 2), e2 = std::pow(error(2), 2);
    const double scale = (4 * e1 - 3 * e0 - e2) / (2 * (2 * e1 - e0 - e2));
    CHECK(error(scale) < error(scale * 1.001));
    CHECK(error(scale) < error(scale * 0.999));
    CHECK(n_mpjpe(pose(estimate), pose(truth)) ==
          Approx(1000 * mean_distance(scale * estimate, truth)).epsilon(1e-9));
    CHECK(n_mpjpe(pose(-2 * truth), pose(truth)) < 1e-9);  // a negative one, too
    CHECK(n_mpjpe(pose(1e-3 * truth), pose(truth)) < 1e-9);
    CHECK(n_mpjpe(pose(Points::Zero()), pose(truth)) ==
          Approx(1000 * mean_distance(Points::Zero(), truth)));
  }
}

TEST_CASE("degenerate poses have a finite error") {
  const Points truth = random_points(1);
  const Points centre = truth.colwise().mean().replicate(kJoints, 1);
  CHECK((points(procrustes(pose(Points::Zero()), pose(truth))) - centre).norm() < 1e-12);
  CHECK((points(procrustes(pose(truth), pose(Points::Zero())))).norm() < 1e-12);
  Points line = Points::Zero();
  for (int j = 0; j < kJoints; ++j) line(j, 0) = j;
  CHECK(points(procrustes(pose(line), pose(truth))).allFinite());
  CHECK(std::isfinite(p_mpjpe(pose(Points::Zero()), pose(truth))));
  CHECK(std::isfinite(n_mpjpe(pose(Points::Zero()), pose(truth))));
}

TEST_CASE("bone lengths: a longer thigh is an error of its bone and of the body's symmetry") {
  Pose estimate = body();
  CHECK(bone_length_error(estimate, body()) == 0);
  CHECK(symmetry_error(estimate) == 0);
  // The left leg from the knee down moves along the thigh: one bone of 16 is 48 mm longer.
  for (const int j : {joint::left_knee, joint::left_foot})
    estimate[std::size_t(3 * j + 1)] += 0.048;
  CHECK(bone_length_error(estimate, body()) == Approx(3));
  CHECK(symmetry_error(estimate) == Approx(8));  // of 6 pairs
  // Turned as a whole, a body has the same bones.
  const Points turned = points(estimate) * random_rotation(1);
  CHECK(bone_length_error(pose(turned), estimate) < 1e-12);
}

TEST_CASE("PCK counts 14 joints strictly below 150 mm, AUC 31 thresholds") {
  JointErrors errors{};
  CHECK(pck(errors) == 100);
  CHECK(auc(errors) == Approx(100.0 * 30 / 31));  // nothing is below 0 mm
  for (const int j : {joint::hip, joint::spine, joint::neck}) errors[std::size_t(j)] = 1000;
  CHECK(pck(errors) == 100);  // not among the 14
  errors[joint::head] = 150;
  CHECK(pck(errors) == Approx(100.0 * 13 / 14));
  errors.fill(72);
  CHECK(auc(errors) == Approx(100.0 * 16 / 31));  // 75, 80, ..., 150
}

TEST_CASE("quantiles and the histogram") {
  const std::vector<double> values{0, 10, 20, 40};
  CHECK(quantile(values, 0) == 0);
  CHECK(quantile(values, 0.5) == 15);
  CHECK(quantile(values, 1) == 40);
  CHECK(quantile(values, 0.25) == 7.5);  // numpy.quantile
  CHECK(quantile(values, 0.9) == doctest::Approx(34));
  CHECK(quantile(std::vector<double>{3}, 0.7) == 3);
  const std::vector<double> longer{0, 10, 20, 40, std::nan("")};  // nothing is read behind the end
  CHECK(quantile(std::span(longer).first(4), 1) == 40);
  CHECK(std::isnan(quantile({}, 0.5)));
  const Histogram counts = histogram(std::vector<double>{0, 4.999, 5, 149.9, 150, 7000});
  CHECK(counts[0] == 2);
  CHECK(counts[1] == 1);
  CHECK(counts[29] == 1);
  CHECK(counts[30] == 2);
}

TEST_CASE("peak speed is that of wrists and ankles, and none of a clip in which nothing moves") {
  // Ankles and wrists at 1, 2, 3 and 4 m a frame, other joints far quicker.
  std::vector<Pose> poses(101);
  for (std::size_t f = 0; f < poses.size(); ++f) {
    poses[f].fill(100.0 * double(f));
    for (const auto& [joint, metres] :
         {std::pair<std::size_t, double>{3, 1}, {6, 2}, {13, 3}, {16, 4}}) {
      poses[f][3 * joint] = 0;
      poses[f][3 * joint + 1] = metres * double(f);
      poses[f][3 * joint + 2] = 7;
    }
  }
  CHECK(peak_speed(poses) == Approx(4000));
  CHECK(std::isnan(peak_speed(std::span(poses).first(1))));

  Dataset dataset;
  dataset.sequences = {test::random_sequence("a/still/0", 30, 1),
                       test::random_sequence("a/moving/0", 30, 2)};
  Sequence& still = dataset.sequences[0];
  for (int f = 1; f < 30; ++f) std::copy_n(still.pose_3d->frame(0), 51, still.pose_3d->frame(f));
  const Evaluation evaluation = evaluate(dataset, all_sequences(dataset), &Sequence::noisy_3d);
  CHECK(std::isnan(evaluation.sequences[0].mean.peak_speed));
  CHECK(evaluation.sequences[0].speeds == 0);
  CHECK(evaluation.average.peak_speed == evaluation.sequences[1].mean.peak_speed);
  CHECK(evaluation.sequences[1].mean.peak_speed > 0);
}
