#include "data/estimates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "data/gaps.hpp"
#include "data/keypoints.hpp"
#include "data/missing_joints.hpp"
#include "data/printable.hpp"
#include "data/skeleton.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

// A camera 5 m in front of the person sees the estimate, as where nothing else is known.
void project(Sequence& sequence) {
  constexpr float kDistance = 5;
  constexpr float kFocal = 1100;
  constexpr std::int32_t kSize = 1000;
  const PoseArray& poses = *sequence.noisy_3d;
  sequence.image_size = {kSize, kSize};
  sequence.pose_2d = {2, std::vector<float>(poses.values.size() / 3 * 2)};
  sequence.confidence = std::vector<float>(poses.values.size() / 3);
  for (std::size_t i = 0; i < poses.values.size() / 3; ++i) {
    const float* p = poses.values.data() + 3 * i;
    const float depth = std::max(kDistance + p[2], 0.5f);
    sequence.pose_2d.values[2 * i] = kSize / 2.0f + kFocal * p[0] / depth;
    sequence.pose_2d.values[2 * i + 1] = kSize / 2.0f + kFocal * p[1] / depth;
  }
}

// ---- Pieces of both ----

struct Joints {
  std::string name;
  std::int64_t first = 0;
  JointTrack joints;
  std::array<std::int32_t, 2> image_size{0, 0};
  double fps = 0;
  bool fps_known = false;

  std::int64_t end() const { return first + joints.poses.frames(); }
};

std::vector<Joints> joints_of(const KeypointClip& clip, const TrackOptions& options,
                              const std::string& where, std::vector<std::string>& notes) {
  std::vector<Joints> result;
  for (const TrackPiece& piece : track_pieces(clip, options, where, notes)) {
    FillReport report;
    JointTrack joints = to_joints(piece.layout, piece.track, longest_gap(piece.fps), where, report);
    note_filled(piece.name, joints.poses.frames(), report, notes);
    result.push_back({piece.name, piece.first_frame, std::move(joints), piece.image_size, piece.fps,
                      options.fps.has_value() || clip.fps > 0});
  }
  return result;
}

// Frames [begin, end) of a clip out of a piece's poses.
PoseArray cut(const Joints& piece, std::int64_t begin, std::int64_t end) {
  const PoseArray& all = piece.joints.poses;
  const auto row = std::ptrdiff_t{kJoints} * all.channels;
  return {all.channels,
          {all.values.begin() + (begin - piece.first) * row,
           all.values.begin() + (end - piece.first) * row}};
}
std::vector<float> cut_confidence(const Joints& piece, std::int64_t begin, std::int64_t end) {
  const auto& all = piece.joints.confidence;
  return {all.begin() + (begin - piece.first) * kJoints,
          all.begin() + (end - piece.first) * kJoints};
}

bool several_people(const KeypointClip& clip) {
  const auto same_frame = [](const Detection& a, const Detection& b) { return a.frame == b.frame; };
  return std::ranges::adjacent_find(clip.detections, same_frame) != clip.detections.end();
}

class Maker {
 public:
  Maker(std::string path, const EstimateOptions& options, std::vector<std::string>& notes)
      : path_(std::move(path)), options_(options), notes_(notes) {}

  void add(KeypointClip clip, const KeypointClip* image) {
    const std::string where = fmt::format("{}: {}", path_, printable(clip.name));
    if (image != nullptr && image->frames != clip.frames) renumber(clip, *image);
    if (image != nullptr && image->frames != clip.frames) {
      fail("{}: has {} frames, its 2D poses {} have {}; give the 2D that it was made of", where,
           clip.frames, printable(image->name), image->frames);
    }
    TrackOptions options = options_.keypoints;
    options.layout = options_.layout;
    options.min_confidence = 0;
    if (!several_people(clip)) options.person = 0;
    if (!options.fps && clip.fps <= 0 && image != nullptr && image->fps > 0) {
      options.fps = image->fps;
    }
    std::vector<Joints> bodies = joints_of(clip, options, where, notes_);
    std::vector<Joints> images;
    if (image != nullptr) {
      TrackOptions own = options_.keypoints;
      if (!own.fps && image->fps <= 0) own.fps = bodies.front().fps;
      images = joints_of(*image, own, where, notes_);
    }
    for (Joints& body : bodies) {
      to_metres(clip, body, images, where);
      if (images.empty()) emit(body, nullptr, body.first, body.end(), where);
      for (const Joints& seen : images) {
        const std::int64_t begin = std::max(body.first, seen.first);
        const std::int64_t end = std::min(body.end(), seen.end());
        if (begin < end) emit(body, &seen, begin, end, where);
      }
    }
  }

  std::vector<Sequence> sequences;

 private:
  // MotionBERT leaves out the frames in which its 2D poses have nobody: as many estimates as
  // detections stand one after another.
  void renumber(KeypointClip& clip, const KeypointClip& image) {
    if (clip.detections.size() != image.detections.size() || several_people(image)) return;
    for (std::size_t i = 0; i < clip.detections.size(); ++i) {
      clip.detections[i].frame = image.detections[i].frame;
    }
    notes_.push_back(
        fmt::format("{}: its {} poses go with the frames in which the 2D poses have a "
                    "person",
                    clip.name, clip.frames));
    clip.frames = image.frames;
  }

  void to_metres(const KeypointClip& clip, Joints& body, const std::vector<Joints>& images,
                 const std::string& where) {
    PoseArray& poses = body.joints.poses;
    check_depth(poses, where);
    const double scale =
        find_scale(poses, options_.height, options_.metres_per_unit, body.name, notes_);
    EstimateAxes axes;
    const EstimateUp usual = clip.z_up ? EstimateUp::z : EstimateUp::minus_y;
    axes.up = options_.up ? *options_.up : find_up(poses, usual);
    if (axes.up != usual && !options_.up) {
      notes_.push_back(fmt::format("{}: the person stands along {}, taken as up (--up)", body.name,
                                   name(axes.up)));
    }
    axes.mirror = options_.mirror != (clip.mirrored && !options_.up);
    axes.turn = options_.turn.value_or(options_.up ? 0 : clip.turn);
    const double far = to_root(poses) * scale;
    to_camera(poses, axes, scale);
    if (options_.turn_to_image) turn_to_image(body, images, where);
    if (far > 0.01) {
      notes_.push_back(fmt::format("{}: joint 0 was up to {:.2f} m from the origin, subtracted",
                                   body.name, far));
    }
    check_axes(poses, where);
  }

  void turn_to_image(Joints& body, const std::vector<Joints>& images, const std::string& where) {
    if (images.empty()) fail("{}: --turn image needs the 2D poses: --keypoints", where);
    const Joints& seen = *std::ranges::max_element(
        images, {}, [](const Joints& j) { return j.joints.poses.frames(); });
    const std::int64_t begin = std::max(body.first, seen.first);
    const std::int64_t end = std::min(body.end(), seen.end());
    if (begin >= end) return;
    const double turn = best_turn(cut(body, begin, end), cut(seen, begin, end));
    to_camera(body.joints.poses, {EstimateUp::minus_y, false, turn}, 1);
    notes_.push_back(fmt::format("{}: turned by {:.0f} degrees to the image", body.name, turn));
  }

  // 2D with confidences has three columns, too.
  static void check_depth(const PoseArray& poses, const std::string& where) {
    float most = 0;
    float deepest = 0;
    for (std::size_t i = 0; i < poses.values.size(); i += 3) {
      most = std::max(most, std::abs(poses.values[i + 1]));
      deepest = std::max(deepest, std::abs(poses.values[i + 2]));
    }
    if (most > 20 && deepest <= 1.5f) {
      fail(
          "{}: its third column looks like the confidences of pixels; `posetape prepare keypoints` "
          "reads 2D poses",
          where);
    }
  }

  void emit(const Joints& body, const Joints* seen, std::int64_t begin, std::int64_t end,
            const std::string& where) {
    Sequence sequence;
    sequence.name = free_names_.take(body.name);
    sequence.noisy_3d = cut(body, begin, end);
    sequence.fps = static_cast<float>(body.fps);
    sequence.fps_known = body.fps_known;
    if (seen == nullptr) {
      const TrackOptions& of_2d = options_.keypoints;
      const char* given = of_2d.image_size[0] > 0    ? "--image-size"
                          : of_2d.coordinates        ? "--coordinates"
                          : of_2d.min_confidence > 0 ? "--min-confidence"
                                                     : nullptr;
      if (given != nullptr) {
        fail("{}: has no 2D poses, which {} is of; leave it out, or give --keypoints FILE", where,
             given);
      }
      project(sequence);
      notes_.push_back(
          fmt::format("{}: no 2D poses; made by projecting the estimate, with confidence 0 "
                      "(--keypoints FILE gives them)",
                      sequence.name));
    } else {
      sequence.pose_2d = cut(*seen, begin, end);
      sequence.confidence = cut_confidence(*seen, begin, end);
      sequence.image_size = seen->image_size;
      check_image(*sequence.noisy_3d, sequence.pose_2d, where);
    }
    sequences.push_back(std::move(sequence));
  }

  std::string path_;
  const EstimateOptions& options_;
  std::vector<std::string>& notes_;
  FreeNames free_names_;
};

// The 2D clips that go with estimates: of their own file, or of one that may have none.
std::vector<KeypointClip> image_clips(const std::string& estimates, const std::string& keypoints,
                                      const KeypointInput& input, const EstimateOptions& options) {
  if (!keypoints.empty()) {
    return read_clips(KeypointInput(keypoints), Wanted::keypoints, options.keypoints.format);
  }
  // A file with both, as MediaPipe's results are.
  if (!both_in(input, options.format)) return {};
  return read_clips(KeypointInput(estimates), Wanted::keypoints, options.format);
}

}  // namespace

Dataset prepare_estimates(const std::string& estimates, const std::string& keypoints,
                          const EstimateOptions& options, std::vector<std::string>& notes) {
  if (options.keypoints.person < 0)
    fail("--person all: estimates are of one person; give a number");
  const KeypointInput input(estimates);
  std::vector<KeypointClip> bodies = read_clips(input, Wanted::estimates, options.format);
  const std::vector<KeypointClip> images = image_clips(estimates, keypoints, input, options);
  if (!images.empty() && images.size() != bodies.size()) {
    fail("{}: has {} clips, its 2D poses have {}; give the 2D that it was made of", estimates,
         bodies.size(), images.size());
  }
  Maker maker(estimates, options, notes);
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    maker.add(std::move(bodies[i]), images.empty() ? nullptr : &images[i]);
  }
  Dataset dataset;
  dataset.sequences = std::move(maker.sequences);
  if (dataset.sequences.empty()) {
    fail("{}: no frame has both an estimate and a 2D pose; give the 2D that it was made of",
         estimates);
  }
  dataset.metadata =
      nlohmann::ordered_json{{"source", "estimates"},
                             {"file", std::filesystem::path(estimates).filename().string()},
                             {"keypoints", std::filesystem::path(keypoints).filename().string()},
                             {"units", {{"pose_2d", "pixels"}, {"noisy_3d", "metres"}}}}
          .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return dataset;
}

}  // namespace posetape::data
