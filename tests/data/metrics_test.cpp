#include "data/metrics.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <Eigen/Eigenvalues>
#include <Eigen/Geometry>
#include <Eigen/LU>
#include <cmath>

#include "kernels/cpu/parallel.hpp"
#include "tests/data/files.hpp"
#include "tests/data/poses.hpp"

using namespace posetape;
using namespace posetape::data;
using namespace posetape::test;

namespace {

using doctest::Approx;
using Points = Eigen::Matrix<double, kJoints, 3, Eigen::RowMajor>;

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

// Horn, "Closed-form solution of absolute orientation using unit quaternions" (1987): another way
// to the best proper similarity, without an SVD and without a case for reflections.
Points horn(const Points& estimate, const Points& truth) {
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

// A dataset of one sequence a name whose truth is random and whose estimate is exact.
Dataset exact(const std::vector<std::pair<std::string, int>>& sequences) {
  Dataset dataset;
  for (const auto& [name, frames] : sequences) {
    Sequence sequence = random_sequence(name, frames, dataset.sequences.size() * 7);
    sequence.noisy_3d = sequence.pose_3d;
    for (int f = 0; f < frames; ++f) {
      float* estimate = sequence.noisy_3d->frame(f);
      const float* truth = sequence.pose_3d->frame(f);
      for (int i = 0; i < 51; ++i) estimate[i] = truth[i] - truth[i % 3];
    }
    dataset.sequences.push_back(std::move(sequence));
  }
  return dataset;
}

std::vector<int> all(const Dataset& dataset) {
  std::vector<int> indices;
  for (std::size_t i = 0; i < dataset.sequences.size(); ++i) indices.push_back(static_cast<int>(i));
  return indices;
}

Evaluation score(const Dataset& dataset) {
  return evaluate(dataset, all(dataset), &Sequence::noisy_3d);
}

// Moves one joint by metres(frame) along x.
template <class F>
void disturb(Sequence& sequence, int joint, F metres) {
  for (int f = 0; f < sequence.frames(); ++f) {
    sequence.noisy_3d->frame(f)[3 * joint] += static_cast<float>(metres(f));
  }
}

}  // namespace

TEST_CASE("an exact estimate has no error, whatever it has for the root") {
  Dataset dataset = exact({{"S1/Walk/0", 5}});
  disturb(dataset.sequences[0], 0, [](int f) { return 0.1 * f; });
  const Scores scores = score(dataset).average;
  CHECK(scores.mpjpe == Approx(0).epsilon(1e-4));
  CHECK(scores.p_mpjpe < 1e-3);
  CHECK(scores.n_mpjpe < 1e-3);
  CHECK(scores.mpjve < 1e-3);
  CHECK(scores.acceleration < 1e-3);
}

TEST_CASE("MPJPE is the mean over 17 joints, the root among them, in millimetres") {
  Dataset dataset = exact({{"S1/Walk/0", 4}});
  disturb(dataset.sequences[0], 5, [](int) { return 0.017; });
  const Scores scores = score(dataset).average;
  CHECK(scores.mpjpe == Approx(1).epsilon(1e-4));
  CHECK(scores.joints[5] == Approx(17).epsilon(1e-4));
  CHECK(scores.joints[6] < 1e-3);
  CHECK(scores.mpjve < 1e-3);
}

TEST_CASE("velocity and acceleration errors are per frame") {
  // An error of 1.7 f^2 mm at one of 17 joints: velocity errors of 0.1, 0.3, 0.5, ... and
  // acceleration errors of 0.2.
  Dataset dataset = exact({{"S1/Walk/0", 4}});
  disturb(dataset.sequences[0], 5, [](int f) { return 0.0017 * f * f; });
  const Scores scores = score(dataset).average;
  CHECK(scores.mpjve == Approx(0.3).epsilon(1e-3));
  CHECK(scores.acceleration == Approx(0.2).epsilon(2e-3));
}

TEST_CASE("velocities do not cross from one sequence to the next") {
  Dataset dataset = exact({{"S1/Walk/0", 5}, {"S1/Walk/1", 5}});
  disturb(dataset.sequences[1], 5, [](int) { return 0.5; });
  const Scores scores = score(dataset).average;
  CHECK(scores.mpjpe > 10);
  CHECK(scores.mpjve < 1e-3);
  CHECK(scores.acceleration < 1e-3);
}

TEST_CASE("what a clip is too short for is not a number, and not in the average") {
  Dataset dataset = exact({{"S1/Sit/0", 1}, {"S1/Walk/0", 4}});
  disturb(dataset.sequences[1], 5, [](int f) { return 0.0017 * f; });
  const Evaluation evaluation = score(dataset);
  CHECK(std::isnan(evaluation.actions[0].mean.mpjve));
  CHECK(std::isnan(evaluation.actions[0].mean.acceleration));
  CHECK(evaluation.average.mpjve == Approx(0.1).epsilon(1e-3));
}

TEST_CASE("actions are frame-weighted, their average is not") {
  // Takes of one action, 1 and 3 frames with errors of 1 and 2 mm; another action with 5 mm.
  Dataset dataset = exact({{"S9/Walk/0", 1}, {"S9/Walk 1/0", 3}, {"S9/Sit/0", 10}});
  disturb(dataset.sequences[0], 5, [](int) { return 0.017; });
  disturb(dataset.sequences[1], 5, [](int) { return 0.034; });
  disturb(dataset.sequences[2], 5, [](int) { return 0.085; });
  const Evaluation evaluation = score(dataset);
  REQUIRE(evaluation.actions.size() == 2);
  CHECK(evaluation.actions[0].action == "Sit");
  CHECK(evaluation.actions[0].frames == 10);
  CHECK(evaluation.actions[1].action == "Walk");
  CHECK(evaluation.actions[1].mean.mpjpe == Approx(1.75).epsilon(1e-4));
  CHECK(evaluation.average.mpjpe == Approx((5 + 1.75) / 2).epsilon(1e-4));
  CHECK(evaluation.frames == 14);
  CHECK(evaluation.sequences[1].mean.mpjpe == Approx(2).epsilon(1e-4));
  CHECK(evaluation.sequences[1].clip == "S9/Walk 1");
}

TEST_CASE("N-MPJPE forgives scale, P-MPJPE rotation too") {
  Dataset dataset = exact({{"S1/Walk/0", 3}});
  for (float& v : dataset.sequences[0].noisy_3d->values) v *= 2;
  Scores scores = score(dataset).average;
  CHECK(scores.mpjpe > 100);
  CHECK(scores.n_mpjpe < 1e-3);
  CHECK(scores.p_mpjpe < 1e-3);
  const Eigen::Matrix3f rotation = random_rotation(1).cast<float>();
  for (int f = 0; f < 3; ++f) {
    for (int j = 0; j < kJoints; ++j) {
      Eigen::Map<Eigen::Vector3f> p(dataset.sequences[0].noisy_3d->frame(f) + 3 * j);
      p = (rotation * p).eval();
    }
  }
  scores = score(dataset).average;
  CHECK(scores.n_mpjpe > 100);
  CHECK(scores.p_mpjpe < 1e-2);
}

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

TEST_CASE("a mirrored body is not a good estimate") {
  const Points truth = random_points(3);
  Points mirrored = truth;
  mirrored.col(0) *= -1;
  CHECK(mean_distance(points(procrustes(pose(mirrored), pose(truth))), truth) > 0.3);
}

TEST_CASE("degenerate poses have a finite error") {
  const Points truth = random_points(1);
  const Points centre = truth.colwise().mean().replicate(kJoints, 1);
  CHECK((points(procrustes(pose(Points::Zero()), pose(truth))) - centre).norm() < 1e-12);
  CHECK((points(procrustes(pose(truth), pose(Points::Zero())))).norm() < 1e-12);
  Points line = Points::Zero();
  for (int j = 0; j < kJoints; ++j) line(j, 0) = j;
  CHECK(points(procrustes(pose(line), pose(truth))).allFinite());
  Dataset dataset = exact({{"S1/Walk/0", 3}});
  std::ranges::fill(dataset.sequences[0].noisy_3d->values, 0.0f);
  CHECK(std::isfinite(score(dataset).average.p_mpjpe));
  CHECK(std::isfinite(score(dataset).average.n_mpjpe));
}

TEST_CASE("scores do not depend on the number of threads") {
  Dataset dataset;
  for (int i = 0; i < 12; ++i) {
    dataset.sequences.push_back(
        random_sequence(fmt::format("S1/A{}/{}", i % 3, i), 3 + 5 * i, 50 + i));
  }
  const int before = threads();
  set_threads(1);
  const Evaluation one = score(dataset);
  for (const int n : {2, 3, 7}) {
    set_threads(n);
    const Evaluation many = score(dataset);
    CHECK(many.average.mpjpe == one.average.mpjpe);
    CHECK(many.average.p_mpjpe == one.average.p_mpjpe);
    CHECK(many.average.acceleration == one.average.acceleration);
    CHECK(many.actions[2].mean.joints == one.actions[2].mean.joints);
  }
  set_threads(before);
}

TEST_CASE("an evaluation without truth, estimate or sequences is refused") {
  Dataset dataset = exact({{"S1/Walk/0", 3}});
  CHECK_MESSAGE_PARTS(evaluate(dataset, std::vector<int>{}, &Sequence::noisy_3d),
                      "no sequence to evaluate", "test subjects");
  CHECK_MESSAGE_PARTS(evaluate(dataset, all(dataset), &Sequence::refined_3d), "'S1/Walk/0'",
                      "no estimated poses");
  dataset.sequences[0].pose_3d.reset();
  CHECK_MESSAGE_PARTS(score(dataset), "'S1/Walk/0'", "no ground truth ('pose_3d')");
}

// ---- Bootstrap ----

namespace {

// An evaluation in which sequence i has this MPJPE, and half of it as P-MPJPE.
Evaluation evaluation_of(const std::vector<std::string>& names, const std::vector<double>& mpjpe) {
  Evaluation evaluation;
  for (std::size_t i = 0; i < names.size(); ++i) {
    Sequence sequence;
    sequence.name = names[i];
    SequenceScores scores{
        static_cast<int>(i), names[i], std::string(sequence.clip()), "All", 10, {}};
    scores.mean.mpjpe = mpjpe[i];
    scores.mean.p_mpjpe = mpjpe[i] / 2;
    evaluation.sequences.push_back(scores);
  }
  evaluation.actions.push_back({"All", static_cast<std::int64_t>(10 * names.size()), {}});
  return evaluation;
}

bool equal(const Interval& a, const Interval& b) {
  return a.median == Approx(b.median) && a.low == Approx(b.low) && a.high == Approx(b.high);
}

}  // namespace

TEST_CASE("an equal gain in every clip is certain") {
  const std::vector<std::string> names{"1/a/0", "1/b/0", "1/c/0"};
  const Gains gains =
      bootstrap_gains(evaluation_of(names, {10, 20, 40}), evaluation_of(names, {8, 16, 32}), 1);
  CHECK(gains.clips == 3);
  CHECK(equal(gains.mpjpe, {20, 20, 20}));
  CHECK(equal(gains.p_mpjpe, {20, 20, 20}));
}

TEST_CASE("two clips have three resamples: either one twice, or both") {
  const std::vector<std::string> names{"1/a/0", "1/b/0"};
  const Gains gains =
      bootstrap_gains(evaluation_of(names, {10, 30}), evaluation_of(names, {9, 33}), 1);
  // Gains of 10 % and -10 %; both together (40 - 42) / 40. Chances 1/4, 1/4 and 1/2.
  CHECK(equal(gains.mpjpe, {-5, -10, 10}));
}

TEST_CASE("clips weigh as in the average: by frames in an action, then every action the same") {
  // Without resampling the gain is the average's; with two clips that is the median.
  Dataset base = exact({{"S9/Sit/0", 3}, {"S9/Walk/0", 60}});
  disturb(base.sequences[0], 5, [](int) { return 0.17; });
  disturb(base.sequences[1], 5, [](int) { return 0.51; });
  Dataset refined = exact({{"S9/Sit/0", 3}, {"S9/Walk/0", 60}});
  disturb(refined.sequences[0], 5, [](int) { return 0.153; });
  disturb(refined.sequences[1], 5, [](int) { return 0.561; });
  const Gains gains = bootstrap_gains(score(base), score(refined), 1);
  CHECK(gains.mpjpe.median == Approx(-5).epsilon(1e-3));
  CHECK(gains.mpjpe.low == Approx(-10).epsilon(1e-3));
  CHECK(gains.mpjpe.high == Approx(10).epsilon(1e-3));
}

TEST_CASE("the interval narrows with the clips, and holds the gain") {
  const auto width = [](int clips) {
    std::vector<std::string> names;
    std::vector<double> base, refined;
    Random random(5, Stream::test);
    for (int i = 0; i < clips; ++i) {
      names.push_back(fmt::format("1/{}/0", i));
      base.push_back(50 + 5 * random.normal());
      refined.push_back(base.back() * (0.9 + 0.1 * random.normal()));
    }
    const Interval gain =
        bootstrap_gains(evaluation_of(names, base), evaluation_of(names, refined), 1).mpjpe;
    CHECK(gain.low < 10);
    CHECK(gain.high > 10);
    return gain.high - gain.low;
  };
  // The standard error of a mean of n gains with deviation 10 % is 10 % / sqrt(n).
  CHECK(width(400) == Approx(2 * 1.96 * 10 / 20).epsilon(0.15));
  CHECK(width(25) == Approx(2 * 1.96 * 10 / 5).epsilon(0.4));
}

TEST_CASE("more cameras on the same clips make no more certain") {
  std::vector<std::string> one, four;
  std::vector<double> base_1, base_4, refined_1, refined_4;
  for (int clip = 0; clip < 8; ++clip) {
    for (int camera = 0; camera < 4; ++camera) {
      const std::string name = fmt::format("1/{}/{}", clip, camera);
      const double base = 40 + clip, refined = base - 3 + clip % 5;
      four.push_back(name), base_4.push_back(base), refined_4.push_back(refined);
      if (camera == 0) one.push_back(name), base_1.push_back(base), refined_1.push_back(refined);
    }
  }
  const Gains a = bootstrap_gains(evaluation_of(one, base_1), evaluation_of(one, refined_1), 3);
  const Gains b = bootstrap_gains(evaluation_of(four, base_4), evaluation_of(four, refined_4), 3);
  CHECK(b.clips == 8);
  CHECK(equal(a.mpjpe, b.mpjpe));
  CHECK(equal(a.p_mpjpe, b.p_mpjpe));
  CHECK(a.mpjpe.high > a.mpjpe.low + 1);
}

TEST_CASE("the bootstrap is repeatable and depends on its seed") {
  const std::vector<std::string> names{"1/a/0", "1/b/0", "1/c/0", "1/d/0", "1/e/0", "1/f/0"};
  const Evaluation base = evaluation_of(names, {10, 20, 30, 40, 50, 60});
  const Evaluation refined = evaluation_of(names, {11, 18, 33, 36, 48, 61});
  const Interval first = bootstrap_gains(base, refined, 1, 100).mpjpe;
  const Interval again = bootstrap_gains(base, refined, 1, 100).mpjpe;
  const Interval other = bootstrap_gains(base, refined, 2, 100).mpjpe;
  CHECK(first.low == again.low);
  CHECK(first.median == again.median);
  CHECK(first.high == again.high);
  CHECK((first.low != other.low || first.median != other.median || first.high != other.high));
}

TEST_CASE("without an error to reduce, or other clips to draw, nothing is claimed") {
  const Evaluation single = evaluation_of({"1/a/0", "1/a/1"}, {10, 20});
  const Gains gains = bootstrap_gains(single, evaluation_of({"1/a/0", "1/a/1"}, {9, 15}), 1);
  CHECK(gains.clips == 1);
  CHECK(gains.mpjpe.median == Approx(20));
  CHECK(std::isnan(gains.mpjpe.low));
  CHECK(std::isnan(gains.mpjpe.high));
  const Evaluation zero = evaluation_of({"1/a/0", "1/b/0"}, {0, 0});
  CHECK(equal(bootstrap_gains(zero, zero, 1).mpjpe, {0, 0, 0}));
  CHECK_MESSAGE_PARTS(bootstrap_gains(single, zero, 1, 0), "paired bootstrap", "same sequences");
  CHECK_MESSAGE_PARTS(bootstrap_gains(single, evaluation_of({"1/a/0"}, {1}), 1), "found 2 and 1");
}
