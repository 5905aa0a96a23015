// A stream (stream.hpp) of frames of any rate. Where it is not the network's, frames are resampled
// as they come and results back, both by linear interpolation, which looks one frame ahead; as
// Sequence::fps and Convention::fps say. Where it is, or is not known, this is a PoseStream.
//
// The delay is in frames of the source: a result comes with the frame that lies D later. The stream
// of the network's frames has what is left of that, floor(D network / source) - 1 frames, or one
// more where rates divide; a delay for which none is left is refused.
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "diffusion/stream.hpp"

namespace posetape::diffusion {

class ResampledStream {
 public:
  using Pose = PoseStream::Pose;
  using Options = PoseStream::Options;

  // As PoseStream, but for the rate. Throws Error also for a delay that is too short to resample.
  ResampledStream(Inference& network, int frames, const data::Convention& convention,
                  const data::Sequence& clip, const Options& options);

  // As PoseStream's. A joint that is missing in a frame is missing in what is interpolated with it.
  void push(std::span<const float> pose_2d, std::span<const float> noisy_3d,
            std::span<const float> confidence = {});
  std::optional<Pose> pull();
  const std::optional<Pose>& std() const { return std_; }
  void finish();

 private:
  struct Frame {
    std::array<float, 2 * data::kJoints> pose_2d;
    std::array<float, 3 * data::kJoints> noisy_3d;
    std::array<float, data::kJoints> confidence;
  };
  struct Result {
    Pose pose;
    std::optional<Pose> std;
  };

  void push_between(const Frame& a, const Frame& b, float t);
  void collect();
  void give(std::int64_t before);
  void start_anew();

  double step_;  // frames of the source for one of the network's; 1: they are the same
  int delay_;    // D
  PoseStream stream_;
  std::optional<Frame> last_;
  std::int64_t pushed_ = 0;     // frames of the source
  std::int64_t sent_ = 0;       // frames of the network
  std::int64_t given_ = 0;      // results, as frames of the source
  std::deque<Result> results_;  // of the network's frames from first_ on
  std::int64_t first_ = 0;
  std::deque<Result> ready_;
  std::optional<Pose> std_;
};

}  // namespace posetape::diffusion
