// Batches of windows as tensors, and those of a training in their random order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/windows.hpp"
#include "engine/tensor.hpp"

namespace posetape::data {

enum class Field { screen_2d, screen_2d_confidence, truth, noisy };
// The 2D poses of so many channels: 2, or 3 with the confidence of each joint.
constexpr Field screen_field(std::int64_t channels) {
  return channels == 3 ? Field::screen_2d_confidence : Field::screen_2d;
}

// One field of a batch of windows, f32 [B, frames, 17, C]: screen coordinates (C = 2), and with
// them the confidence (C = 3), or metres relative to the root (C = 3). `flips`, where not empty,
// says which windows are mirrored.
Tensor gather(const Dataset& dataset, std::span<const Window> windows,
              std::span<const std::uint8_t> flips, int frames, Field field);

// The batches of a training run. An epoch sees disjoint windows of every sequence, each moved
// forward by a random part of its own length so that epochs differ, in random order, half of them
// mirrored where `flip` says so. Batch (epoch, step) depends on these and the seed alone.
class EpochBatches {
 public:
  // `step` is that of WindowCut.
  EpochBatches(const Dataset& dataset, std::span<const int> sequences, int frames, int batch,
               bool flip, std::uint64_t seed, int step = 1);

  // Whole batches of an epoch, at least one; windows beyond the last whole batch are left out.
  int steps() const;

  struct Batch {
    std::span<const Window> windows;
    std::span<const std::uint8_t> flips;
  };
  // Valid until the next call.
  Batch at(int epoch, int step);

 private:
  void draw(int epoch);

  const Dataset& dataset_;
  std::vector<Window> windows_;
  int frames_;
  int step_;
  std::size_t batch_;
  bool flip_;
  std::uint64_t seed_;
  int drawn_ = -1;  // the epoch that order_ and flips_ are of
  std::vector<Window> order_;
  std::vector<std::uint8_t> flips_;
};

}  // namespace posetape::data
