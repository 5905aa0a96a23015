#include "data/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string_view>

#include "engine/error.hpp"
#include "kernels/base/parallel.hpp"

namespace posetape::data {
namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

// As the columns of tables on Human3.6M are ordered.
constexpr std::array<std::string_view, 15> kH36mActions{
    "Directions", "Discussion", "Eating",    "Greeting", "Phoning",
    "Photo",      "Posing",     "Purchases", "Sitting",  "SittingDown",
    "Smoking",    "Waiting",    "WalkDog",   "Walking",  "WalkTogether"};

std::ptrdiff_t action_rank(const std::string& action) {
  return std::ranges::find(kH36mActions, action) - kH36mActions.begin();
}

Pose relative_truth(const PoseArray& truth, int frame) {
  const float* p = truth.frame(frame);
  Pose pose;
  for (std::size_t i = 0; i < pose.size(); ++i) {
    pose[i] = static_cast<double>(p[i]) - static_cast<double>(p[i % 3]);
  }
  return pose;
}

Pose rooted_estimate(const float* p, RootRule root) {
  Pose pose;
  for (std::size_t i = 0; i < pose.size(); ++i) {
    pose[i] = i < 3 && root == RootRule::zero ? 0 : static_cast<double>(p[i]);
  }
  return pose;
}

// The last window of an estimate, where the file has it.
const std::optional<PoseArray>* last_window_of(const Sequence& sequence,
                                               std::optional<PoseArray> Sequence::*estimate) {
  if (estimate == &Sequence::noisy_3d) return &sequence.noisy_3d_last_window;
  if (estimate == &Sequence::refined_3d) return &sequence.refined_3d_last_window;
  return nullptr;
}

// What is scored against a frame of the truth.
struct Scored {
  int frame = 0;
  const float* estimate = nullptr;
};

// The frames of sequence `index` in the order in which they are scored.
std::vector<Scored> scored_frames(const Dataset& dataset, int index,
                                  std::optional<PoseArray> Sequence::*estimate,
                                  const Protocol& protocol, int frames) {
  const Sequence& sequence = dataset.sequences[static_cast<std::size_t>(index)];
  const PoseArray& poses = *(sequence.*estimate);
  const int total = sequence.frames();
  std::vector<Scored> order;
  if (protocol.counting == Counting::once) {
    for (int f = 0; f < total; ++f) order.push_back({f, poses.frame(f)});
    return order;
  }
  const auto* last = last_window_of(sequence, estimate);
  const bool kept = last != nullptr && *last && (*last)->frames() == frames;
  for (const Window& window : make_windows(dataset, std::span(&index, 1), frames)) {
    const bool whole = kept && (window.first_valid > 0 || window.length < frames);
    for (int k = 0; k < frames; ++k) {
      const int f = frame_at(window, k, total);
      order.push_back({f, whole ? (*last)->frame(k) : poses.frame(f)});
    }
  }
  return order;
}

// ---- Sums over frames ----

// Numerators and denominators of Scores.
struct Sums {
  Scores sum;
  std::int64_t frames = 0;
  std::int64_t velocities = 0;
  std::int64_t accelerations = 0;
  std::int64_t speeds = 0;
  std::vector<double> poses;
};

void add(Sums& total, const Sums& part) {
  for (const Metric& metric : kMetrics) total.sum.*metric.value += part.sum.*metric.value;
  for (std::size_t j = 0; j < kJoints; ++j) total.sum.joints[j] += part.sum.joints[j];
  total.frames += part.frames;
  total.velocities += part.velocities;
  total.accelerations += part.accelerations;
  total.speeds += part.speeds;
}

Scores mean(const Sums& sums) {
  const auto divide = [](double sum, std::int64_t count) {
    return count > 0 ? sum / static_cast<double>(count) : kNothing;
  };
  Scores scores;
  for (const Metric& metric : kMetrics) {
    scores.*metric.value = divide(sums.sum.*metric.value, sums.frames);
  }
  scores.mpjve = divide(sums.sum.mpjve, sums.velocities);
  scores.acceleration = divide(sums.sum.acceleration, sums.accelerations);
  scores.peak_speed = divide(sums.sum.peak_speed, sums.speeds);
  for (std::size_t j = 0; j < kJoints; ++j) {
    scores.joints[j] = divide(sums.sum.joints[j], sums.frames);
  }
  return scores;
}

Sums score_sequence(const Sequence& sequence, std::span<const Scored> order,
                    const Protocol& protocol) {
  Sums sums;
  std::vector<Pose> truths;
  std::vector<Pose> estimates;
  Pose error_1{};  // a frame ago
  Pose error_2{};  // two frames ago
  for (std::size_t f = 0; f < order.size(); ++f) {
    const Pose truth = relative_truth(*sequence.pose_3d, order[f].frame);
    const Pose estimate = rooted_estimate(order[f].estimate, protocol.root);
    truths.push_back(truth);
    estimates.push_back(estimate);
    const Pose error = error_vectors(estimate, truth);
    const JointErrors lengths = joint_errors(error);
    sums.poses.push_back(mean_length(error));
    sums.sum.mpjpe += sums.poses.back();
    for (std::size_t j = 0; j < kJoints; ++j) sums.sum.joints[j] += lengths[j];
    sums.sum.p_mpjpe += p_mpjpe(estimate, truth);
    sums.sum.n_mpjpe += n_mpjpe(estimate, truth);
    sums.sum.bone_length += bone_length_error(estimate, truth);
    sums.sum.symmetry += symmetry_error(estimate);
    sums.sum.pck += pck(lengths);
    sums.sum.auc += auc(lengths);
    Pose first;
    Pose second;
    for (std::size_t i = 0; i < error.size(); ++i) {
      first[i] = error[i] - error_1[i];
      second[i] = error[i] - 2 * error_1[i] + error_2[i];
    }
    if (f >= 1) sums.sum.mpjve += mean_length(first);
    if (f >= 2) sums.sum.acceleration += mean_length(second);
    error_2 = error_1;
    error_1 = error;
  }
  sums.frames = static_cast<std::int64_t>(order.size());
  // There is a velocity less than frames, and another acceleration less.
  const auto weigh = [&](double& sum, std::int64_t missing) {
    const std::int64_t count = std::max<std::int64_t>(0, sums.frames - missing);
    if (count == 0 || protocol.velocity == VelocityRule::by_pair) return count;
    sum *= static_cast<double>(sums.frames) / static_cast<double>(count);
    return sums.frames;
  };
  sums.velocities = weigh(sums.sum.mpjve, 1);
  sums.accelerations = weigh(sums.sum.acceleration, 2);
  constexpr double kMoving = 200;  // mm/s
  if (const double truth = peak_speed(truths); truth * sequence.fps > kMoving) {
    sums.speeds = sums.velocities;
    sums.sum.peak_speed = 100 * peak_speed(estimates) / truth * static_cast<double>(sums.speeds);
  }
  return sums;
}

// Unweighted over the actions. An action too short to have a velocity is left out of that mean.
Scores average_over(const std::vector<ActionScores>& actions) {
  const auto average = [&](auto value) {
    double sum = 0;
    int count = 0;
    for (const ActionScores& action : actions) {
      if (std::isnan(value(action.mean))) continue;
      sum += value(action.mean);
      ++count;
    }
    return count > 0 ? sum / count : kNothing;
  };
  Scores scores;
  for (const Metric& metric : kMetrics) {
    scores.*metric.value = average([&](const Scores& s) { return s.*metric.value; });
  }
  for (std::size_t j = 0; j < kJoints; ++j) {
    scores.joints[j] = average([j](const Scores& s) { return s.joints[j]; });
  }
  return scores;
}

void check(const Dataset& dataset, std::span<const int> sequences,
           std::optional<PoseArray> Sequence::*estimate, const Protocol& protocol, int frames) {
  if (sequences.empty()) fail("there is no sequence to evaluate; check the test subjects");
  if (protocol.counting == Counting::each_window && frames < 1) {
    fail(
        "protocol {} counts the frames of each window, whose length the file doesn't say; give it "
        "with --frames",
        name(protocol.name));
  }
  const Sequence& first = dataset.sequences.at(static_cast<std::size_t>(sequences[0]));
  for (const int index : sequences) {
    const Sequence& sequence = dataset.sequences.at(static_cast<std::size_t>(index));
    if (!sequence.pose_3d || !(sequence.*estimate)) {
      fail(
          "sequence '{}' has no {}; an evaluation needs both for every sequence, so add it or "
          "leave the sequence out",
          sequence.name, sequence.pose_3d ? "estimated poses" : "ground truth ('pose_3d')");
    }
    if ((sequence.*estimate)->frames() != sequence.pose_3d->frames()) {
      fail("sequence '{}' has {} estimated and {} true frames; cut both to the same frames",
           sequence.name, (sequence.*estimate)->frames(), sequence.pose_3d->frames());
    }
    if (sequence.fps != first.fps) {
      fail(
          "sequence '{}' has {} frames a second, '{}' {}; velocity errors are per frame, so bring "
          "all to one rate or evaluate them apart",
          first.name, first.fps, sequence.name, sequence.fps);
    }
  }
}

}  // namespace

std::string action_class(const Sequence& sequence) {
  const std::string_view action = sequence.action();
  return std::string(action.substr(0, action.find(' ')));
}

Evaluation evaluate(const Dataset& dataset, std::span<const int> sequences,
                    std::optional<PoseArray> Sequence::*estimate, const Protocol& protocol,
                    int frames) {
  check(dataset, sequences, estimate, protocol, frames);

  // Each sequence is summed by one thread and the sums are added up in order.
  std::vector<Sums> sums(sequences.size());
  parallel_for(static_cast<Index>(sequences.size()), 1, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const Sequence& sequence = dataset.sequences[static_cast<std::size_t>(sequences[i])];
      sums[i] = score_sequence(
          sequence, scored_frames(dataset, sequences[i], estimate, protocol, frames), protocol);
    }
  });

  Evaluation result;
  std::map<std::string, Sums> actions;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const Sequence& sequence = dataset.sequences[static_cast<std::size_t>(sequences[i])];
    const std::string action = action_class(sequence);
    result.sequences.push_back({sequences[i], sequence.name, std::string(sequence.clip()), action,
                                sums[i].frames, sums[i].velocities, sums[i].accelerations,
                                sums[i].speeds, mean(sums[i])});
    add(actions[action], sums[i]);
    result.frames += sums[i].frames;
    result.poses.insert(result.poses.end(), sums[i].poses.begin(), sums[i].poses.end());
  }
  for (const auto& [action, total] : actions) {
    result.actions.push_back({action, total.frames, mean(total)});
  }
  std::ranges::stable_sort(result.actions, {},
                           [](const ActionScores& a) { return action_rank(a.action); });
  result.average = average_over(result.actions);
  return result;
}

JointErrors joint_distances(const Sequence& sequence, const PoseArray& estimate, int frame) {
  const Pose truth = relative_truth(*sequence.pose_3d, frame);
  Pose difference = rooted_estimate(estimate.frame(frame), RootRule::as_estimated);
  for (std::size_t i = 0; i < difference.size(); ++i) difference[i] -= truth[i];
  return joint_errors(difference);
}

double mpjpe(const Dataset& dataset, std::span<const int> sequences,
             std::span<const PoseArray> estimates) {
  double sum = 0;
  double count = 0;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const Sequence& s = dataset.sequences[static_cast<std::size_t>(sequences[i])];
    if (!s.pose_3d) fail("sequence {} has no pose_3d, which validation needs", s.name);
    for (int f = 0; f < s.frames(); ++f) {
      for (const double distance : joint_distances(s, estimates[i], f)) sum += distance;
      count += kJoints;
    }
  }
  return count > 0 ? 1000 * sum / count : 0;
}

double base_mpjpe(const Dataset& dataset, std::span<const int> sequences) {
  std::vector<PoseArray> estimates;
  for (const int i : sequences) {
    const Sequence& s = dataset.sequences[static_cast<std::size_t>(i)];
    if (!s.noisy_3d) fail("sequence {} has no noisy_3d", s.name);
    PoseArray& poses = estimates.emplace_back(*s.noisy_3d);
    for (int f = 0; f < poses.frames(); ++f) std::fill_n(poses.frame(f), 3, 0.0F);
  }
  return mpjpe(dataset, sequences, estimates);
}

}  // namespace posetape::data
