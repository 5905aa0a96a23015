#include "data/prepare.hpp"

#include <algorithm>
#include <exception>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

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

// Films `count` motions and lets the detector look at them. Motions are made in parallel, each
// with all its randomness of its own, and stored by index: threads change nothing.
std::vector<Sequence> film_all(int count, const std::function<Motion(int)>& motion,
                               const PrepareOptions& options) {
  const std::vector<Camera> rig = h36m_cameras(kRig);
  check_cameras(options.cameras, rig.size());
  const Vec2 centre = capture_centre(rig);
  const int views = static_cast<int>(options.cameras.size());
  std::vector<Sequence> sequences(static_cast<std::size_t>(count) * views);
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(count));

  const auto film_one = [&](Index i) {
    try {
      const Motion placed = place(resample(motion(static_cast<int>(i)), options.fps), centre);
      for (int v = 0; v < views; ++v) {
        const int c = options.cameras[v];
        Sequence sequence = film(placed, rig[c], std::to_string(c));
        if (options.detector == Detector::simulated) {
          sequence.pose_2d =
              detect(sequence.pose_2d, placed.fps, options.detector_model,
                     Random(options.seed, Stream::detector, name_hash(sequence.name)));
        }
        sequences[static_cast<std::size_t>(i) * views + v] = std::move(sequence);
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
  return sequences;
}

nlohmann::ordered_json metadata(std::string_view source, const PrepareOptions& options,
                                const std::vector<std::string>& subjects,
                                const std::vector<std::string>& tests) {
  return {{"source", source},
          {"fps", options.fps},
          {"cameras", options.cameras},
          {"rig", std::string("Human3.6M ") + std::string(kRig)},
          {"detector", name(options.detector)},
          {"seed", options.seed},
          {"subjects", subjects},
          {"test_subjects", tests},
          {"units", {{"pose_2d", "pixels"}, {"pose_3d", "metres, camera space, absolute"}}}};
}

}  // namespace

Dataset film_motions(std::string_view source, int count, const std::function<Motion(int)>& motion,
                     const PrepareOptions& options, const std::vector<std::string>& subjects,
                     const std::vector<std::string>& tests) {
  Dataset dataset;
  dataset.sequences = film_all(count, motion, options);
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
      "synthetic", static_cast<int>(motions.size()), [&](int i) { return std::move(motions[i]); },
      options, subjects, tests);
  auto meta = nlohmann::ordered_json::parse(dataset.metadata);
  meta["takes"] = motion.takes;
  meta["seconds"] = motion.seconds;
  dataset.metadata = meta.dump();
  return dataset;
}

}  // namespace posetape::data
