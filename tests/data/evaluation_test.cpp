#include "data/evaluation.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>

#include "kernels/base/parallel.hpp"
#include "tests/data/files.hpp"
#include "tests/data/poses.hpp"

using namespace posetape;
using namespace posetape::data;
using namespace posetape::test;

namespace {

using doctest::Approx;

Eigen::Matrix3d random_rotation(std::uint64_t seed) {
  Random random(seed, Stream::test, 1);
  const Eigen::Quaterniond q(random.normal(), random.normal(), random.normal(), random.normal());
  return q.normalized().toRotationMatrix();
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

TEST_CASE("the MPJPE of a validation is over all frames alike, as every frame's in an evaluation") {
  Dataset dataset = exact({{"S1/Walk/0", 4}, {"S1/Eat/0", 1}, {"S2/Walk/0", 9}});
  disturb(dataset.sequences[0], 5, [](int f) { return 0.017 * f; });
  disturb(dataset.sequences[1], 2, [](int) { return 0.34; });
  const std::vector<int> some{1, 0};
  const std::vector<PoseArray> estimates{*dataset.sequences[1].noisy_3d,
                                         *dataset.sequences[0].noisy_3d};
  const Evaluation scores = evaluate(dataset, some, &Sequence::noisy_3d);
  double sum = 0;
  for (const double mm : scores.poses) sum += mm;
  CHECK(mpjpe(dataset, some, estimates) == Approx(sum / 5).epsilon(1e-12));
  CHECK(mpjpe(dataset, some, estimates) == Approx((20 + 0 + 1 + 2 + 3) / 5.0).epsilon(1e-4));
  const JointErrors distances = joint_distances(dataset.sequences[0], estimates[1], 3);
  CHECK(distances[5] == Approx(0.051).epsilon(1e-4));
  CHECK(distances[6] < 1e-6);
  CHECK(mpjpe(dataset, {}, {}) == 0);
  dataset.sequences[0].pose_3d.reset();
  CHECK_MESSAGE_PARTS(mpjpe(dataset, some, estimates), "S1/Walk/0", "no pose_3d", "validation");
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

TEST_CASE("mixed frame rates, and windows of unknown length, are refused") {
  Dataset dataset = exact({{"S1/Walk/0", 3}, {"S1/Walk/1", 3}});
  CHECK_MESSAGE_PARTS(evaluate(dataset, all(dataset), &Sequence::noisy_3d,
                               protocol_of(ProtocolName::mixste_seq2seq)),
                      "mixste-seq2seq", "each window", "--frames");
  dataset.sequences[1].fps = 30;
  CHECK_MESSAGE_PARTS(score(dataset), "'S1/Walk/0' has 50 frames a second", "'S1/Walk/1' 30",
                      "one rate");
}

TEST_CASE("actions of Human3.6M come in its order, others after them by name") {
  const Evaluation evaluation = score(exact({{"S9/Jump/0", 2},
                                             {"S9/WalkTogether/0", 2},
                                             {"S9/Bow/0", 2},
                                             {"S9/Walking/0", 2},
                                             {"S9/Directions 1/0", 2}}));
  std::vector<std::string> names;
  for (const ActionScores& action : evaluation.actions) names.push_back(action.action);
  CHECK(names == std::vector<std::string>{"Directions", "Walking", "WalkTogether", "Bow", "Jump"});
}

// ---- Protocols ----

TEST_CASE("protocols differ in the root, the frames counted and how velocities weigh") {
  Dataset dataset = exact({{"S9/Walk/0", 5}, {"S9/Walk/1", 2}});
  // In the first clip the root is 17 mm off and one joint, from frame 3 on, 17 mm; in the second
  // another joint moves by 34 mm.
  disturb(dataset.sequences[0], 0, [](int) { return 0.017; });
  disturb(dataset.sequences[0], 5, [](int f) { return f < 3 ? 0 : 0.017; });
  disturb(dataset.sequences[1], 6, [](int f) { return f == 0 ? 0 : 0.034; });
  const auto average = [&](const char* protocol) {
    return evaluate(dataset, all(dataset), &Sequence::noisy_3d,
                    protocol_of(parse<ProtocolName>(protocol)), 3)
        .average;
  };
  const auto near = [](double mm) { return Approx(mm).epsilon(1e-3); };
  // Frames of errors 0 0 0 1 1 and 0 2.
  for (const char* protocol : {"sequence", "stcformer-centre"}) {
    CHECK(average(protocol).mpjpe == near(4.0 / 7));
    CHECK(average(protocol).mpjve == near((1.0 + 2) / 5));  // pairs 0 0 1 0 and 2
  }
  // The root's 1 mm in each frame of the first clip; clips' means 1/4 and 2 weigh 5 and 2.
  CHECK(average("vp3d").mpjpe == near((7.0 + 2) / 7));
  CHECK(average("vp3d").mpjve == near((5 * 0.25 + 2 * 2) / 7));
  // Windows of 3: frames 0 1 2 2 3 4 of the first clip, 0 1 1 of the second.
  CHECK(average("mixste-seq2seq").mpjpe == near((1 + 1 + 1 + 1 + 2 + 2 + 0 + 2 + 2) / 9.0));
  CHECK(average("mixste-seq2seq").mpjve == near((6 * (1.0 / 5) + 3 * (2.0 / 2)) / 9));
}

TEST_CASE("where a file has the last window whole, a protocol that counts it takes its frames") {
  // Five frames in windows of 3: 0 1 2 and 2 3 4; two frames: 0 1 and padding.
  Dataset dataset = exact({{"S9/Walk/0", 5}, {"S9/Walk/1", 2}});
  for (Sequence& s : dataset.sequences) {
    PoseArray window{3, {}};
    const int start = std::max(0, s.frames() - 3);
    for (int k = 0; k < 3; ++k) {
      const float* p = s.noisy_3d->frame(std::min(start + k, s.frames() - 1));
      window.values.insert(window.values.end(), p, p + 3 * kJoints);
    }
    s.noisy_3d_last_window = window;
  }
  // Frame 2 of the first clip as its second window has it, and the padding of the second clip.
  dataset.sequences[0].noisy_3d_last_window->frame(0)[3 * 5] += 0.017f;
  dataset.sequences[1].noisy_3d_last_window->frame(2)[3 * 6] += 0.034f;
  const auto score_by = [&](const char* protocol, int frames) {
    return evaluate(dataset, all(dataset), &Sequence::noisy_3d,
                    protocol_of(parse<ProtocolName>(protocol)), frames);
  };
  const Evaluation mixste = score_by("mixste-seq2seq", 3);
  CHECK(mixste.frames == 9);
  CHECK(mixste.average.mpjpe == Approx((1.0 + 2.0) / 9).epsilon(1e-3));
  // Velocities run over the windows end to end: 0 0 1 1 0 and 0 2.
  CHECK(mixste.average.mpjve == Approx((6 * (2.0 / 5) + 3 * (2.0 / 2)) / 9).epsilon(1e-3));
  CHECK(score_by("sequence", 0).average.mpjpe < 1e-3);
  // Windows of another length say nothing of these.
  CHECK(score_by("mixste-seq2seq", 4).average.mpjpe < 1e-3);
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
        static_cast<int>(i), names[i], std::string(sequence.clip()), "All", 10, 9, 8, 9, {}};
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
  const Bootstrap gains =
      bootstrap(evaluation_of(names, {10, 20, 40}), evaluation_of(names, {8, 16, 32}), 1);
  CHECK(gains.clips == 3);
  CHECK(equal(gains.metrics[0].gain, {20, 20, 20}));
  CHECK(equal(gains.metrics[1].gain, {20, 20, 20}));
}

TEST_CASE("two clips have three resamples: either one twice, or both") {
  const std::vector<std::string> names{"1/a/0", "1/b/0"};
  const Bootstrap gains =
      bootstrap(evaluation_of(names, {10, 30}), evaluation_of(names, {9, 33}), 1);
  // Gains of 10 % and -10 %; both together (40 - 42) / 40. Chances 1/4, 1/4 and 1/2.
  CHECK(equal(gains.metrics[0].gain, {-5, -10, 10}));
}

TEST_CASE("clips weigh as in the average: by frames in an action, then every action the same") {
  // Without resampling the gain is the average's; with two clips that is the median.
  Dataset base = exact({{"S9/Sit/0", 3}, {"S9/Walk/0", 60}});
  disturb(base.sequences[0], 5, [](int) { return 0.17; });
  disturb(base.sequences[1], 5, [](int) { return 0.51; });
  Dataset refined = exact({{"S9/Sit/0", 3}, {"S9/Walk/0", 60}});
  disturb(refined.sequences[0], 5, [](int) { return 0.153; });
  disturb(refined.sequences[1], 5, [](int) { return 0.561; });
  const Bootstrap gains = bootstrap(score(base), score(refined), 1);
  CHECK(gains.metrics[0].gain.median == Approx(-5).epsilon(1e-3));
  CHECK(gains.metrics[0].gain.low == Approx(-10).epsilon(1e-3));
  CHECK(gains.metrics[0].gain.high == Approx(10).epsilon(1e-3));
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
        bootstrap(evaluation_of(names, base), evaluation_of(names, refined), 1).metrics[0].gain;
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
  const Bootstrap a = bootstrap(evaluation_of(one, base_1), evaluation_of(one, refined_1), 3);
  const Bootstrap b = bootstrap(evaluation_of(four, base_4), evaluation_of(four, refined_4), 3);
  CHECK(b.clips == 8);
  CHECK(equal(a.metrics[0].gain, b.metrics[0].gain));
  CHECK(equal(a.metrics[1].gain, b.metrics[1].gain));
  CHECK(a.metrics[0].gain.high > a.metrics[0].gain.low + 1);
}

TEST_CASE("the bootstrap is repeatable and depends on its seed") {
  const std::vector<std::string> names{"1/a/0", "1/b/0", "1/c/0", "1/d/0", "1/e/0", "1/f/0"};
  const Evaluation base = evaluation_of(names, {10, 20, 30, 40, 50, 60});
  const Evaluation refined = evaluation_of(names, {11, 18, 33, 36, 48, 61});
  const Interval first = bootstrap(base, refined, 1, 100).metrics[0].gain;
  const Interval again = bootstrap(base, refined, 1, 100).metrics[0].gain;
  const Interval other = bootstrap(base, refined, 2, 100).metrics[0].gain;
  CHECK(first.low == again.low);
  CHECK(first.median == again.median);
  CHECK(first.high == again.high);
  CHECK((first.low != other.low || first.median != other.median || first.high != other.high));
}

TEST_CASE("without an error to reduce, or other clips to draw, nothing is claimed") {
  const Evaluation single = evaluation_of({"1/a/0", "1/a/1"}, {10, 20});
  const Bootstrap gains = bootstrap(single, evaluation_of({"1/a/0", "1/a/1"}, {9, 15}), 1);
  CHECK(gains.clips == 1);
  CHECK(gains.metrics[0].gain.median == Approx(20));
  CHECK(std::isnan(gains.metrics[0].gain.low));
  CHECK(std::isnan(gains.metrics[0].gain.high));
  const Evaluation zero = evaluation_of({"1/a/0", "1/b/0"}, {0, 0});
  CHECK(equal(bootstrap(zero, zero, 1).metrics[0].gain, {0, 0, 0}));
  CHECK_MESSAGE_PARTS(bootstrap(single, zero, 1, 0), "paired bootstrap", "same sequences");
  CHECK_MESSAGE_PARTS(bootstrap(single, evaluation_of({"1/a/0"}, {1}), 1), "found 2 and 1");
}

TEST_CASE("averages and their difference have intervals, too, in their own units") {
  const std::vector<std::string> names{"1/a/0", "1/b/0"};
  const Bootstrap both =
      bootstrap(evaluation_of(names, {10, 30}), evaluation_of(names, {9, 33}), 1);
  CHECK(equal(both.metrics[0].base, {20, 10, 30}));
  CHECK(equal(both.metrics[0].refined, {21, 9, 33}));
  // Paired: -1 or 3 mm with one clip twice, never 9 - 30.
  CHECK(equal(both.metrics[0].difference, {1, -1, 3}));
  CHECK(equal(both.metrics[1].difference, {0.5, -0.5, 1.5}));
}

TEST_CASE("what no clip has is unknown in the bootstrap") {
  const Dataset dataset = exact({{"S9/Sit/0", 1}, {"S9/Walk/0", 1}});
  const Bootstrap result = bootstrap(score(dataset), score(dataset), 1);
  CHECK(std::isnan(result.metrics[3].base.median));  // velocities
  CHECK(std::isnan(result.metrics[3].gain.high));
  CHECK(std::isfinite(result.metrics[0].base.high));
}
