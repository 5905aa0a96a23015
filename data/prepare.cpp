#include "data/prepare.hpp"

#include <algorithm>
#include <exception>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "data/random_camera.hpp"
#include "data/selection.hpp"
#include "engine/error.hpp"
#include "engine/rng.hpp"
#include "kernels/base/parallel.hpp"

namespace posetape::data {
namespace {

constexpr std::string_view kRig = "S1";

// A sequence's detector noise hangs on its name alone (FNV-1a), so that it is the same in every
// subset of the data and for any number of threads.
std::uint64_t name_hash(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  return hash;
}

// Where the floor is that a clip is moved to.
Vec2 capture_place(const PrepareOptions& options, const std::vector<Camera>& rig) {
  if (options.own_cameras.empty()) return capture_centre(rig);
  std::vector<Camera> own;
  for (const CalibratedCamera& c : options.own_cameras) own.push_back(c.camera);
  if (own.size() > 1) return capture_centre(own);
  constexpr double kAhead = 4;  // metres
  const Vec3 axis = own[0].orientation * Vec3::UnitZ();
  return (own[0].position + kAhead * axis).head<2>();
}

// The views that a motion is filmed from: a camera and its name.
struct View {
  std::string name;
  Camera camera;
};

std::vector<View> views_of(const Motion& placed, const std::vector<Camera>& rig,
                           const PrepareOptions& options) {
  std::vector<View> views;
  for (const int c : options.cameras) views.push_back({std::to_string(c), rig[std::size_t(c)]});
  for (int r = 0; r < options.random_cameras; ++r) {
    const std::string name = fmt::format("random{}", r);
    const std::string hashed = fmt::format("{}/{}/{}", placed.subject, placed.name, name);
    const Random random(options.seed, Stream::camera, name_hash(hashed));
    views.push_back({name, random_camera(placed, random)});
  }
  for (const CalibratedCamera& c : options.own_cameras) views.push_back({c.camera.id, c.camera});
  return views;
}

bool stores_cameras(const PrepareOptions& options) {
  return options.random_cameras > 0 || !options.own_cameras.empty();
}

std::vector<JointDefinitions> definitions_of(const PrepareOptions& options) {
  using enum JointDefinitions;
  if (options.joints == keypoints_mixed) return {keypoints, keypoints_top};
  return {options.joints};
}

void look(Sequence& sequence, const PrepareOptions& options) {
  const std::uint64_t hash = name_hash(sequence.name);
  switch (options.detector) {
    case Detector::gt:
      return;
    case Detector::simulated:
      sequence.pose_2d = detect(sequence.pose_2d, sequence.fps, options.detector_model,
                                Random(options.seed, Stream::detector, hash));
      return;
    case Detector::openpose:
    case Detector::mediapipe:
      break;
  }
  DetectorStructure detector =
      options.detector == Detector::openpose ? openpose_structure() : mediapipe_structure();
  detector.parts = options.detector_parts;
  Detections seen = detect(sequence.pose_2d, sequence.fps, detector, options.seed, hash);
  sequence.pose_2d = std::move(seen.poses);
  if (!seen.confidence.empty()) sequence.confidence = std::move(seen.confidence);
}

void check(const PrepareOptions& options) {
  for (const CalibratedCamera& c : options.own_cameras) {
    if (!c.placed) {
      fail("camera {}: filming needs its \"rotation\" and \"position\"; add them", c.camera.id);
    }
  }
  if (options.random_cameras < 0) fail("{} random cameras", options.random_cameras);
  if (!options.cameras.empty() || !stores_cameras(options))
    check_cameras(options.cameras, h36m_cameras(kRig).size());
}

// Films `count` motions and lets the detector look at them. Motions are made in parallel, each
// with all its randomness of its own, and stored by index: threads change nothing.
std::vector<Sequence> film_all(int count, const std::function<std::vector<Motion>(int)>& motions,
                               const PrepareOptions& options) {
  check(options);
  const std::vector<Camera> rig = h36m_cameras(kRig);
  const Vec2 centre = capture_place(options, rig);
  std::vector<std::vector<Sequence>> filmed(static_cast<std::size_t>(count));
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(count));

  const auto film_one = [&](Index i) {
    try {
      for (Motion& source : motions(static_cast<int>(i))) {
        // Of cameras that take turns, the second, fourth, ... see the second one.
        std::vector<Motion> placed;
        for (const JointDefinitions joints : definitions_of(options)) {
          const double middle = source.mid_head;
          placed.push_back(
              place(resample(with_joints(source, joints, middle), options.fps), centre));
        }
        std::size_t turn = 0;
        for (const View& view : views_of(placed[0], rig, options)) {
          Sequence sequence = film(placed[turn++ % placed.size()], view.camera, view.name);
          if (stores_cameras(options)) set_calibration(sequence, view.camera, up_of(view.camera));
          look(sequence, options);
          filmed[static_cast<std::size_t>(i)].push_back(std::move(sequence));
        }
      }
    } catch (...) {
      errors[i] = std::current_exception();
    }
  };
  parallel_for(count, 1, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) film_one(i);
  });
  for (const auto& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  std::vector<Sequence> sequences;
  FreeNames names;
  for (auto& views : filmed) {
    for (Sequence& view : views) view.name = names.take(view.name);
    std::ranges::move(views, std::back_inserter(sequences));
  }
  return sequences;
}

nlohmann::ordered_json metadata(std::string_view source, const PrepareOptions& options,
                                const std::vector<std::string>& subjects,
                                const std::vector<std::string>& tests) {
  nlohmann::ordered_json json{
      {"source", source},
      {"fps", options.fps},
      {"cameras", options.cameras},
      {"rig", std::string("Human3.6M ") + std::string(kRig)},
      {"detector", name(options.detector)},
      {"seed", options.seed},
      {"subjects", subjects},
      {"test_subjects", tests},
      {"units", {{"pose_2d", "pixels"}, {"pose_3d", "metres, camera space, absolute"}}}};
  // What is as it always was is not said.
  if (options.random_cameras > 0) json["random_cameras"] = options.random_cameras;
  for (const CalibratedCamera& c : options.own_cameras) json["own_cameras"].push_back(c.camera.id);
  if (options.joints != JointDefinitions::skeleton) json["joints"] = name(options.joints);
  for (const auto& part : kChoices<DetectorPart>.list) {
    if (options.detector_parts == all_detector_parts()) break;
    if (options.detector_parts[static_cast<std::size_t>(part.value)])
      json["detector_parts"].push_back(part.text);
  }
  return json;
}

}  // namespace

Dataset film_motions(std::string_view source, int count,
                     const std::function<std::vector<Motion>(int)>& motions,
                     const PrepareOptions& options, const std::vector<std::string>& subjects,
                     const std::vector<std::string>& tests) {
  Dataset dataset;
  dataset.sequences = film_all(count, motions, options);
  dataset.test_subjects = tests;
  dataset.metadata = metadata(source, options, subjects, tests).dump();
  return dataset;
}

Dataset prepare_synthetic(const PrepareOptions& options, SyntheticOptions motion) {
  motion.fps = options.fps;
  motion.seed = options.seed;
  std::vector<Motion> motions = synthetic_motions(motion);
  std::vector<std::string> present;
  for (int s = 1; s <= motion.subjects; ++s) present.push_back(fmt::format("P{}", s));
  const auto subjects = select(present, options.subjects, "subject");
  const std::vector<std::string> last(present.end() - std::min<std::ptrdiff_t>(2, motion.subjects),
                                      present.end());
  const auto tests = select_test_subjects(subjects, options.test_subjects, last);
  std::erase_if(motions, [&](const Motion& m) { return !contains(subjects, m.subject); });

  Dataset dataset = film_motions(
      "synthetic", static_cast<int>(motions.size()),
      [&](int i) { return std::vector{std::move(motions[static_cast<std::size_t>(i)])}; }, options,
      subjects, tests);
  auto meta = nlohmann::ordered_json::parse(dataset.metadata);
  meta["takes"] = motion.takes;
  meta["seconds"] = motion.seconds;
  dataset.metadata = meta.dump();
  return dataset;
}

}  // namespace posetape::data
