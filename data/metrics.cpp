#include "data/metrics.hpp"

#include <Eigen/LU>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "engine/error.hpp"
#include "engine/rng.hpp"
#include "kernels/cpu/parallel.hpp"

namespace posetape::data {
namespace {

using Points = Eigen::Matrix<double, kJoints, 3, Eigen::RowMajor>;
using ConstPoints = Eigen::Map<const Points>;

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();
constexpr double kMillimetres = 1000;

// ---- One pose ----

Pose relative_truth(const PoseArray& truth, int frame) {
  const float* p = truth.frame(frame);
  Pose pose;
  for (std::size_t i = 0; i < pose.size(); ++i) {
    pose[i] = static_cast<double>(p[i]) - static_cast<double>(p[i % 3]);
  }
  return pose;
}

Pose rooted_estimate(const PoseArray& estimate, int frame) {
  const float* p = estimate.frame(frame);
  Pose pose;
  for (std::size_t i = 0; i < pose.size(); ++i) pose[i] = i < 3 ? 0 : static_cast<double>(p[i]);
  return pose;
}

double joint_norm(const Pose& v, int joint) {
  const double* p = v.data() + 3 * joint;
  return std::sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]);
}

// Mean over the joints of the length.
double mean_norm(const Pose& v) {
  double sum = 0;
  for (int j = 0; j < kJoints; ++j) sum += joint_norm(v, j);
  return sum / kJoints;
}

Pose difference(const Pose& a, const Pose& b) {
  Pose d;
  for (std::size_t i = 0; i < d.size(); ++i) d[i] = a[i] - b[i];
  return d;
}

// The scale that is best in squared distance: <truth, estimate> / <estimate, estimate>.
Pose scaled(const Pose& estimate, const Pose& truth) {
  const ConstPoints y(estimate.data());
  const ConstPoints x(truth.data());
  const double square = y.squaredNorm();
  const double scale = square > 0 ? x.cwiseProduct(y).sum() / square : 0;
  Pose result;
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = scale * estimate[i];
  return result;
}

// ---- Sums over frames ----

// Numerators and denominators of Scores. There is a velocity less than frames in a sequence, and
// another acceleration less.
struct Sums {
  Scores sum;
  std::int64_t frames = 0;
  std::int64_t velocities = 0;
  std::int64_t accelerations = 0;
};

// Calls f(a's metric, b's metric) for all that are means over frames.
template <class F>
void for_frame_metrics(Scores& a, const Scores& b, F f) {
  f(a.mpjpe, b.mpjpe);
  f(a.p_mpjpe, b.p_mpjpe);
  f(a.n_mpjpe, b.n_mpjpe);
  for (std::size_t j = 0; j < a.joints.size(); ++j) f(a.joints[j], b.joints[j]);
}

void add(Sums& total, const Sums& part) {
  for_frame_metrics(total.sum, part.sum, [](double& a, double b) { a += b; });
  total.sum.mpjve += part.sum.mpjve;
  total.sum.acceleration += part.sum.acceleration;
  total.frames += part.frames;
  total.velocities += part.velocities;
  total.accelerations += part.accelerations;
}

Scores mean(const Sums& sums) {
  const auto divide = [](double sum, std::int64_t count) {
    return count > 0 ? sum / static_cast<double>(count) : kNothing;
  };
  Scores scores;
  for_frame_metrics(scores, sums.sum, [&](double& a, double sum) { a = divide(sum, sums.frames); });
  scores.mpjve = divide(sums.sum.mpjve, sums.velocities);
  scores.acceleration = divide(sums.sum.acceleration, sums.accelerations);
  return scores;
}

Sums score_sequence(const PoseArray& estimates, const PoseArray& truths) {
  Sums sums;
  Pose error_1{};  // a frame ago
  Pose error_2{};  // two frames ago
  for (int f = 0; f < truths.frames(); ++f) {
    const Pose truth = relative_truth(truths, f);
    const Pose estimate = rooted_estimate(estimates, f);
    Pose error = difference(estimate, truth);
    for (double& v : error) v *= kMillimetres;
    sums.sum.mpjpe += mean_norm(error);
    for (int j = 0; j < kJoints; ++j) {
      sums.sum.joints[static_cast<std::size_t>(j)] += joint_norm(error, j);
    }
    sums.sum.p_mpjpe += kMillimetres * mean_norm(difference(procrustes(estimate, truth), truth));
    sums.sum.n_mpjpe += kMillimetres * mean_norm(difference(scaled(estimate, truth), truth));
    // The difference of velocities is the velocity of the difference.
    if (f >= 1) sums.sum.mpjve += mean_norm(difference(error, error_1));
    if (f >= 2) {
      Pose second = error;
      for (std::size_t i = 0; i < second.size(); ++i) second[i] += error_2[i] - 2 * error_1[i];
      sums.sum.acceleration += mean_norm(second);
    }
    error_2 = error_1;
    error_1 = error;
  }
  sums.frames = truths.frames();
  sums.velocities = std::max<std::int64_t>(0, sums.frames - 1);
  sums.accelerations = std::max<std::int64_t>(0, sums.frames - 2);
  return sums;
}

// Unweighted over the actions. An action too short to have a velocity is left out of that mean.
Scores average_over(const std::vector<ActionScores>& actions) {
  const auto average = [&](auto metric) {
    double sum = 0;
    int count = 0;
    for (const ActionScores& action : actions) {
      const double value = metric(action.mean);
      if (std::isnan(value)) continue;
      sum += value;
      ++count;
    }
    return count > 0 ? sum / count : kNothing;
  };
  Scores scores;
  scores.mpjpe = average([](const Scores& s) { return s.mpjpe; });
  scores.p_mpjpe = average([](const Scores& s) { return s.p_mpjpe; });
  scores.n_mpjpe = average([](const Scores& s) { return s.n_mpjpe; });
  scores.mpjve = average([](const Scores& s) { return s.mpjve; });
  scores.acceleration = average([](const Scores& s) { return s.acceleration; });
  for (std::size_t j = 0; j < scores.joints.size(); ++j) {
    scores.joints[j] = average([j](const Scores& s) { return s.joints[j]; });
  }
  return scores;
}

// ---- Bootstrap ----

// A clip's share of the four averages whose ratios are the gains.
struct Share {
  double base = 0, refined = 0;
  double p_base = 0, p_refined = 0;
};

std::vector<Share> clip_shares(const Evaluation& base, const Evaluation& refined) {
  std::map<std::string, std::int64_t> frames;
  for (const ActionScores& action : base.actions) frames[action.action] = action.frames;
  std::map<std::string, Share> shares;
  for (std::size_t i = 0; i < base.sequences.size(); ++i) {
    const SequenceScores& b = base.sequences[i];
    const SequenceScores& r = refined.sequences[i];
    const double weight = static_cast<double>(b.frames) / static_cast<double>(frames.at(b.action));
    Share& share = shares[b.clip];
    share.base += weight * b.mean.mpjpe;
    share.refined += weight * r.mean.mpjpe;
    share.p_base += weight * b.mean.p_mpjpe;
    share.p_refined += weight * r.mean.p_mpjpe;
  }
  std::vector<Share> list;
  for (const auto& [clip, share] : shares) list.push_back(share);
  return list;
}

// In percent; no error left to reduce is no gain.
double gain(double base, double refined) {
  return base > 0 ? 100 * (base - refined) / base : 0;
}

// The q-quantile of sorted values, linear between two of them (numpy's default).
double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Interval interval(std::vector<double> gains) {
  std::ranges::sort(gains);
  return {quantile(gains, 0.5), quantile(gains, 0.025), quantile(gains, 0.975)};
}

}  // namespace

std::string action_class(const Sequence& sequence) {
  const std::string_view action = sequence.action();
  return std::string(action.substr(0, action.find(' ')));
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

Evaluation evaluate(const Dataset& dataset, std::span<const int> sequences,
                    std::optional<PoseArray> Sequence::*estimate) {
  if (sequences.empty()) fail("there is no sequence to evaluate; check the test subjects");
  for (const int index : sequences) {
    const Sequence& sequence = dataset.sequences.at(static_cast<std::size_t>(index));
    if (!sequence.pose_3d || !(sequence.*estimate)) {
      fail("sequence '{}' has no {}; an evaluation needs both for every sequence", sequence.name,
           sequence.pose_3d ? "estimated poses" : "ground truth ('pose_3d')");
    }
    if ((sequence.*estimate)->frames() != sequence.pose_3d->frames()) {
      fail("sequence '{}' has {} estimated and {} true frames; cut both to the same frames",
           sequence.name, (sequence.*estimate)->frames(), sequence.pose_3d->frames());
    }
  }

  // Each sequence is summed by one thread and the sums are added up in order.
  std::vector<Sums> sums(sequences.size());
  parallel_for(static_cast<Index>(sequences.size()), 1, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const Sequence& sequence = dataset.sequences[static_cast<std::size_t>(sequences[i])];
      sums[i] = score_sequence(*(sequence.*estimate), *sequence.pose_3d);
    }
  });

  Evaluation result;
  std::map<std::string, Sums> actions;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const Sequence& sequence = dataset.sequences[static_cast<std::size_t>(sequences[i])];
    const std::string action = action_class(sequence);
    result.sequences.push_back({sequences[i], sequence.name, std::string(sequence.clip()), action,
                                sums[i].frames, mean(sums[i])});
    add(actions[action], sums[i]);
    result.frames += sums[i].frames;
  }
  for (const auto& [action, total] : actions) {
    result.actions.push_back({action, total.frames, mean(total)});
  }
  result.average = average_over(result.actions);
  return result;
}

Gains bootstrap_gains(const Evaluation& base, const Evaluation& refined, std::uint64_t seed,
                      int resamples) {
  const bool paired = std::ranges::equal(
      base.sequences, refined.sequences,
      [](const auto& a, const auto& b) { return a.index == b.index && a.frames == b.frames; });
  if (!paired || base.sequences.empty() || resamples < 1) {
    fail(
        "a paired bootstrap needs two evaluations of the same sequences, found {} and {}; "
        "evaluate both on one list",
        base.sequences.size(), refined.sequences.size());
  }
  const std::vector<Share> shares = clip_shares(base, refined);
  const auto clips = static_cast<std::uint32_t>(shares.size());
  if (clips == 1) {
    const Share& s = shares[0];
    return {1,
            {gain(s.base, s.refined), kNothing, kNothing},
            {gain(s.p_base, s.p_refined), kNothing, kNothing}};
  }

  std::vector<double> gains;
  std::vector<double> p_gains;
  for (int r = 0; r < resamples; ++r) {
    Random random(seed, Stream::bootstrap, static_cast<std::uint64_t>(r));
    Share sum;
    for (std::uint32_t i = 0; i < clips; ++i) {
      const Share& share = shares[random.below(clips)];
      sum.base += share.base;
      sum.refined += share.refined;
      sum.p_base += share.p_base;
      sum.p_refined += share.p_refined;
    }
    gains.push_back(gain(sum.base, sum.refined));
    p_gains.push_back(gain(sum.p_base, sum.p_refined));
  }
  return {static_cast<int>(clips), interval(std::move(gains)), interval(std::move(p_gains))};
}

}  // namespace posetape::data
