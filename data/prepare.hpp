// Whole data sets, as `posetape prepare` writes them: motions filmed by the four cameras of
// Human3.6M's subject S1 and seen by a simulated or a perfect 2D detector.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/amc.hpp"
#include "data/bvh.hpp"
#include "data/dataset.hpp"
#include "data/detector.hpp"
#include "data/synthetic.hpp"

namespace posetape::data {

enum class Detector { simulated, gt };
constexpr auto choices(Detector) {
  return make_choices<Detector>(
      "detector",
      {{Detector::simulated, "simulated", "a detector's errors"}, {Detector::gt, "gt", "exact"}});
}

struct PrepareOptions {
  double fps = 50;                       // no resampling where it equals the source's rate
  std::vector<int> cameras{0, 1, 2, 3};  // of the rig, each once
  Detector detector = Detector::simulated;
  DetectorModel detector_model{};
  std::uint64_t seed = 0;             // of the detector (and of synthetic motion)
  std::vector<std::string> subjects;  // only these; all where empty
  // Subjects for testing. The default depends on the source: 17, 127 and 131 of CMU, the last two
  // of synthetic motion, as far as they are in the data. Names given here must be.
  std::optional<std::vector<std::string>> test_subjects;
};

// `directory` holds one folder a subject with <subject>.asf and its .amc trials. Sequences are
// sorted by name and named <subject>/<trial>/<camera>, e.g. 14/14_30/0. `hip` says where joint 0
// is. Throws Error with the file and line for anything that cannot be read, and for unknown
// subjects and cameras.
Dataset prepare_cmu(const std::filesystem::path& directory, const PrepareOptions& options = {},
                    HipRoot hip = HipRoot::root);

// `directory` holds BVH files in one folder a subject, or files alone, which are then of one
// subject named after the directory. Sequences are named <subject>/<file without .bvh>/<camera>.
// There are no test subjects by default.
Dataset prepare_bvh(const std::filesystem::path& directory, const PrepareOptions& options = {},
                    const BvhOptions& bvh = {});

// Generated motion (synthetic.hpp), named e.g. P1/walk_1/0. Rate and seed come from `options`.
Dataset prepare_synthetic(const PrepareOptions& options = {}, SyntheticOptions motion = {});

}  // namespace posetape::data
