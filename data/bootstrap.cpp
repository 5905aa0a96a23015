#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "data/evaluation.hpp"
#include "engine/error.hpp"
#include "engine/rng.hpp"

namespace posetape::data {
namespace {

// A clip's share of one metric's average: the average is sum(base) / sum(weight) over the clips.
struct Share {
  double weight = 0;
  double base = 0;
  double refined = 0;
};

std::vector<Share> clip_shares(const Evaluation& base, const Evaluation& refined,
                               const Metric& metric) {
  std::map<std::string, std::int64_t> totals;  // by action
  for (const SequenceScores& s : base.sequences) totals[s.action] += s.*metric.count;
  std::map<std::string, Share> shares;  // by clip
  for (std::size_t i = 0; i < base.sequences.size(); ++i) {
    const SequenceScores& b = base.sequences[i];
    Share& share = shares[b.clip];
    if (b.*metric.count == 0) continue;
    const double weight =
        static_cast<double>(b.*metric.count) / static_cast<double>(totals.at(b.action));
    share.weight += weight;
    share.base += weight * (b.mean.*metric.value);
    share.refined += weight * (refined.sequences[i].mean.*metric.value);
  }
  std::vector<Share> list;
  for (const auto& [clip, share] : shares) list.push_back(share);
  return list;
}

// What is computed of every resample. Only clips without a single velocity may give NaN.
struct Figures {
  double base, refined, difference, gain;
};

Figures figures(const Share& sum) {
  return {sum.base / sum.weight, sum.refined / sum.weight, (sum.refined - sum.base) / sum.weight,
          // No error left to reduce is no gain; without any weight that is 0 / 0, too.
          sum.base > 0 ? 100 * (sum.base - sum.refined) / sum.base : 0 / sum.weight};
}

Interval interval(const std::vector<Figures>& resamples, double Figures::*figure) {
  std::vector<double> values;
  for (const Figures& f : resamples) {
    if (!std::isnan(f.*figure)) values.push_back(f.*figure);
  }
  std::ranges::sort(values);
  if (resamples.size() == 1) {
    constexpr double nothing = std::numeric_limits<double>::quiet_NaN();
    return {quantile(values, 0.5), nothing, nothing};
  }
  return {quantile(values, 0.5), quantile(values, 0.025), quantile(values, 0.975)};
}

}  // namespace

Bootstrap bootstrap(const Evaluation& base, const Evaluation& refined, std::uint64_t seed,
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
  Bootstrap result;
  for (std::size_t m = 0; m < kMetrics.size(); ++m) {
    const std::vector<Share> shares = clip_shares(base, refined, kMetrics[m]);
    const auto clips = static_cast<std::uint32_t>(shares.size());
    std::vector<Figures> drawn;
    // One clip can be drawn in one way only.
    for (int r = 0; r < (clips == 1 ? 1 : resamples); ++r) {
      Random random(seed, Stream::bootstrap, static_cast<std::uint64_t>(r));
      Share sum;
      for (std::uint32_t i = 0; i < clips; ++i) {
        const Share& share = shares[random.below(clips)];
        sum.weight += share.weight;
        sum.base += share.base;
        sum.refined += share.refined;
      }
      drawn.push_back(figures(sum));
    }
    result.clips = static_cast<int>(clips);
    result.metrics[m] = {interval(drawn, &Figures::base), interval(drawn, &Figures::refined),
                         interval(drawn, &Figures::difference), interval(drawn, &Figures::gain)};
  }
  return result;
}

}  // namespace posetape::data
