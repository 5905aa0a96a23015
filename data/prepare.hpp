// Whole data sets, as `posetape prepare` writes them: motions filmed by the four cameras of
// Human3.6M's subject S1, cameras drawn at random or one's own, and seen by a simulated or a
// perfect 2D detector.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/calibration.hpp"
#include "data/dataset.hpp"
#include "data/detector.hpp"
#include "data/detector_structure.hpp"
#include "data/joint_definitions.hpp"
#include "data/synthetic.hpp"

namespace posetape::data {

enum class Detector { simulated, gt, openpose, mediapipe };
constexpr auto choices(Detector) {
  using enum Detector;
  return make_choices<Detector>("detector",
                                {{simulated, "simulated", "a detector's errors"},
                                 {gt, "gt", "exact"},
                                 {openpose, "openpose", "errors as OpenPose has them"},
                                 {mediapipe, "mediapipe", "as MediaPipe Pose has them"}});
}

struct PrepareOptions {
  double fps = 50;                       // no resampling where it equals the source's rate
  std::vector<int> cameras{0, 1, 2, 3};  // of the rig, each once
  // Cameras "random0", "random1", ... of each clip (random_camera.hpp), and cameras of one's own,
  // which all look at the clip from where they stand. Where there is one of either kind, sequences
  // have their camera's lens and the direction up (Sequence::intrinsics, up).
  int random_cameras = 0;
  std::vector<CalibratedCamera> own_cameras;
  JointDefinitions joints = JointDefinitions::skeleton;
  Detector detector = Detector::simulated;
  DetectorModel detector_model{};                       // of `simulated`
  DetectorParts detector_parts = all_detector_parts();  // of those that have parts
  std::uint64_t seed = 0;                               // of the detector (and of synthetic motion)
  std::vector<std::string> subjects;                    // only these; all where empty
  // Subjects for testing. The default depends on the source: 17, 127 and 131 of CMU, the last two
  // of synthetic motion, as far as they are in the data. Names given here must be.
  std::optional<std::vector<std::string>> test_subjects;
};

// The motions of sources 0 to count - 1, which `motions` makes (at the same time, so that it shares
// nothing), filmed and seen as the options say. `subjects` and `tests` are for the metadata.
Dataset film_motions(std::string_view source, int count,
                     const std::function<std::vector<Motion>(int)>& motions,
                     const PrepareOptions& options, const std::vector<std::string>& subjects,
                     const std::vector<std::string>& tests);

// Generated motion (synthetic.hpp), named e.g. P1/walk_1/0. Rate and seed come from `options`.
Dataset prepare_synthetic(const PrepareOptions& options = {}, SyntheticOptions motion = {});

}  // namespace posetape::data
