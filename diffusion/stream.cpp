#include "diffusion/stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "data/calibration.hpp"
#include "data/gaps.hpp"
#include "data/skeleton.hpp"
#include "engine/error.hpp"

namespace posetape::diffusion {
namespace {

constexpr int kJoints = data::kJoints;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

bool finite(std::span<const float> values) {
  return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
}

bool zero(std::span<const float> values) {
  return std::ranges::all_of(values, [](float v) { return v == 0; });
}

void drop_first_frame(data::Sequence& s) {
  const auto drop = [](std::vector<float>& values, int count) {
    values.erase(values.begin(), values.begin() + count);
  };
  drop(s.pose_2d.values, 2 * kJoints);
  drop(s.noisy_3d->values, 3 * kJoints);
  drop(*s.confidence, kJoints);
}

}  // namespace

PoseStream::PoseStream(Inference& network, int frames, const data::Convention& convention,
                       const data::Sequence& clip, const Options& options)
    : network_(network), frames_(frames), convention_(convention), options_(options) {
  if (options.delay < 0) fail("a delay of {} frames; expected 0 or more", options.delay);
  if (std::ranges::min(clip.image_size) < 1) {
    fail("an image of {} x {} pixels; expected its width and height", clip.image_size[0],
         clip.image_size[1]);
  }
  const bool known = clip.fps_known || convention.fps == 0;
  const bool other_rate = known && convention.fps > 0 && !data::same_rate(clip.fps, convention.fps);
  if (other_rate && !options.keep_rate) {
    fail(
        "{:g} frames a second, and the network was trained at {:g}; resample them "
        "(ResampledStream), or take them as they are (keep_rate)",
        clip.fps, convention.fps);
  }
  if (convention.normalisation == data::Normalisation::rays) data::lens_of(clip);
  fps_ = known ? clip.fps : convention.fps;
  longest_gap_ = data::longest_gap(fps_);
  // Refuses what no filter can be.
  options.filter({3, std::vector<float>(3 * kJoints)}, fps_);
  if (options.filter.kind == data::FilterKind::savitzky_golay) {
    filter_window_ = static_cast<std::size_t>(options.filter.window_at(fps_));
  }
  data::Sequence& empty = window_.sequences.emplace_back();
  empty.name = clip.name;
  empty.pose_2d = {2, {}};
  empty.noisy_3d = {3, {}};
  empty.confidence.emplace();
  empty.image_size = clip.image_size;
  empty.fps = clip.fps;
  empty.fps_known = clip.fps_known;
  empty.intrinsics = clip.intrinsics;
  empty.up = clip.up;
  if (options.examine) first_ = window_;
}

bool PoseStream::fill(std::span<const float> pose_2d, std::span<const float> noisy_3d,
                      std::span<const float> confidence) {
  std::bitset<kJoints> no_2d, no_3d;
  const bool none_3d = zero(noisy_3d);
  for (std::size_t j = 0; j < kJoints; ++j) {
    const auto at = pose_2d.subspan(2 * j, 2);
    no_2d[j] = !finite(at) || zero(at);
    no_3d[j] = none_3d || !finite(noisy_3d.subspan(3 * j, 3));
  }
  const std::bitset<kJoints> missing = no_2d | no_3d;
  if (missing.any() && options_.note && !std::exchange(noted_, true)) {
    std::size_t first = 0;
    while (!missing[first]) ++first;
    options_.note(fmt::format(
        "joint {} ({}) is missing in frame {}: missing joints stay where they were last, and their "
        "results are NaN (null) after {} frames, and until all have been there at once",
        first, data::kJointNames[first], frame(), std::lround(longest_gap_ * options_.step)));
  }
  if (!started_ && missing.any()) return false;
  started_ = true;
  for (std::size_t j = 0; j < kJoints; ++j) {
    missing_[j] = missing[j] ? std::min(missing_[j], longest_gap_) + 1 : 0;
    confidence_[j] = no_2d[j] ? 0.0F : confidence.empty() ? 1.0F : confidence[j];
    if (!no_2d[j]) std::ranges::copy(pose_2d.subspan(2 * j, 2), pose_2d_.begin() + 2 * j);
    if (!no_3d[j]) std::ranges::copy(noisy_3d.subspan(3 * j, 3), noisy_3d_.begin() + 3 * j);
  }
  return std::ranges::any_of(missing_, [&](int frames) { return frames <= longest_gap_; });
}

void PoseStream::append() {
  const auto add = [](std::vector<float>& to, std::span<const float> from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  for (data::Dataset* dataset : {&window_, first_ ? &*first_ : nullptr}) {
    if (dataset == nullptr) continue;
    data::Sequence& s = dataset->sequences[0];
    add(s.pose_2d.values, pose_2d_);
    add(s.noisy_3d->values, noisy_3d_);
    add(*s.confidence, confidence_);
  }
  float* pose = window().noisy_3d->frame(window().noisy_3d->frames() - 1);
  const std::array<float, 3> root{pose[0], pose[1], pose[2]};
  for (std::size_t i = 0; i < 3 * kJoints; ++i) pose[i] -= root[i % 3];
  if (window().frames() > frames_) drop_first_frame(window());
}

void PoseStream::refine() {
  const data::View view(window_, convention_, /*resample=*/false);
  const data::Window window{0, view.dataset().sequences[0].frames() - frames_, frames_};
  const Inference::Windows out =
      network_.batch(view.dataset(), std::span(&window, 1), frames_, options_.flip_average);
  const auto array_of = [](const Tensor& t) {
    const std::span<const float> values = t.values<float>();
    return data::PoseArray{3, {values.begin(), values.end()}};
  };
  const data::PoseArray poses = view.back_window(0, array_of(out.poses));
  data::PoseArray std;
  knows_std_ = out.log_std.defined();
  if (knows_std_) std = view.back_window_std(0, array_of(out.log_std));
  if (const auto bad = first_not_finite(poses.values)) {
    fail(
        "the network's result is {} after frame {}, joint {}: its weights are too large, or the "
        "poses; use another checkpoint",
        bad->value, frame(), bad->index / 3 % kJoints);
  }
  Estimate& newest = estimates_.emplace_back();
  for (std::size_t j = 0; j < kJoints; ++j) newest.lost[j] = missing_[j] > longest_gap_;
  const std::size_t count = std::min(estimates_.size(), static_cast<std::size_t>(frames_));
  for (std::size_t back = 0; back < count; ++back) {
    Estimate& estimate = estimates_[estimates_.size() - 1 - back];
    const float* pose = poses.frame(frames_ - 1 - static_cast<int>(back));
    for (std::size_t i = 3; i < estimate.sum.size(); ++i) estimate.sum[i] += pose[i];
    for (std::size_t i = 3; knows_std_ && i < estimate.sum.size(); ++i) {
      estimate.log_std_sum[i] +=
          std::log(double{std.frame(frames_ - 1 - static_cast<int>(back))[i]});
    }
    ++estimate.count;
  }
}

void PoseStream::give() {
  const std::size_t after = std::min({filter_window_ / 2, static_cast<std::size_t>(options_.delay),
                                      estimates_.size() - 1 - next_});
  const std::size_t before = std::min(filter_window_ - 1 - after, next_);
  const std::vector<double> weights = data::savitzky_golay_weights(
      static_cast<int>(before), static_cast<int>(after), options_.filter.degree);
  std::array<double, 3 * kJoints> sum{};
  for (std::size_t k = 0; k < weights.size(); ++k) {
    const Estimate& estimate = estimates_[next_ - before + k];
    for (std::size_t i = 0; i < sum.size(); ++i) {
      sum[i] += weights[k] * (estimate.sum[i] / estimate.count);
    }
  }
  Result& result = ready_.emplace_back();
  Pose& pose = result.pose;
  std::ranges::transform(sum, pose.begin(), [](double v) { return static_cast<float>(v); });
  if (knows_std_) {
    const Estimate& estimate = estimates_[next_];
    Pose& std = result.std.emplace();
    for (std::size_t i = 3; i < std.size(); ++i) {
      std[i] = static_cast<float>(std::exp(estimate.log_std_sum[i] / estimate.count));
    }
  }
  if (options_.filter.kind == data::FilterKind::one_euro) {
    if (!one_euro_) one_euro_.emplace(options_.filter.one_euro, fps_);
    (*one_euro_)(pose);
  }
  for (std::size_t j = 0; j < kJoints; ++j) {
    if (!estimates_[next_].lost[j]) continue;
    std::fill_n(pose.begin() + 3 * j, 3, kNan);
    if (result.std) std::fill_n(result.std->begin() + 3 * j, 3, kNan);
  }
  ++next_;
  for (; next_ >= filter_window_; --next_) estimates_.pop_front();
}

void PoseStream::give_all() {
  while (next_ < estimates_.size()) give();
  start_anew();
}

void PoseStream::start_anew() {
  window().pose_2d.values.clear();
  window().noisy_3d->values.clear();
  window().confidence->clear();
  estimates_.clear();
  next_ = 0;
  one_euro_.reset();
  started_ = false;
}

void PoseStream::check(std::span<const float> pose_2d, std::span<const float> noisy_3d,
                       std::span<const float> confidence) {
  if (pose_2d.size() != 2 * kJoints || noisy_3d.size() != 3 * kJoints ||
      (!confidence.empty() && confidence.size() != kJoints)) {
    fail(
        "a frame of {}, {} and {} numbers; expected {} of pose_2d, {} of noisy_3d and {} or none "
        "of confidence",
        pose_2d.size(), noisy_3d.size(), confidence.size(), 2 * kJoints, 3 * kJoints, kJoints);
  }
  for (std::size_t j = 0; j < confidence.size(); ++j) {
    if (confidence[j] >= 0 && confidence[j] <= 1) continue;
    fail("confidence {} of joint {}; expected numbers from 0 to 1", confidence[j], j);
  }
}

void PoseStream::push(std::span<const float> pose_2d, std::span<const float> noisy_3d,
                      std::span<const float> confidence) {
  check(pose_2d, noisy_3d, confidence);
  if (!fill(pose_2d, noisy_3d, confidence)) {
    give_all();
    ready_.emplace_back().pose.fill(kNan);
    ++pushed_;
    return;
  }
  append();
  if (first_ && first_->sequences[0].frames() == frames_) examine();
  try {
    refine();
  } catch (...) {
    forget();
    throw;
  }
  ++pushed_;
  while (next_ + static_cast<std::size_t>(options_.delay) < estimates_.size()) give();
}

void PoseStream::finish() {
  if (first_ && first_->sequences[0].frames() > 0) examine();
  give_all();
}

void PoseStream::examine() {
  try {
    options_.examine(*first_);
    first_.reset();
  } catch (...) {
    forget();
    throw;
  }
}

std::int64_t PoseStream::frame() const {
  return std::llround(static_cast<double>(pushed_) * options_.step);
}

void PoseStream::forget() {
  start_anew();
  if (first_) *first_ = window_;
}

std::optional<PoseStream::Pose> PoseStream::pull() {
  if (ready_.empty()) return std::nullopt;
  const Pose pose = ready_.front().pose;
  std_ = ready_.front().std;
  ready_.pop_front();
  return pose;
}

}  // namespace posetape::diffusion
