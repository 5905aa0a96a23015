#include "data/windows.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "data/skeleton.hpp"
#include "engine/error.hpp"
#include "engine/rng.hpp"

namespace posetape::data {
namespace {

template <class Predicate>
std::vector<int> select(const Dataset& dataset, Predicate keep) {
  std::vector<int> indices;
  for (std::size_t i = 0; i < dataset.sequences.size(); ++i) {
    if (keep(dataset.sequences[i])) indices.push_back(static_cast<int>(i));
  }
  return indices;
}

const Sequence& sequence_of(const Dataset& dataset, const Window& window) {
  return dataset.sequences.at(static_cast<std::size_t>(window.sequence));
}

// Calls transform(source pose, target pose [17][channels], frame) for each frame of the window.
template <class Transform>
void gather(const PoseArray& source, int channels, const Window& window, bool flip,
            std::span<float> out, Transform transform) {
  const std::size_t size = std::size_t(kJoints * channels);
  if (out.empty() || out.size() % size != 0 || out.size() / size < std::size_t(window.length) ||
      window.length < 1 || window.end() > source.frames()) {
    fail(
        "window [{}, {}) of {} frames does not fit a buffer of {} values; use the frame count "
        "the windows were made with",
        window.start, window.end(), source.frames(), out.size());
  }
  for (std::size_t k = 0; k < out.size() / size; ++k) {
    const int frame = frame_at(window, static_cast<int>(k), source.frames());
    transform(source.frame(frame), out.data() + k * size, frame);
  }
  if (flip) mirror(out, channels);
}

// Every step-th frame from the first on is cut as a sequence of its own, then those from the second
// on, and so forth.
void add_strided(int index, int total, const WindowCut& cut, std::vector<Window>& windows) {
  for (int first = 0; first < std::min(cut.step, total); ++first) {
    const int count = (total - first + cut.step - 1) / cut.step;
    int owned = 0;  // of the count, by the windows so far
    for (int next = 0; owned < count; next += cut.stride) {
      const int start = std::max(0, std::min(next, count - cut.frames));
      const int length = std::min(cut.frames, count);
      windows.push_back({index, first + start * cut.step, length, owned - start, cut.step});
      owned = start + length;
    }
  }
}

void add_around_each(int index, int total, const WindowCut& cut, std::vector<Window>& windows) {
  const int before = (cut.frames - 1) / 2;
  for (int frame = 0; frame < total; ++frame) {
    windows.push_back({index, frame - before * cut.step, before + 1, before, cut.step});
  }
}

const PoseArray& need(const Sequence& sequence, const std::optional<PoseArray>& array,
                      const char* field, const char* hint) {
  if (!array) fail("sequence '{}' has no '{}'; {}", sequence.name, field, hint);
  return *array;
}

}  // namespace

int frame_at(const Window& window, int k, int total) {
  return std::clamp(window.start + k * window.step, 0, total - 1);
}

std::vector<int> all_sequences(const Dataset& dataset) {
  return select(dataset, [](const Sequence&) { return true; });
}

std::vector<int> train_sequences(const Dataset& dataset) {
  return select(dataset, [&](const Sequence& sequence) { return !dataset.is_test(sequence); });
}

std::vector<int> test_sequences(const Dataset& dataset) {
  return select(dataset, [&](const Sequence& sequence) { return dataset.is_test(sequence); });
}

std::int64_t count_frames(const Dataset& dataset, std::span<const int> sequences) {
  std::int64_t frames = 0;
  for (const int i : sequences)
    frames += dataset.sequences.at(static_cast<std::size_t>(i)).frames();
  return frames;
}

std::vector<Window> make_windows(const Dataset& dataset, std::span<const int> sequences,
                                 const WindowCut& cut) {
  if (cut.step < 1) fail("windows with frames {} apart; they must be 1 apart at least", cut.step);
  const bool centre = cut.rule == WindowRule::centre_frame;
  if (centre && cut.frames < 1) fail("windows of {} frames have no centre frame", cut.frames);
  if (!centre && (cut.stride < 1 || cut.stride > cut.frames)) {
    fail(
        "windows of {} frames with a stride of {} would leave frames out; choose a stride from "
        "1 to the window's length",
        cut.frames, cut.stride);
  }
  std::vector<Window> windows;
  for (const int index : sequences) {
    const int total = dataset.sequences.at(static_cast<std::size_t>(index)).frames();
    centre ? add_around_each(index, total, cut, windows) : add_strided(index, total, cut, windows);
  }
  return windows;
}

Merge merge_of(const WindowCut& cut) {
  if (cut.rule != WindowRule::every_stride || cut.stride >= cut.frames) return Merge::owned;
  return cut.overlap == Overlap::smooth ? Merge::smooth : Merge::average;
}

double window_weight(int k, int length) {
  const double sine = std::sin(std::numbers::pi * (k + 0.5) / length);
  return sine * sine;
}

std::vector<Window> shuffled(std::span<const Window> windows, std::uint64_t seed,
                             std::uint64_t epoch) {
  Random random(seed, Stream::shuffle, epoch);
  std::vector<Window> result;
  result.reserve(windows.size());
  for (const int i : random.permutation(static_cast<int>(windows.size()))) {
    result.push_back(windows[static_cast<std::size_t>(i)]);
  }
  return result;
}

namespace {

// With a third channel, the confidence.
void gather_screen(const Dataset& dataset, const Window& window, bool flip, std::span<float> out,
                   int channels) {
  const Sequence& sequence = sequence_of(dataset, window);
  if (std::ranges::min(sequence.image_size) < 1) {
    fail("sequence '{}' has no image size; set width and height in pixels", sequence.name);
  }
  const auto width = static_cast<float>(sequence.image_size[0]);
  const auto height = static_cast<float>(sequence.image_size[1]);
  gather(sequence.pose_2d, channels, window, flip, out, [&](const float* from, float* to, int f) {
    for (int j = 0; j < kJoints; ++j, from += 2, to += channels) {
      to[0] = from[0] / width * 2 - 1;
      to[1] = from[1] / width * 2 - height / width;
      if (channels == 3) to[2] = sequence.sure(f, j);
    }
  });
}

}  // namespace

void gather_2d(const Dataset& dataset, const Window& window, bool flip, std::span<float> out) {
  gather_screen(dataset, window, flip, out, 2);
}

void gather_2d_confidence(const Dataset& dataset, const Window& window, bool flip,
                          std::span<float> out) {
  gather_screen(dataset, window, flip, out, 3);
}

void gather_truth(const Dataset& dataset, const Window& window, bool flip, std::span<float> out) {
  const Sequence& sequence = sequence_of(dataset, window);
  const PoseArray& truth = need(sequence, sequence.pose_3d, "pose_3d",
                                "training and evaluation need the ground truth of every sequence");
  gather(truth, 3, window, flip, out, [](const float* from, float* to, int) {
    for (int i = 0; i < 3 * kJoints; ++i) to[i] = from[i] - from[i % 3];
  });
}

void gather_noisy(const Dataset& dataset, const Window& window, bool flip, std::span<float> out) {
  const Sequence& sequence = sequence_of(dataset, window);
  const PoseArray& noisy = need(sequence, sequence.noisy_3d, "noisy_3d",
                                "make base estimates with 'posetape lift' first");
  gather(noisy, 3, window, flip, out, [](const float* from, float* to, int) {
    std::fill_n(to, 3, 0.0f);
    std::copy(from + 3, from + 3 * kJoints, to + 3);
  });
}

WindowMerger::WindowMerger(const Dataset& dataset, Merge merge)
    : dataset_(dataset), merge_(merge), partial_(dataset.sequences.size()) {}

void WindowMerger::add(const Window& window, std::span<const float> values, int channels) {
  const int total = sequence_of(dataset_, window).frames();
  Partial& partial = partial_.at(static_cast<std::size_t>(window.sequence));
  const std::size_t size = std::size_t(kJoints * channels);
  if (values.size() < size * std::size_t(window.length) || values.size() % size != 0 ||
      window.end() > total) {
    fail(
        "window [{}, {}) of {} frames does not fit an output of {} values; use the frame count "
        "the windows were made with",
        window.start, window.end(), total, values.size());
  }
  if (partial.weight.empty()) {
    partial.pose.channels = channels;
    partial.pose.values.resize(size * std::size_t(total));
    partial.weight.resize(std::size_t(total));
    if (merge_ != Merge::owned) partial.sum.resize(partial.pose.values.size());
  }

  const int first = merge_ == Merge::owned ? window.first_valid : 0;
  for (int k = first; k < window.length; ++k) {
    const std::size_t frame = std::size_t(frame_at(window, k, total));
    const auto from = values.subspan(std::size_t(k) * size, size);
    const double weight = merge_ == Merge::smooth ? window_weight(k, window.length) : 1;
    partial.weight[frame] += weight;
    if (merge_ == Merge::owned) {
      std::ranges::copy(from, partial.pose.values.begin() + frame * size);
    } else {
      for (std::size_t i = 0; i < size; ++i) partial.sum[frame * size + i] += weight * from[i];
    }
  }
}

PoseArray WindowMerger::take(int sequence) {
  Partial partial = std::exchange(partial_.at(static_cast<std::size_t>(sequence)), {});
  const auto missing = std::ranges::find(partial.weight, 0.0);
  if (partial.weight.empty() || missing != partial.weight.end()) {
    fail("sequence '{}': no window gave frame {}; add every window of the sequence",
         dataset_.sequences[static_cast<std::size_t>(sequence)].name,
         missing - partial.weight.begin());
  }
  const std::size_t size = std::size_t(kJoints * partial.pose.channels);
  for (std::size_t i = 0; i < partial.sum.size(); ++i) {
    partial.pose.values[i] = static_cast<float>(partial.sum[i] / partial.weight[i / size]);
  }
  return std::move(partial.pose);
}

}  // namespace posetape::data
