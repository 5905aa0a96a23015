// From windows of a dataset to the tensors that a network takes, and back.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/protocol.hpp"
#include "data/windows.hpp"
#include "engine/tensor.hpp"

namespace posetape::tools {

enum class Field { screen_2d, truth, noisy };

// One field of a batch of windows, f32 [B, frames, 17, C]: screen coordinates (C = 2), or metres
// relative to the root (C = 3). `flips`, where not empty, says which windows are mirrored.
Tensor gather(const data::Dataset& dataset, std::span<const data::Window> windows,
              std::span<const std::uint8_t> flips, int frames, Field field);

// The batches of a training run. An epoch sees disjoint windows of every sequence, each moved
// forward by a random part of its own length so that epochs differ, in random order, half of them
// mirrored where `flip` says so. Batch (epoch, step) depends on these and the seed alone.
class EpochBatches {
 public:
  // `step` is that of WindowCut.
  EpochBatches(const data::Dataset& dataset, std::span<const int> sequences, int frames, int batch,
               bool flip, std::uint64_t seed, int step = 1);

  // Whole batches of an epoch, at least one; windows beyond the last whole batch are left out.
  int steps() const;

  struct Batch {
    std::span<const data::Window> windows;
    std::span<const std::uint8_t> flips;
  };
  // Valid until the next call.
  Batch at(int epoch, int step);

 private:
  void draw(int epoch);

  const data::Dataset& dataset_;
  std::vector<data::Window> windows_;
  int frames_;
  int step_;
  std::size_t batch_;
  bool flip_;
  std::uint64_t seed_;
  int drawn_ = -1;  // the epoch that order_ and flips_ are of
  std::vector<data::Window> order_;
  std::vector<std::uint8_t> flips_;
};

// Frames of all sequences, and of how many of them a window of the cut is, on average: what a
// progress line counts.
struct FrameCount {
  double frames = 0;
  double a_window = 0;
};
FrameCount count_frames(const data::Dataset& dataset, const data::WindowCut& cut);

// Runs f on the windows of `sequences` in batches and puts its outputs [B, frames, 17, 3] together.
// Result i belongs to sequences[i].
using WindowFunction = std::function<Tensor(std::span<const data::Window>)>;
struct PredictOptions {
  data::WindowCut windows;  // of f's frames
  int batch = 32;
  data::RootRule root = data::RootRule::zero;  // exactly zero, or as f gives it
  // Gets the last window of each sequence whole, by place in `sequences`, where it has frames that
  // the window before has, or padding. For windows that don't overlap otherwise.
  std::vector<std::optional<data::PoseArray>>* last_windows = nullptr;
};
// Disjoint windows of this many frames, `step` apart, the root zero.
PredictOptions disjoint(int frames, int batch, int step = 1);
std::vector<data::PoseArray> predict(const data::Dataset& dataset, std::span<const int> sequences,
                                     const PredictOptions& options, const WindowFunction& f,
                                     const std::function<void(std::size_t)>& on_windows = {});

// f on the batch and on its mirror image, averaged after mirroring back: test-time flip averaging.
// f takes tensors whose last dimension is x, y (, z).
using PoseFunction = std::function<Tensor(std::span<const Tensor>)>;
Tensor flip_average(const PoseFunction& f, std::span<const Tensor> inputs);

// Mean over frames and joints of the distance between `estimates` and the truth, mm.
double mpjpe_mm(const data::Dataset& dataset, std::span<const int> sequences,
                std::span<const data::PoseArray> estimates);

// Throws Error, naming the first sequence and frame, where a number of what `checkpoint` made of
// the sequences is NaN or infinite.
void check_finite(const data::Dataset& dataset, std::span<const int> sequences,
                  std::span<const data::PoseArray> estimates, const std::string& checkpoint);

}  // namespace posetape::tools
