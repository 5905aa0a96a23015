// evaluate() and bootstrap() against plain computations of their definitions: every score, under
// every protocol, of poses that no symmetry helps.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "data/evaluation.hpp"
#include "engine/error.hpp"
#include "engine/rng.hpp"
#include "tests/data/horn.hpp"
#include "tests/data/poses.hpp"

using namespace posetape;
using namespace posetape::data;
using test::Points;

namespace {

using doctest::Approx;

// The skeleton as Human3.6M's 17 joints are numbered, written down once more.
constexpr std::array<std::pair<int, int>, 16> kTheBones{{{0, 1},
                                                         {1, 2},
                                                         {2, 3},
                                                         {0, 4},
                                                         {4, 5},
                                                         {5, 6},
                                                         {0, 7},
                                                         {7, 8},
                                                         {8, 9},
                                                         {9, 10},
                                                         {8, 11},
                                                         {11, 12},
                                                         {12, 13},
                                                         {8, 14},
                                                         {14, 15},
                                                         {15, 16}}};
// The six on the left, each with its counterpart.
constexpr std::array<std::array<int, 4>, 6> kTheSides{
    {{0, 4, 0, 1}, {4, 5, 1, 2}, {5, 6, 2, 3}, {8, 11, 8, 14}, {11, 12, 14, 15}, {12, 13, 15, 16}}};
constexpr std::array<int, 14> kCountedByPck{1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16};

// A mean that knows whether there was anything.
struct Mean {
  double sum = 0;
  double weight = 0;
  void add(double value, double w = 1) {
    sum += w * value;
    weight += w;
  }
  double value() const { return weight > 0 ? sum / weight : std::nan(""); }
};

double mean_distance(const Points& a, const Points& b) {
  return 1000 * (a - b).rowwise().norm().mean();
}

double pck_of(const Points& y, const Points& x, double threshold) {
  Mean mean;
  for (const int j : kCountedByPck) {
    mean.add(1000 * (y.row(j) - x.row(j)).norm() < threshold ? 100 : 0);
  }
  return mean.value();
}

// The means of one sequence, as kMetrics orders them, each with its weight in the action's.
struct Reference {
  std::array<Mean, kMetrics.size()> metrics;
  std::array<Mean, kJoints> joints;
  std::vector<double> poses;
};

Reference reference(const PoseArray& estimates, const PoseArray& truths,
                    const std::vector<int>& order, const Protocol& protocol) {
  Reference r;
  std::vector<Points> xs, ys;
  for (const int f : order) {
    Points x, y;
    for (int j = 0; j < kJoints; ++j) {
      for (int c = 0; c < 3; ++c) {
        x(j, c) = double{truths.frame(f)[3 * j + c]} - double{truths.frame(f)[c]};
        y(j, c) = double{estimates.frame(f)[3 * j + c]};
      }
    }
    if (protocol.root == RootRule::zero) y.row(0).setZero();
    xs.push_back(x);
    ys.push_back(y);

    r.poses.push_back(mean_distance(y, x));
    r.metrics[0].add(r.poses.back());
    for (int j = 0; j < kJoints; ++j) {
      r.joints[std::size_t(j)].add(1000 * (y.row(j) - x.row(j)).norm());
    }
    r.metrics[1].add(mean_distance(test::horn(y, x), x));
    const double scale = x.cwiseProduct(y).sum() / y.cwiseProduct(y).sum();
    r.metrics[2].add(mean_distance(scale * y, x));
    Mean bones, sides, thresholds;
    for (const auto& [p, c] : kTheBones) {
      bones.add(1000 * std::abs((y.row(c) - y.row(p)).norm() - (x.row(c) - x.row(p)).norm()));
    }
    for (const auto& [p, c, p2, c2] : kTheSides) {
      sides.add(1000 * std::abs((y.row(c) - y.row(p)).norm() - (y.row(c2) - y.row(p2)).norm()));
    }
    for (int k = 0; k <= 30; ++k) thresholds.add(pck_of(y, x, 5 * k));
    r.metrics[5].add(bones.value());
    r.metrics[6].add(sides.value());
    r.metrics[7].add(pck_of(y, x, 150));
    r.metrics[8].add(thresholds.value());
  }
  for (std::size_t f = 1; f < xs.size(); ++f) {
    r.metrics[3].add(mean_distance(ys[f] - ys[f - 1], xs[f] - xs[f - 1]));
  }
  for (std::size_t f = 2; f < xs.size(); ++f) {
    r.metrics[4].add(
        mean_distance(ys[f] - 2 * ys[f - 1] + ys[f - 2], xs[f] - 2 * xs[f - 1] + xs[f - 2]));
  }
  const auto peak = [](const std::vector<Points>& poses) {
    std::vector<double> speeds;
    for (std::size_t f = 1; f < poses.size(); ++f) {
      for (const int j : {3, 6, 13, 16}) {
        speeds.push_back((poses[f].row(j) - poses[f - 1].row(j)).norm());
      }
    }
    std::ranges::sort(speeds);
    const double at = 0.99 * double(speeds.size() - 1);
    const auto low = std::size_t(at);
    const double high = speeds[std::min(low + 1, speeds.size() - 1)];
    return speeds[low] + (at - double(low)) * (high - speeds[low]);
  };
  // A clip's peak weighs as its velocities do, where it moves faster than 0.2 m/s at 50 fps.
  const bool moves = xs.size() > 1 && peak(xs) * 50 > 0.2;
  for (std::size_t f = 1; moves && f < xs.size(); ++f) r.metrics[9].add(100 * peak(ys) / peak(xs));
  if (protocol.velocity == VelocityRule::by_frame) {
    for (const std::size_t m : {3, 4, 9}) {
      Mean& mean = r.metrics[m];
      if (mean.weight > 0) mean = {mean.value() * double(xs.size()), double(xs.size())};
    }
  }
  return r;
}

// Disjoint windows, the last one shifted back to end with a clip of at least a window.
std::vector<int> frames_of(int total, const Protocol& protocol, int window) {
  std::vector<int> order;
  if (protocol.counting == Counting::once) {
    for (int f = 0; f < total; ++f) order.push_back(f);
    return order;
  }
  for (int next = 0; next < total; next += window) {
    for (int k = 0; k < window; ++k) order.push_back(std::min(next, total - window) + k);
  }
  return order;
}

// Poses whose estimate is the truth, scaled, turned a little and disturbed by up to some 200 mm.
Sequence estimated(const std::string& name, int frames, std::uint64_t seed) {
  Sequence sequence = test::random_sequence(name, frames, seed);
  Random random(seed, Stream::test, 5);
  const double disturbance = 0.02 + 0.1 * random.uniform();
  // The person walks, away from the diagonal on which random_sequence places everyone.
  for (int f = 0; f < frames; ++f) {
    for (int i = 0; i < 3 * kJoints; ++i) {
      sequence.pose_3d->frame(f)[i] +=
          0.5f * static_cast<float>(i % 3) + 0.1f * static_cast<float>(f);
    }
  }
  for (int f = 0; f < frames; ++f) {
    for (int i = 0; i < 3 * kJoints; ++i) {
      const float* truth = sequence.pose_3d->frame(f);
      const double moved = 0.9 * (truth[i] - truth[i % 3]) + disturbance * random.normal();
      sequence.noisy_3d->frame(f)[i] = static_cast<float>(moved);
    }
  }
  return sequence;
}

Dataset some_clips(const std::vector<int>& frames) {
  const std::vector<std::string> names{"S9/Walking/a",    "S9/Walking/b", "S9/Walking 1/a",
                                       "S11/Walking/a",   "S9/Sitting/a", "S11/Sitting 2/a",
                                       "S11/Sitting 2/b", "S9/Jumping/a"};
  Dataset dataset;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    dataset.sequences.push_back(estimated(names.at(i), frames[i], 17 * i + 1));
  }
  return dataset;
}

void check_mean(const Scores& scores, const std::array<Mean, kMetrics.size()>& metrics,
                const std::array<Mean, kJoints>& joints) {
  for (std::size_t m = 0; m < kMetrics.size(); ++m) {
    CAPTURE(std::string(kMetrics[m].title));
    const double got = scores.*kMetrics[m].value;
    const double expected = metrics[m].value();
    if (std::isnan(expected)) {
      CHECK(std::isnan(got));
    } else {
      CHECK(got == Approx(expected).epsilon(1e-9));
    }
  }
  for (std::size_t j = 0; j < kJoints; ++j) {
    CHECK(scores.joints[j] == Approx(joints[j].value()).epsilon(1e-9));
  }
}

void check_against_reference(const Dataset& dataset, const std::string& name, int window) {
  CAPTURE(name);
  const Protocol protocol = protocol_of(parse<ProtocolName>(name));
  // Another order than the dataset's, and not all.
  std::vector<int> chosen = all_sequences(dataset);
  std::ranges::reverse(chosen);
  chosen.erase(chosen.begin() + 2);
  const Evaluation e = evaluate(dataset, chosen, &Sequence::noisy_3d, protocol, window);

  std::map<std::string, Reference> actions;
  std::vector<double> poses;
  std::int64_t frames = 0;
  REQUIRE(e.sequences.size() == chosen.size());
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const Sequence& sequence = dataset.sequences[std::size_t(chosen[i])];
    CAPTURE(sequence.name);
    const std::vector<int> order = frames_of(sequence.frames(), protocol, window);
    const Reference r = reference(*sequence.noisy_3d, *sequence.pose_3d, order, protocol);
    check_mean(e.sequences[i].mean, r.metrics, r.joints);
    CHECK(e.sequences[i].index == chosen[i]);
    CHECK(e.sequences[i].name == sequence.name);
    CHECK(e.sequences[i].frames == std::int64_t(order.size()));
    CHECK(double(e.sequences[i].velocities) == r.metrics[3].weight);
    CHECK(double(e.sequences[i].accelerations) == r.metrics[4].weight);
    Reference& action = actions[e.sequences[i].action];
    for (std::size_t m = 0; m < kMetrics.size(); ++m) {
      action.metrics[m].sum += r.metrics[m].sum;
      action.metrics[m].weight += r.metrics[m].weight;
    }
    for (std::size_t j = 0; j < kJoints; ++j) {
      action.joints[j].sum += r.joints[j].sum;
      action.joints[j].weight += r.joints[j].weight;
    }
    poses.insert(poses.end(), r.poses.begin(), r.poses.end());
    frames += std::int64_t(order.size());
  }
  CHECK(e.frames == frames);
  REQUIRE(e.poses.size() == poses.size());
  for (std::size_t i = 0; i < poses.size(); ++i) CHECK(e.poses[i] == Approx(poses[i]));

  // Each action weighs the same, however many frames it has.
  std::array<Mean, kMetrics.size()> metrics;
  std::array<Mean, kJoints> joints;
  REQUIRE(e.actions.size() == actions.size());
  for (const ActionScores& action : e.actions) {
    const Reference& r = actions.at(action.action);
    CHECK(double(action.frames) == r.metrics[0].weight);
    check_mean(action.mean, r.metrics, r.joints);
    for (std::size_t m = 0; m < kMetrics.size(); ++m) {
      if (r.metrics[m].weight > 0) metrics[m].add(r.metrics[m].value());
    }
    for (std::size_t j = 0; j < kJoints; ++j) joints[j].add(r.joints[j].value());
  }
  check_mean(e.average, metrics, joints);
}

}  // namespace

TEST_CASE("every score is what it is defined to be, in clip, action and average") {
  // Clips of one and two frames have no velocity, or no acceleration.
  const Dataset dataset = some_clips({9, 4, 6, 12, 1, 5, 2, 1});
  for (const char* protocol : {"sequence", "stcformer-centre", "vp3d"}) {
    check_against_reference(dataset, protocol, 3);
  }
}

TEST_CASE("... and where each window counts") {
  const Dataset dataset = some_clips({9, 4, 6, 12, 3, 5, 8, 7});
  for (const int window : {1, 2, 3}) check_against_reference(dataset, "mixste-seq2seq", window);
}

// ---- Bootstrap ----

namespace {

// numpy.quantile of unsorted values that are not NaN.
double quantile_of(std::vector<double> values, double q) {
  std::erase_if(values, [](double v) { return std::isnan(v); });
  if (values.empty()) return std::nan("");
  std::ranges::sort(values);
  const double at = q * (double(values.size()) - 1);
  const double low = values[std::size_t(std::floor(at))];
  const double high = values[std::size_t(std::ceil(at))];
  return low + (high - low) * (at - std::floor(at));
}

void check_interval(const Interval& got, const std::vector<double>& values) {
  const auto same = [](double a, double b) {
    return (std::isnan(a) && std::isnan(b)) || a == Approx(b).epsilon(1e-9);
  };
  CHECK(same(got.median, quantile_of(values, 0.5)));
  CHECK(same(got.low, quantile_of(values, 0.025)));
  CHECK(same(got.high, quantile_of(values, 0.975)));
}

// Clips with two estimates.
Dataset refined_clips(const std::vector<int>& frames) {
  Dataset dataset = some_clips(frames);
  for (std::size_t i = 0; i < dataset.sequences.size(); ++i) {
    Sequence& sequence = dataset.sequences[i];
    sequence.refined_3d = estimated("other", sequence.frames(), 17 * i + 1).noisy_3d;
    Random random(i, Stream::test, 6);
    for (float& v : sequence.refined_3d->values) v += static_cast<float>(0.05 * random.normal());
  }
  return dataset;
}

// Compares every interval with those of a bootstrap that is made here; returns the clips.
int check_bootstrap(const Dataset& dataset) {
  const std::vector<int> chosen = all_sequences(dataset);
  const Evaluation base = evaluate(dataset, chosen, &Sequence::noisy_3d);
  const Evaluation refined = evaluate(dataset, chosen, &Sequence::refined_3d);
  constexpr std::uint64_t kSeed = 12;
  constexpr int kResamples = 150;
  const Bootstrap result = bootstrap(base, refined, kSeed, kResamples);
  std::vector<std::string> clips;
  for (const SequenceScores& s : base.sequences) clips.push_back(s.clip);
  std::ranges::sort(clips);
  clips.erase(std::unique(clips.begin(), clips.end()), clips.end());
  for (std::size_t m = 0; m < kMetrics.size(); ++m) {
    CAPTURE(std::string(kMetrics[m].title));
    const auto value = kMetrics[m].value;
    const auto count = kMetrics[m].count;
    std::vector<double> of_base, of_refined, differences, gains;
    for (int r = 0; r < kResamples; ++r) {
      Random random(kSeed, Stream::bootstrap, std::uint64_t(r));
      Mean b, a;
      for (std::size_t i = 0; i < clips.size(); ++i) {
        const std::string& clip = clips[random.below(std::uint32_t(clips.size()))];
        for (std::size_t s = 0; s < base.sequences.size(); ++s) {
          const SequenceScores& scores = base.sequences[s];
          if (scores.clip != clip || scores.*count == 0) continue;
          double whole = 0;  // of the action
          for (const SequenceScores& other : base.sequences) {
            if (other.action == scores.action) whole += double(other.*count);
          }
          b.add(scores.mean.*value, double(scores.*count) / whole);
          a.add(refined.sequences[s].mean.*value, double(scores.*count) / whole);
        }
      }
      of_base.push_back(b.value());
      of_refined.push_back(a.value());
      differences.push_back(a.value() - b.value());
      gains.push_back(100 * (1 - a.value() / b.value()));
    }
    check_interval(result.metrics[m].base, of_base);
    check_interval(result.metrics[m].refined, of_refined);
    check_interval(result.metrics[m].difference, differences);
    check_interval(result.metrics[m].gain, gains);
  }
  return result.clips;
}

}  // namespace

TEST_CASE("the bootstrap is the quantiles of the figures of clips drawn with replacement") {
  CHECK(check_bootstrap(refined_clips({9, 4, 6, 12, 1, 5, 2, 1})) == 6);
}

// A quarter of the resamples, and more where the second one has two frames, have no velocity at
// all.
TEST_CASE("... without the resamples in which nothing has the figure") {
  CHECK(check_bootstrap(refined_clips({1, 1, 5})) == 2);
  CHECK(check_bootstrap(refined_clips({1, 2, 2})) == 2);
}

TEST_CASE("a gain of fractions of a millimetre is one") {
  Dataset dataset = refined_clips({4, 4, 6, 5});
  for (Sequence& sequence : dataset.sequences) {
    // Errors of some 0.1 mm.
    for (int f = 0; f < sequence.frames(); ++f) {
      for (int i = 0; i < 3 * kJoints; ++i) {
        const float* truth = sequence.pose_3d->frame(f);
        const float relative = truth[i] - truth[i % 3];
        sequence.noisy_3d->frame(f)[i] = relative + 1e-4f * static_cast<float>(i % 5);
        sequence.refined_3d->frame(f)[i] = relative + 0.5e-4f * static_cast<float>((i + f) % 5);
      }
    }
  }
  CHECK(check_bootstrap(dataset) == 3);
}

TEST_CASE("a bootstrap is of the same sequences, with the same frames") {
  const Dataset dataset = some_clips({9, 4, 9});
  const auto of = [&](std::vector<int> chosen) {
    return evaluate(dataset, chosen, &Sequence::noisy_3d);
  };
  CHECK_THROWS_AS(bootstrap(of({0, 1}), of({2, 1}), 1), Error);  // as many frames, other clips
  Evaluation shorter = of({0, 1});
  shorter.sequences[1].frames -= 1;
  CHECK_THROWS_AS(bootstrap(of({0, 1}), shorter, 1), Error);
  CHECK_THROWS_AS(bootstrap(of({0, 1}), of({1, 0}), 1), Error);
}

TEST_CASE("a bootstrap of one resample has a median and no interval") {
  const Dataset dataset = some_clips({9, 4, 6, 12});
  const Evaluation e = evaluate(dataset, all_sequences(dataset), &Sequence::noisy_3d);
  const Bootstrap one = bootstrap(e, e, 1, 1);
  CHECK(one.metrics[0].gain.median == 0);
  CHECK(one.metrics[0].base.median > 0);
  CHECK(std::isnan(one.metrics[0].base.low));
  CHECK(std::isnan(one.metrics[0].base.high));
}
