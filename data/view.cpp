#include "data/view.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "data/calibration.hpp"
#include "data/keypoint_layouts.hpp"
#include "data/motion.hpp"
#include "data/uncertainty.hpp"
#include "engine/choices_json.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

using Json = nlohmann::ordered_json;

// The image of the level camera that rays are seen through: Human3.6M's, without its lens.
constexpr int kVirtualSize = 1000;
constexpr double kVirtualFocal = 1145;
// A ray beside or behind the camera is drawn at 84 degrees off its axis.
constexpr double kWidestRay = 10;

bool is_upright(const Sequence& sequence) {
  return sequence.image_size[1] > 1.01 * sequence.image_size[0];
}

// The image in the middle of a square one: what divides by the width then divides by the longer
// side.
void pad_to_square(Sequence& sequence) {
  auto& [width, height] = sequence.image_size;
  if (!is_upright(sequence)) return;
  const auto shift = static_cast<float>(0.5 * (height - width));
  for (std::size_t i = 0; i < sequence.pose_2d.values.size(); i += 2)
    sequence.pose_2d.values[i] += shift;
  width = height;
}

void rotate(PoseArray& poses, const Eigen::Quaterniond& rotation) {
  const Eigen::Matrix3d matrix = rotation.toRotationMatrix();
  for (std::size_t i = 0; i < poses.values.size(); i += 3) {
    float* p = poses.values.data() + i;
    const Vec3 turned = matrix * Vec3(p[0], p[1], p[2]);
    for (int c = 0; c < 3; ++c) p[c] = static_cast<float>(turned[c]);
  }
}

template <class Each>
void for_each_3d(Sequence& sequence, Each each) {
  for (auto* array : {&sequence.pose_3d, &sequence.noisy_3d, &sequence.refined_3d,
                      &sequence.noisy_3d_last_window, &sequence.refined_3d_last_window}) {
    if (*array) each(**array);
  }
}

void see_level(Sequence& sequence, const Eigen::Quaterniond& rotation) {
  const Camera lens = lens_of(sequence);
  for (std::size_t i = 0; i < sequence.pose_2d.values.size(); i += 2) {
    float* p = sequence.pose_2d.values.data() + i;
    const Vec2 xy = ray(lens, Vec2(p[0], p[1]));
    const Vec3 turned = rotation * Vec3(xy.x(), xy.y(), 1);
    const double depth = std::max(turned.z(), 1e-6);
    for (int c = 0; c < 2; ++c) {
      const double slope = std::clamp(turned[c] / depth, -kWidestRay, kWidestRay);
      p[c] = static_cast<float>(kVirtualSize / 2.0 + kVirtualFocal * slope);
    }
  }
  for_each_3d(sequence, [&](PoseArray& poses) { rotate(poses, rotation); });
  sequence.image_size = {kVirtualSize, kVirtualSize};
}

std::vector<float> interpolate_linearly(const std::vector<float>& values, int count, double step) {
  std::vector<float> out(std::size_t(count) * kJoints);
  const auto last = static_cast<int>(values.size() / kJoints) - 1;
  for (int k = 0; k < count; ++k) {
    const double position = std::min(k * step, static_cast<double>(last));
    const int i = static_cast<int>(position);
    const auto t = static_cast<float>(position - i);
    for (int j = 0; j < kJoints; ++j) {
      const auto at = [&](int f) { return values[std::size_t(std::min(f, last)) * kJoints + j]; };
      out[std::size_t(k) * kJoints + std::size_t(j)] = (1 - t) * at(i) + t * at(i + 1);
    }
  }
  return out;
}

void resample(Sequence& sequence, double fps, double step) {
  // Up to the last frame, or the first one beyond it.
  const int count = static_cast<int>(std::ceil((sequence.frames() - 1) / step - 1e-6)) + 1;
  sequence.pose_2d = interpolate(sequence.pose_2d, count, step);
  for (auto* array : {&sequence.pose_3d, &sequence.noisy_3d, &sequence.refined_3d}) {
    if (*array) *array = interpolate(**array, count, step);
  }
  if (sequence.confidence)
    sequence.confidence = interpolate_linearly(*sequence.confidence, count, step);
  sequence.noisy_3d_last_window.reset();
  sequence.refined_3d_last_window.reset();
  sequence.refined_std.reset();
  sequence.refined_root.reset();
  sequence.feet_down.reset();
  sequence.fps = static_cast<float>(fps);
}

}  // namespace

std::string to_json(const Convention& convention) {
  Json json{{"normalisation", convention.normalisation}};
  if (convention.fps > 0) json["fps"] = convention.fps;
  if (convention.joints != JointDefinitions::unknown) json["joints"] = convention.joints;
  return json.dump();
}

Convention parse_convention(const std::string& text, const std::string& source) {
  try {
    const Json json = Json::parse(text);
    Convention convention;
    convention.normalisation = json.value("normalisation", convention.normalisation);
    convention.fps = json.value("fps", convention.fps);
    convention.joints = json.value("joints", convention.joints);
    if (!(convention.fps >= 0 && convention.fps < 1e6)) fail("{} frames a second", convention.fps);
    return convention;
  } catch (const std::exception& error) {
    fail("{}: what its poses are is not readable ({}); was it written by another version?", source,
         error.what());
  }
}

double common_fps(const Dataset& dataset) {
  if (dataset.sequences.empty()) return 0;
  const double first = dataset.sequences.front().fps;
  const bool all = std::ranges::all_of(
      dataset.sequences, [&](const Sequence& s) { return s.fps_known && same_rate(s.fps, first); });
  return all ? first : 0;
}

JointDefinitions joints_of(const Dataset& dataset) {
  const Json json = Json::parse(dataset.metadata, nullptr, false);
  if (!json.is_object()) return JointDefinitions::unknown;
  try {
    if (json.contains("joints")) return json.at("joints").get<JointDefinitions>();
  } catch (const std::exception&) {
    return JointDefinitions::unknown;
  }
  const auto text = [&](const char* key) {
    return json.contains(key) && json.at(key).is_string() ? json.at(key).get<std::string>() : "";
  };
  const std::string source = text("source");
  if (source == "keypoints") {
    for (const auto& layout : kChoices<KeypointLayout>.list) {
      if (text("layout") == layout.text) return definitions_of(layout.value);
    }
  }
  const bool captured = source == "cmu" || source == "bvh" || source == "c3d" || source == "trc" ||
                        source == "synthetic";
  return captured ? JointDefinitions::skeleton : JointDefinitions::unknown;
}

bool same_rate(double a, double b) {
  return std::abs(a - b) <= 0.02 * b;
}

PoseArray interpolate(const PoseArray& poses, int count, double step) {
  PoseArray out{poses.channels, {}};
  const int size = kJoints * poses.channels;
  out.values.resize(std::size_t(count) * std::size_t(size));
  const int last = poses.frames() - 1;
  for (int k = 0; k < count; ++k) {
    const double position = std::min(k * step, static_cast<double>(last));
    const int i = static_cast<int>(position);
    const double t = position - i;
    const auto frame = [&](int f) { return poses.frame(std::clamp(f, 0, last)); };
    const float *a = frame(i - 1), *b = frame(i), *c = frame(i + 1), *d = frame(i + 2);
    for (int v = 0; v < size; ++v) {
      out.frame(k)[v] = static_cast<float>(catmull_rom<double>(a[v], b[v], c[v], d[v], t));
    }
  }
  return out;
}

View::View(const Dataset& dataset, const Convention& convention, bool resamples)
    : original_(dataset), step_(dataset.sequences.size(), 1.0) {
  const bool rays = convention.normalisation == Normalisation::rays;
  const auto differs = [&](const Sequence& s) {
    return resamples && convention.fps > 0 && s.fps_known && !same_rate(s.fps, convention.fps);
  };
  const bool squares = convention.normalisation == Normalisation::longer_side;
  const bool same = std::ranges::none_of(dataset.sequences, [&](const Sequence& s) {
    return rays || differs(s) || (squares && is_upright(s));
  });
  if (same) return;
  changed_ = dataset;
  for (std::size_t i = 0; i < dataset.sequences.size(); ++i) {
    Sequence& sequence = changed_->sequences[i];
    if (differs(sequence)) {
      step_[i] = sequence.fps / convention.fps;
      resample(sequence, convention.fps, step_[i]);
      ++resampled_;
    }
    if (squares) pad_to_square(sequence);
    if (!rays) continue;
    rotation_.push_back(levelling(sequence));
    see_level(sequence, rotation_.back());
  }
}

std::optional<Eigen::Matrix3d> View::rotation(int sequence) const {
  if (rotation_.empty()) return {};
  return rotation_[static_cast<std::size_t>(sequence)].toRotationMatrix();
}

PoseArray View::back(int sequence, PoseArray poses) const {
  const auto i = static_cast<std::size_t>(sequence);
  if (step_[i] != 1) poses = interpolate(poses, original_.sequences[i].frames(), 1 / step_[i]);
  return back_window(sequence, std::move(poses));
}

PoseArray View::back_window(int sequence, PoseArray poses) const {
  if (!rotation_.empty()) rotate(poses, rotation_[static_cast<std::size_t>(sequence)].conjugate());
  return poses;
}

PoseArray View::back_std(int sequence, PoseArray logarithms) const {
  const auto i = static_cast<std::size_t>(sequence);
  if (step_[i] != 1) {
    logarithms = interpolate(logarithms, original_.sequences[i].frames(), 1 / step_[i]);
  }
  return back_window_std(sequence, std::move(logarithms));
}

PoseArray View::back_window_std(int sequence, PoseArray logarithms) const {
  PoseArray std = std_of_logarithms(std::move(logarithms));
  if (!rotation_.empty()) {
    rotate_std(std, rotation_[static_cast<std::size_t>(sequence)].conjugate().toRotationMatrix());
  }
  return std;
}

}  // namespace posetape::data
