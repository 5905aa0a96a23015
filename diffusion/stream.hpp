// A network at work on frames as they come: each frame's result is given D frames later. What
// `posetape refine --stream` and `--delay` and posetape_stream_*() do.
//
//   Inference network = refining(refiner, 2);
//   PoseStream stream(network, refiner.config().frames, convention, clip, {.delay = 3});
//   for (;;) {
//     stream.push(pose_2d, noisy_3d);
//     while (const auto pose = stream.pull()) use(*pose);
//   }
//
// After each frame the network sees the window of the last N frames; where there are fewer, the
// first one is repeated. What the windows so far say of a frame is averaged. The filter over time
// is fitted to as many of these averages as it always is: around the frame, or where D is less than
// its half to those up to D frames later, as at a clip's end. So the network and the filter both
// have the whole delay. The memory of a stream does not grow.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "data/smoothing.hpp"
#include "diffusion/sequences.hpp"

namespace posetape::diffusion {

class PoseStream {
 public:
  using Pose = std::array<float, 3 * data::kJoints>;  // metres, joint 0 at zero

  struct Options {
    int delay = 3;  // D
    bool flip_average = false;
    bool keep_rate = false;  // frames of another rate are taken for the network's
    double step = 1;  // frames of the source for one of these (resampled_stream.hpp), for messages
    data::Filter filter = {};
    // Called once with the first N frames, or all where finish() comes earlier, as they were given
    // but for missing joints. What it throws comes out of push() or finish().
    std::function<void(data::Dataset first)> examine = {};
    // Called with a line of text the first time that a joint is missing.
    std::function<void(const std::string&)> note = {};
  };

  // `network` knows N = `frames` and `convention`, and has to live as long. `clip` has no frames:
  // its image, frame rate, lens and direction up are the stream's. Throws Error for a negative
  // delay, an image without size, a lens that is needed and not known, another rate than
  // the network's, and a filter that can't be.
  PoseStream(Inference& network, int frames, const data::Convention& convention,
             const data::Sequence& clip, const Options& options);

  // The next frame: pixels [17][2], metres relative to joint 0 [17][3] (which is subtracted), and
  // how sure the detector was of each joint, [17] in [0, 1], or nothing.
  //
  // Missing is a joint that is NaN or infinite, or at 0, 0 in pose_2d, and a noisy_3d that is zero
  // throughout (data/gaps.hpp). It stays where it was last, its confidence 0, for half a second;
  // after that its results are NaN until it is back. Results of all joints are NaN, without the
  // network, until every joint has been there in one frame: at the start, and after all have been
  // missing for so long.
  //
  // Throws Error for other sizes and confidences, and the stream is as it was; and where a result
  // is not finite or examine() throws: the stream has forgotten all frames.
  void push(std::span<const float> pose_2d, std::span<const float> noisy_3d,
            std::span<const float> confidence = {});
  // Throws Error for what push() does not take.
  static void check(std::span<const float> pose_2d, std::span<const float> noisy_3d,
                    std::span<const float> confidence);
  // The next result, in the order of the frames; nothing where it needs more frames.
  std::optional<Pose> pull();
  // How sure the network is of the last result that pull() gave: standard deviations in metres, NaN
  // where a joint's result is. Nothing where it doesn't know, or has no result.
  const std::optional<Pose>& std() const { return std_; }
  // No more frames come before the results of those that were pushed: pull() gives all of them. A
  // frame pushed later starts anew.
  void finish();

 private:
  // A frame of which windows have given results.
  struct Estimate {
    std::array<double, 3 * data::kJoints> sum{};
    std::array<double, 3 * data::kJoints> log_std_sum{};
    int count = 0;
    std::bitset<data::kJoints> lost;  // missing for too long
  };

  data::Sequence& window() { return window_.sequences[0]; }
  // The places of joints in this frame, of which missing ones are filled; false where they can't
  // be.
  bool fill(std::span<const float> pose_2d, std::span<const float> noisy_3d,
            std::span<const float> confidence);
  void append();
  void refine();
  void give();
  void give_all();
  void start_anew();
  void examine();
  void forget();
  // The frame of the source that is being pushed.
  std::int64_t frame() const;

  Inference& network_;
  int frames_;
  data::Convention convention_;
  Options options_;
  data::Dataset window_;                // the last N frames
  std::optional<data::Dataset> first_;  // frames that wait to be examined
  std::size_t filter_window_ = 1;       // frames that the filter is fitted to
  double fps_ = 0;                      // of the filter
  int longest_gap_ = 0;                 // in frames
  std::int64_t pushed_ = 0;
  bool noted_ = false;

  // The frame that is being pushed, and what is known of the joints before it.
  std::array<float, 2 * data::kJoints> pose_2d_{};
  std::array<float, 3 * data::kJoints> noisy_3d_{};
  std::array<float, data::kJoints> confidence_{};
  std::array<int, data::kJoints> missing_{};  // for so many frames
  bool started_ = false;

  // The last frames of which results are not complete, or which the filter needs.
  std::deque<Estimate> estimates_;
  std::size_t next_ = 0;  // of them: whose result is given next
  std::optional<data::OneEuroFilter> one_euro_;
  struct Result {
    Pose pose{};
    std::optional<Pose> std;
  };
  std::deque<Result> ready_;
  std::optional<Pose> std_;  // of the last result
  bool knows_std_ = false;
};

}  // namespace posetape::diffusion
