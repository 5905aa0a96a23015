// Sequences cut into windows of N frames for a network, and the network's outputs put together
// again.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/dataset.hpp"
#include "engine/choices.hpp"

namespace posetape::data {

// N frames of one sequence, `step` apart from `start` on; before and beyond the sequence its first
// and its last frame are repeated. Results are taken from the window's frames [0, length). Frames
// of the sequence in more than one window are owned by the earliest: this one owns
// [first_valid, length), counted from its own start, so that the windows of a list own every frame
// exactly once.
struct Window {
  int sequence = 0;  // index in Dataset::sequences
  int start = 0;
  int length = 0;
  int first_valid = 0;
  int step = 1;

  // One beyond the last frame that results are taken from.
  int end() const { return start + (length - 1) * step + 1; }
};

// The frame of a sequence of `total` frames that is at place k of the window.
int frame_at(const Window& window, int k, int total);

// Indices of sequences.
std::vector<int> all_sequences(const Dataset& dataset);
std::vector<int> train_sequences(const Dataset& dataset);  // !is_test
std::vector<int> test_sequences(const Dataset& dataset);   // is_test
std::int64_t count_frames(const Dataset& dataset, std::span<const int> sequences);

enum class WindowRule {
  // Windows start every `stride` frames. The last one of a sequence is shifted back to end with it
  // (as MixSTE evaluates), so that no frame is left out and only clips shorter than a window are
  // padded. stride = frames makes windows that are disjoint but for that last one.
  every_stride,
  centre_frame,  // one around each frame, of which the middle frame is taken; no stride
};

// How the results of windows that have a frame in common become one.
enum class Overlap {
  average,  // all of them weigh the same
  smooth,   // by a raised cosine, next to nothing at a window's ends: no window begins or ends at
            // once
};
constexpr auto choices(Overlap) {
  return make_choices<Overlap>("overlap",
                               {{Overlap::average, "average", "all windows weigh the same"},
                                {Overlap::smooth, "smooth", "a raised cosine, without seams"}});
}

// How sequences are cut into windows of N = `frames` frames that are `step` apart (STCFormer's tds:
// 3 for N = 27 and 81, 2 for N = 243). With a stride, a sequence is cut as `step` of them: every
// step-th frame from the first one on, from the second one on, ...; the stride counts their frames.
struct WindowCut {
  WindowRule rule = WindowRule::every_stride;
  int frames = 27;
  int stride = 27;
  int step = 1;
  Overlap overlap = Overlap::average;
};
// The stride at which windows with smooth overlaps leave no seam: every frame is in two of them.
constexpr int seamless_stride(int frames) {
  return frames < 2 ? 1 : frames / 2;
}
// Windows that have no frame in common but for the last one's.
constexpr WindowCut disjoint(int frames, int step = 1) {
  return {.frames = frames, .stride = frames, .step = step};
}
// Windows whose overlaps leave no seam.
constexpr WindowCut seamless(int frames, int step = 1) {
  return {.frames = frames,
          .stride = seamless_stride(frames),
          .step = step,
          .overlap = Overlap::smooth};
}
// In the order of `sequences`. Throws Error unless step >= 1 and 1 <= stride <= frames.
std::vector<Window> make_windows(const Dataset& dataset, std::span<const int> sequences,
                                 const WindowCut& cut);
inline std::vector<Window> make_windows(const Dataset& dataset, std::span<const int> sequences,
                                        int frames, int stride) {
  return make_windows(dataset, sequences, WindowCut{.frames = frames, .stride = stride});
}
inline std::vector<Window> make_windows(const Dataset& dataset, std::span<const int> sequences,
                                        int frames) {
  return make_windows(dataset, sequences, disjoint(frames));
}

// The windows in the random order of one epoch: a function of (seed, epoch) and nothing else.
std::vector<Window> shuffled(std::span<const Window> windows, std::uint64_t seed,
                             std::uint64_t epoch);

// One window's field in row-major [N][17][C], N from the size of `out`. With `flip`, the mirrored
// person: x negated, left and right joints exchanged (VideoPose3D's augmentation; `mirror` of
// data/skeleton.hpp, which also takes an output back).
//
// 2D (C = 2): x / w * 2 - 1 and y / w * 2 - h / w, so that x is in [-1, 1] and the aspect stays.
void gather_2d(const Dataset& dataset, const Window& window, bool flip, std::span<float> out);
// The same with the confidence of each joint (C = 3): 1 where nothing is known.
void gather_2d_confidence(const Dataset& dataset, const Window& window, bool flip,
                          std::span<float> out);
// Ground truth (C = 3) in metres relative to joint 0. Throws Error where the sequence has none.
void gather_truth(const Dataset& dataset, const Window& window, bool flip, std::span<float> out);
// Base estimate (C = 3) in metres, joint 0 forced to zero. Throws Error where there is none.
void gather_noisy(const Dataset& dataset, const Window& window, bool flip, std::span<float> out);

// What to do with a frame that is in several windows.
enum class Merge {
  owned,    // take it from the window that owns it
  average,  // average over all windows that have it
  smooth,   // the same, weighted by window_weight()
};
// The weight of place k in a window that gives `length` frames: sin^2(pi (k + 1/2) / length).
double window_weight(int k, int length);
// What the windows of a cut are for: overlaps that its stride makes are averaged, as it says.
Merge merge_of(const WindowCut& cut);

// Puts the outputs of a list of windows together to whole sequences.
class WindowMerger {
 public:
  WindowMerger(const Dataset& dataset, Merge merge);

  // One window's output in [N][17][C], C the same in every call. Padding is dropped.
  void add(const Window& window, std::span<const float> values, int channels = 3);

  // The sequence, once all of its windows were added; it is not kept. Throws Error if a frame is
  // missing.
  PoseArray take(int sequence);

 private:
  struct Partial {
    PoseArray pose;              // owned: the frames so far
    std::vector<double> sum;     // average, smooth: of the weighted values so far
    std::vector<double> weight;  // of the windows that gave each frame
  };

  const Dataset& dataset_;
  Merge merge_;
  std::vector<Partial> partial_;  // by sequence
};

}  // namespace posetape::data
