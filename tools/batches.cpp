#include "tools/batches.hpp"

#include <algorithm>
#include <cmath>

#include "data/skeleton.hpp"
#include "engine/error.hpp"
#include "engine/rng.hpp"

namespace posetape::tools {
namespace {

Tensor mirrored(const Tensor& poses) {
  const Tensor out = poses.clone();
  data::mirror(out.values<float>(), static_cast<int>(out.shape().back()));
  return out;
}

}  // namespace

Tensor gather(const data::Dataset& dataset, std::span<const data::Window> windows,
              std::span<const std::uint8_t> flips, int frames, Field field) {
  const Index channels = field == Field::screen_2d ? 2 : 3;
  const Tensor out = Tensor::empty(
      {static_cast<Index>(windows.size()), frames, data::kJoints, channels}, DType::f32);
  const std::size_t each = static_cast<std::size_t>(frames * data::kJoints * channels);
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const std::span<float> values = out.values<float>().subspan(i * each, each);
    const bool flip = !flips.empty() && flips[i] != 0;
    switch (field) {
      case Field::screen_2d:
        data::gather_2d(dataset, windows[i], flip, values);
        break;
      case Field::truth:
        data::gather_truth(dataset, windows[i], flip, values);
        break;
      case Field::noisy:
        data::gather_noisy(dataset, windows[i], flip, values);
        break;
    }
  }
  return out;
}

EpochBatches::EpochBatches(const data::Dataset& dataset, std::span<const int> sequences, int frames,
                           int batch, bool flip, std::uint64_t seed, int step)
    : dataset_(dataset),
      windows_(data::make_windows(dataset, sequences,
                                  {.frames = frames, .stride = frames, .step = step})),
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
  order_ = data::shuffled(windows_, seed_, number);
  Random shifts(seed_, Stream::augment, 2 * number);
  for (data::Window& w : order_) {
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

PredictOptions disjoint(int frames, int batch, int step) {
  return {{.frames = frames, .stride = frames, .step = step}, batch};
}

FrameCount count_frames(const data::Dataset& dataset, const data::WindowCut& cut) {
  FrameCount count;
  for (const data::Sequence& s : dataset.sequences) count.frames += s.frames();
  const auto windows = data::make_windows(dataset, data::all_sequences(dataset), cut).size();
  count.a_window = count.frames / static_cast<double>(windows);
  return count;
}

std::vector<data::PoseArray> predict(const data::Dataset& dataset, std::span<const int> sequences,
                                     const PredictOptions& options, const WindowFunction& f,
                                     const std::function<void(std::size_t)>& on_windows) {
  const std::vector<data::Window> windows = data::make_windows(dataset, sequences, options.windows);
  data::WindowMerger merger(dataset, data::merge_of(options.windows));
  if (options.last_windows != nullptr) options.last_windows->assign(sequences.size(), std::nullopt);
  const std::size_t each = static_cast<std::size_t>(options.windows.frames * data::kJoints * 3);
  const auto batch = static_cast<std::size_t>(options.batch);
  for (std::size_t begin = 0; begin < windows.size(); begin += batch) {
    const auto part = std::span(windows).subspan(begin, std::min(batch, windows.size() - begin));
    const Tensor out = f(part).to(Device::cpu);
    const std::span<float> values = out.values<float>();
    for (std::size_t i = 0; i < values.size() && options.root == data::RootRule::zero;
         i += 3 * data::kJoints) {
      values[i] = values[i + 1] = values[i + 2] = 0;
    }
    for (std::size_t i = 0; i < part.size(); ++i) {
      const auto window = values.subspan(i * each, each);
      merger.add(part[i], window);
      if (options.last_windows == nullptr) continue;
      if (part[i].first_valid == 0 && part[i].length == options.windows.frames) continue;
      const auto place = std::ranges::find(sequences, part[i].sequence) - sequences.begin();
      options.last_windows->at(static_cast<std::size_t>(place)) =
          data::PoseArray{3, {window.begin(), window.end()}};
    }
    if (on_windows) on_windows(part.size());
  }
  std::vector<data::PoseArray> poses;
  for (const int s : sequences) poses.push_back(merger.take(s));
  return poses;
}

Tensor flip_average(const PoseFunction& f, std::span<const Tensor> inputs) {
  const Tensor plain = f(inputs);
  std::vector<Tensor> flipped;
  for (const Tensor& input : inputs) flipped.push_back(mirrored(input));
  const Tensor back = mirrored(f(flipped));
  const Tensor out = Tensor::empty(plain.shape(), plain.dtype());
  for (std::size_t i = 0; i < out.values<float>().size(); ++i) {
    out.data<float>()[i] = 0.5f * (plain.data<float>()[i] + back.data<float>()[i]);
  }
  return out;
}

double mpjpe_mm(const data::Dataset& dataset, std::span<const int> sequences,
                std::span<const data::PoseArray> estimates) {
  double sum = 0;
  double count = 0;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(sequences[i])];
    if (!s.pose_3d) fail("sequence {} has no pose_3d, which validation needs", s.name);
    for (int f = 0; f < s.frames(); ++f) {
      const float* truth = s.pose_3d->frame(f);
      const float* estimate = estimates[i].frame(f);
      for (int j = 0; j < data::kJoints; ++j) {
        double squares = 0;
        for (int c = 0; c < 3; ++c) {
          const double d = double{truth[3 * j + c]} - truth[c] - estimate[3 * j + c];
          squares += d * d;
        }
        sum += std::sqrt(squares);
      }
      count += data::kJoints;
    }
  }
  return count > 0 ? 1000 * sum / count : 0;
}

void check_finite(const data::Dataset& dataset, std::span<const int> sequences,
                  std::span<const data::PoseArray> estimates, const std::string& checkpoint) {
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const std::vector<float>& values = estimates[i].values;
    const auto bad = std::ranges::find_if(values, [](float x) { return !std::isfinite(x); });
    if (bad == values.end()) continue;
    const auto joint = (bad - values.begin()) / estimates[i].channels;
    fail(
        "{}: its result is {} in sequence {}, frame {}, joint {}: its weights are too large, or "
        "that sequence's poses; use another checkpoint, or leave the sequence out",
        checkpoint, *bad, dataset.sequences[static_cast<std::size_t>(sequences[i])].name,
        joint / data::kJoints, joint % data::kJoints);
  }
}

}  // namespace posetape::tools
