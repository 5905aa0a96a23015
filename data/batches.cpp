#include "data/batches.hpp"

#include <algorithm>

#include "engine/rng.hpp"

namespace posetape::data {

Tensor gather(const Dataset& dataset, std::span<const Window> windows,
              std::span<const std::uint8_t> flips, int frames, Field field) {
  const Index channels = field == Field::screen_2d ? 2 : 3;
  const Tensor out =
      Tensor::empty({static_cast<Index>(windows.size()), frames, kJoints, channels}, DType::f32);
  const std::size_t each = static_cast<std::size_t>(frames * kJoints * channels);
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const std::span<float> values = out.values<float>().subspan(i * each, each);
    const bool flip = !flips.empty() && flips[i] != 0;
    switch (field) {
      case Field::screen_2d:
        gather_2d(dataset, windows[i], flip, values);
        break;
      case Field::screen_2d_confidence:
        gather_2d_confidence(dataset, windows[i], flip, values);
        break;
      case Field::truth:
        gather_truth(dataset, windows[i], flip, values);
        break;
      case Field::noisy:
        gather_noisy(dataset, windows[i], flip, values);
        break;
    }
  }
  return out;
}

EpochBatches::EpochBatches(const Dataset& dataset, std::span<const int> sequences, int frames,
                           int batch, bool flip, std::uint64_t seed, int step)
    : dataset_(dataset),
      windows_(make_windows(dataset, sequences, disjoint(frames, step))),
      frames_(frames),
      step_(step),
      batch_(static_cast<std::size_t>(batch)),
      flip_(flip),
      seed_(seed) {}

int EpochBatches::steps() const {
  return std::max(1, static_cast<int>(windows_.size() / batch_));
}

EpochBatches::Batch EpochBatches::at(int epoch, int step) {
  if (drawn_ != epoch) draw(epoch);
  const std::size_t begin = static_cast<std::size_t>(step) * batch_;
  const std::size_t count = std::min(batch_, order_.size() - begin);
  return {std::span(order_).subspan(begin, count), std::span(flips_).subspan(begin, count)};
}

void EpochBatches::draw(int epoch) {
  const auto number = static_cast<std::uint64_t>(epoch);
  order_ = shuffled(windows_, seed_, number);
  Random shifts(seed_, Stream::augment, 2 * number);
  for (Window& w : order_) {
    const int total = dataset_.sequences[static_cast<std::size_t>(w.sequence)].frames();
    const int last = total - 1 - (frames_ - 1) * step_;  // start of a window that isn't padded
    const auto shift = static_cast<int>(shifts.below(static_cast<std::uint32_t>(frames_ * step_)));
    if (last > 0) w.start = std::min(w.start + shift, last);
  }
  flips_.assign(order_.size(), 0);
  Random coins(seed_, Stream::augment, 2 * number + 1);
  for (std::uint8_t& f : flips_) f = flip_ && coins.below(2) == 1;
  drawn_ = epoch;
}

}  // namespace posetape::data
