#include "tools/report/poses.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "data/printable.hpp"
#include "data/skeleton.hpp"
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
  return {{"names", data::kJointNames}, {"parents", data::kParents}};
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
  shown.resize(std::min(shown.size(), static_cast<std::size_t>(options.limit)));
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

Json poses_json(const data::Dataset& dataset, std::span<const int> shown,
                const std::optional<data::Comparison>& comparison) {
  std::map<int, double> base;
  std::map<int, double> refined;
  if (comparison) base = errors_of(comparison->base);
  if (comparison && comparison->refined) refined = errors_of(*comparison->refined);
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
    if (base.contains(i)) entry["base_mm"] = rounded(base[i]);
    if (refined.contains(i)) entry["refined_mm"] = rounded(refined[i]);
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace posetape::tools::report
