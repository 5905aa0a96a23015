#include "tools/report/poses.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "data/figures.hpp"
#include "data/printable.hpp"
#include "data/quality.hpp"
#include "data/skeleton.hpp"
#include "data/uncertainty.hpp"
#include "engine/error.hpp"
#include "tools/report/encoding.hpp"

namespace posetape::tools::report {
namespace {

using Json = nlohmann::ordered_json;

// MPJPE of the scored sequences in mm, by index in the dataset.
std::map<int, double> errors_of(const data::Evaluation& evaluation) {
  std::map<int, double> errors;
  for (const data::SequenceScores& s : evaluation.sequences) errors[s.index] = s.mean.mpjpe;
  return errors;
}

std::string coded_pose(data::PoseArray poses) {
  for (int f = 0; f < poses.frames(); ++f) {
    float* frame = poses.frame(f);
    for (int i = 3 * data::kJoints - 1; i >= 0; --i) frame[i] -= frame[i % 3];
  }
  return encoded(poses.values, 3 * data::kJoints, kPoseUnit);
}

}  // namespace

Json skeleton_json() {
  return {{"names", data::kJointNames}, {"parents", data::kParents}, {"left", data::kLeftJoints}};
}

std::vector<int> shown_sequences(const data::Dataset& dataset, std::span<const int> chosen,
                                 const std::optional<data::Comparison>& comparison,
                                 const PoseOptions& options) {
  std::vector<int> shown;
  if (!options.sequences.empty()) {
    for (const std::string& name : options.sequences) {
      const auto found = std::ranges::find_if(chosen, [&](int i) {
        return dataset.sequences[static_cast<std::size_t>(i)].name == name;
      });
      if (found == chosen.end()) {
        fail("there is no sequence '{}' among the {} chosen ones; --subjects all has them all",
             data::printable(name), chosen.size());
      }
      shown.push_back(*found);
    }
    return shown;
  }
  shown.assign(chosen.begin(), chosen.end());
  if (comparison && comparison->refined) {
    const std::map<int, double> base = errors_of(comparison->base);
    const std::map<int, double> refined = errors_of(*comparison->refined);
    std::ranges::stable_sort(shown, std::greater{}, [&](int i) {
      const double loss = refined.at(i) - base.at(i);
      return options.worst ? loss : std::fabs(loss);
    });
  }
  if (options.limit) {
    shown.resize(std::min(shown.size(), static_cast<std::size_t>(*options.limit)));
    return shown;
  }
  int frames = 0;
  const auto beyond = std::ranges::find_if(shown, [&](int i) {
    frames += dataset.sequences[static_cast<std::size_t>(i)].frames();
    return frames > kFrames;
  });
  shown.erase(std::max(beyond, std::min(shown.begin() + 1, shown.end())), shown.end());
  return shown;
}

// For each joint the frames in which nobody saw it, as [from, beyond, from, beyond, ...].
Json guessed_json(const data::Sequence& sequence) {
  Json joints = Json::array();
  for (int j = 0; j < data::kJoints; ++j) {
    Json edges = Json::array();
    bool guessed = false;
    for (int f = 0; f <= sequence.frames(); ++f) {
      const bool now = f < sequence.frames() && sequence.sure(f, j) <= 0;
      if (now != guessed) edges.push_back(f);
      guessed = now;
    }
    joints.push_back(std::move(edges));
  }
  return joints;
}

// How many standard deviations the ellipsoids that are drawn reach along x, y and z: as far as the
// regions that hold 80 % of each coordinate's truths.
Json reach_json(const data::Regions& regions) {
  const double plane = rounded(regions.multiples[data::kPlane][1]);
  return {plane, plane, rounded(regions.multiples[data::kDepth][1])};
}

Json poses_json(const data::Dataset& dataset, std::span<const int> shown) {
  Json list = Json::array();
  for (const int i : shown) {
    const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(i)];
    Json entry{{"name", s.name},
               {"frames", s.frames()},
               {"fps", s.fps},
               {"image_size", s.image_size},
               {"pose_2d", encoded(s.pose_2d.values, 2 * data::kJoints, kPixelUnit)}};
    if (s.confidence) entry["guessed"] = guessed_json(s);
    if (s.pose_3d) entry["truth"] = coded_pose(*s.pose_3d);
    if (s.noisy_3d) entry["base"] = coded_pose(*s.noisy_3d);
    if (s.refined_3d) entry["refined"] = coded_pose(*s.refined_3d);
    if (s.refined_std) {
      entry["std"] = encoded(s.refined_std->values, 3 * data::kJoints, kPoseUnit);
      entry["reach"] = reach_json(data::stored_regions(dataset));
    }
    list.push_back(std::move(entry));
  }
  return list;
}

namespace {

Json quality_json(const data::Sequence& sequence, const data::PoseArray& poses) {
  const data::Quality q = data::quality(poses, sequence.fps);
  return {{"jitter", rounded(q.jitter)},
          {"foot_jitter", rounded(q.foot_jitter)},
          {"peak_speed", rounded(q.peak_speed)},
          {"bone_spread", rounded(q.bone_spread)},
          {"turn_rounds", q.turn_rounds},
          {"misfit", rounded(100 * data::fit_figures(sequence, poses).misfit)}};
}

// Mean distance of the joints, mm.
double moved(const data::PoseArray& from, const data::PoseArray& to) {
  double sum = 0;
  for (std::size_t i = 0; i < from.values.size(); i += 3) {
    sum += std::hypot(to.values[i] - from.values[i], to.values[i + 1] - from.values[i + 1],
                      to.values[i + 2] - from.values[i + 2]);
  }
  return 1000 * sum / (data::kJoints * std::max(1, from.frames()));
}

}  // namespace

Json clips_json(const data::Dataset& dataset, std::span<const int> sequences,
                const std::optional<data::Comparison>& comparison) {
  std::map<int, double> base;
  std::map<int, double> refined;
  if (comparison) base = errors_of(comparison->base);
  if (comparison && comparison->refined) refined = errors_of(*comparison->refined);
  Json list = Json::array();
  for (const int i : sequences) {
    const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(i)];
    Json entry{{"name", s.name}, {"frames", s.frames()}};
    if (base.contains(i)) entry["base_mm"] = rounded(base[i]);
    if (refined.contains(i)) entry["refined_mm"] = rounded(refined[i]);
    if (s.noisy_3d && s.refined_3d) {
      entry["moved_mm"] = rounded(moved(*s.noisy_3d, *s.refined_3d));
    }
    if (const double share = data::guessed_share(s); share >= 0) {
      entry["guessed_percent"] = rounded(share);
    }
    if (s.noisy_3d) entry["quality"]["base"] = quality_json(s, *s.noisy_3d);
    if (s.refined_3d) entry["quality"]["refined"] = quality_json(s, *s.refined_3d);
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace posetape::tools::report
