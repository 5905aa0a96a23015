#include "diffusion/resampled_stream.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/gaps.hpp"
#include "engine/error.hpp"

namespace posetape::diffusion {
namespace {

constexpr double kSame = 1e-6;  // of a frame: the same moment

std::int64_t floor_of(double position) {
  return static_cast<std::int64_t>(std::floor(position + kSame));
}
std::int64_t ceil_of(double position) {
  return static_cast<std::int64_t>(std::ceil(position - kSame));
}
// How far a position is on the way from its floor to the next.
float part_of(double position) {
  return static_cast<float>(std::max(0.0, position - static_cast<double>(floor_of(position))));
}

double step_of(const data::Convention& convention, const data::Sequence& clip, bool keep_rate) {
  const bool other = clip.fps_known && convention.fps > 0 && !keep_rate &&
                     !data::same_rate(clip.fps, convention.fps);
  return other ? clip.fps / convention.fps : 1;
}

// The delay, in frames of the network, with which results of the source's come in time, whatever
// frame they are of; below 0 where there is none.
int delay_of(int delay, double step) {
  constexpr int kFrames = 1000;  // as many places of one kind of frames between the other as matter
  std::int64_t least = std::numeric_limits<int>::max();
  for (int f = 0; f < kFrames; ++f) {
    least = std::min(least, floor_of((f + delay) / step) - ceil_of(f / step));
  }
  return static_cast<int>(least);
}

PoseStream::Options with_delay(PoseStream::Options options, double step, const data::Sequence& clip,
                               const data::Convention& convention) {
  if (step == 1 || options.delay < 0) return options;
  const int asked = options.delay;
  options.delay = delay_of(asked, step);
  options.step = step;
  if (options.delay >= 0) return options;
  int enough = asked;
  while (delay_of(enough, step) < 0) ++enough;
  fail(
      "a delay of {} frames: the network was trained at {:g} frames a second, and {:g} a "
      "second are resampled to it, which takes a delay of {} or more; give that, or take "
      "frames as they are (--keep-rate; in C, fps 0)",
      asked, convention.fps, clip.fps, enough);
}

data::Sequence at_rate(data::Sequence clip, double step, const data::Convention& convention) {
  if (step != 1) clip.fps = static_cast<float>(convention.fps);
  return clip;
}

// Missing joints as NaN, so that they stay missing in what is interpolated.
template <std::size_t N>
void mark_missing(std::array<float, N>& values, std::size_t together) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t i = 0; i < N; i += together) {
    const std::span part(values.data() + i, together);
    if (std::ranges::all_of(part, [](float v) { return v == 0; })) std::ranges::fill(part, kNan);
  }
}

template <std::size_t N>
std::array<float, N> between(const std::array<float, N>& a, const std::array<float, N>& b,
                             float t) {
  std::array<float, N> out = a;
  for (std::size_t i = 0; t > 0 && i < N; ++i) out[i] = (1 - t) * a[i] + t * b[i];
  return out;
}

}  // namespace

ResampledStream::ResampledStream(Inference& network, int frames, const data::Convention& convention,
                                 const data::Sequence& clip, const Options& options)
    : step_(step_of(convention, clip, options.keep_rate)),
      delay_(options.delay),
      stream_(network, frames, convention, at_rate(clip, step_, convention),
              with_delay(options, step_, clip, convention)) {}

void ResampledStream::push_between(const Frame& a, const Frame& b, float t) {
  stream_.push(between(a.pose_2d, b.pose_2d, t), between(a.noisy_3d, b.noisy_3d, t),
               between(a.confidence, b.confidence, t));
  ++sent_;
}

void ResampledStream::push(std::span<const float> pose_2d, std::span<const float> noisy_3d,
                           std::span<const float> confidence) {
  if (step_ == 1) return stream_.push(pose_2d, noisy_3d, confidence);
  PoseStream::check(pose_2d, noisy_3d, confidence);
  Frame frame;
  std::ranges::copy(pose_2d, frame.pose_2d.begin());
  std::ranges::copy(noisy_3d, frame.noisy_3d.begin());
  frame.confidence.fill(1);
  std::ranges::copy(confidence, frame.confidence.begin());
  mark_missing(frame.pose_2d, 2);
  mark_missing(frame.noisy_3d, frame.noisy_3d.size());
  try {
    // The network's frames that lie between the last one and this, or on it.
    for (double at; (at = static_cast<double>(sent_) * step_), ceil_of(at) <= pushed_;) {
      const bool here = floor_of(at) == pushed_;
      push_between(here ? frame : *last_, frame, here ? 0 : part_of(at));
    }
  } catch (...) {
    start_anew();
    throw;
  }
  last_ = frame;
  ++pushed_;
  collect();
  give(pushed_ - delay_);
}

void ResampledStream::collect() {
  while (const auto pose = stream_.pull()) results_.push_back({*pose, stream_.std()});
}

// Results of the source's frames that come before this one.
void ResampledStream::give(std::int64_t before) {
  for (; given_ < before; ++given_) {
    const double at = static_cast<double>(given_) / step_;
    if (ceil_of(at) >= first_ + static_cast<std::int64_t>(results_.size())) return;
    for (; first_ < floor_of(at); ++first_) results_.pop_front();
    const float t = ceil_of(at) == floor_of(at) ? 0 : part_of(at);
    const Result& a = results_.front();
    const Result& b = t > 0 ? results_[1] : a;
    Result& result = ready_.emplace_back(Result{between(a.pose, b.pose, t), a.std});
    if (!a.std || !b.std || t == 0) continue;
    // As data::View does: their logarithms.
    std::ranges::transform(*a.std, *b.std, result.std->begin(), [t](float x, float y) {
      return std::exp((1 - t) * std::log(x) + t * std::log(y));
    });
  }
}

std::optional<ResampledStream::Pose> ResampledStream::pull() {
  if (step_ == 1) {
    auto pose = stream_.pull();
    std_ = stream_.std();
    return pose;
  }
  if (ready_.empty()) return std::nullopt;
  const Pose pose = ready_.front().pose;
  std_ = ready_.front().std;
  ready_.pop_front();
  return pose;
}

void ResampledStream::finish() {
  if (step_ != 1 && last_ && ceil_of(static_cast<double>(pushed_ - 1) / step_) >= sent_) {
    push_between(*last_, *last_, 0);
  }
  stream_.finish();
  if (step_ == 1) return;
  collect();
  give(pushed_);
  start_anew();
}

void ResampledStream::start_anew() {
  last_.reset();
  pushed_ = sent_ = given_ = first_ = 0;
  results_.clear();
}

}  // namespace posetape::diffusion
