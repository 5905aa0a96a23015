#include "diffusion/sequences.hpp"

#include <algorithm>
#include <utility>

#include "data/skeleton.hpp"
#include "engine/ranks/ranks.hpp"

namespace posetape::diffusion {
namespace {

Tensor mirrored(const Tensor& poses) {
  const Tensor out = poses.clone();
  data::mirror(out.values<float>(), static_cast<int>(out.shape().back()));
  return out;
}

Tensor average(const Tensor& a, const Tensor& b) {
  const Tensor out = Tensor::empty(a.shape(), a.dtype());
  const auto mean = [](float x, float y) { return 0.5f * (x + y); };
  std::ranges::transform(a.values<float>(), b.values<float>(), out.data<float>(), mean);
  return out;
}

}  // namespace

Inference::Inference(std::vector<data::Field> inputs, Device device, Function f)
    : inputs_(std::move(inputs)),
      network_(device,
               [f = std::move(f)](std::span<const Tensor> in, int /*variant*/) { return f(in); }) {}

Tensor Inference::batch(const data::Dataset& dataset, std::span<const data::Window> windows,
                        int frames, bool flip_average) {
  std::vector<Tensor> in;
  for (const data::Field field : inputs_) {
    in.push_back(data::gather(dataset, windows, {}, frames, field));
  }
  const Tensor plain = network_(in).to(Device::cpu);
  if (!flip_average) return plain;
  std::ranges::transform(in, in.begin(), mirrored);
  return average(plain, mirrored(network_(in).to(Device::cpu)));
}

Inference::Result Inference::operator()(const data::Dataset& dataset,
                                        std::span<const int> sequences, const Options& options) {
  if (options.batch < 1) fail("inference: {} windows at a time; take one or more", options.batch);
  const int frames = options.windows.frames;
  const std::vector<data::Window> windows = data::make_windows(dataset, sequences, options.windows);
  const auto total = static_cast<double>(data::count_frames(dataset, sequences));
  Result result;
  result.last_windows.resize(sequences.size());
  data::WindowMerger merger(dataset, data::merge_of(options.windows));
  constexpr std::size_t kPose = 3 * data::kJoints;
  const std::size_t each = static_cast<std::size_t>(frames) * kPose;
  const auto size = static_cast<std::size_t>(options.batch);
  // In each round every rank takes a batch, and all are told what comes of all of them.
  const std::size_t round = size * static_cast<std::size_t>(ranks().size());
  std::vector<float> results(ranks().alone() ? 0 : std::min(round, windows.size()) * each);
  for (std::size_t begin = 0; begin < windows.size(); begin += round) {
    const auto part = std::span(windows).subspan(begin, std::min(round, windows.size() - begin));
    const auto of_rank = [&](int rank) {
      const std::size_t first = std::min(part.size(), size * static_cast<std::size_t>(rank));
      return part.subspan(first, std::min(size, part.size() - first));
    };
    const std::span<const data::Window> mine = of_rank(ranks().rank());
    Tensor out;
    if (!mine.empty()) out = batch(dataset, mine, frames, options.flip_average);
    std::span<float> values = mine.empty() ? std::span<float>() : out.values<float>();
    if (!ranks().alone()) {
      std::ranges::copy(values, results.begin() + (mine.data() - part.data()) *
                                                      static_cast<std::ptrdiff_t>(each));
      std::vector<std::uint64_t> bytes;
      for (int r = 0; r < ranks().size(); ++r) {
        bytes.push_back(of_rank(r).size() * each * sizeof(float));
      }
      values = std::span(results).first(part.size() * each);
      ranks().gather(std::as_writable_bytes(values), bytes);
    }
    for (std::size_t i = 0; i < values.size() && options.root == data::RootRule::zero; i += kPose) {
      values[i] = values[i + 1] = values[i + 2] = 0;
    }
    for (std::size_t i = 0; i < part.size(); ++i) {
      const auto window = values.subspan(i * each, each);
      merger.add(part[i], window);
      const bool shared_or_padded = part[i].first_valid != 0 || part[i].length != frames;
      if (!options.last_windows || !shared_or_padded) continue;
      const auto place = std::ranges::find(sequences, part[i].sequence) - sequences.begin();
      result.last_windows[static_cast<std::size_t>(place)] =
          data::PoseArray{3, {window.begin(), window.end()}};
    }
    if (options.on_frames) {
      options.on_frames(total * static_cast<double>(part.size()) /
                        static_cast<double>(windows.size()));
    }
  }
  for (const int s : sequences) result.poses.push_back(merger.take(s));
  return result;
}

Inference::Result Inference::operator()(const data::View& view, std::span<const int> sequences,
                                        const Options& options) {
  Result result = (*this)(view.dataset(), sequences, options);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    result.poses[i] = view.back(sequences[i], std::move(result.poses[i]));
    auto& window = result.last_windows[i];
    if (window) window = view.back_window(sequences[i], std::move(*window));
  }
  return result;
}

Inference refining(const Refiner& refiner, int steps) {
  return {{data::Field::noisy, data::screen_field(refiner.config().network.screen)},
          refiner.parameters().device(),
          [&refiner, steps](std::span<const Tensor> in) {
            return refiner.refine(in[0], in[1], steps);
          }};
}

void check_finite(const data::Dataset& dataset, std::span<const int> sequences,
                  std::span<const data::PoseArray> poses, const std::string& checkpoint) {
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const auto bad = first_not_finite(poses[i].values);
    if (!bad) continue;
    const Index joint = bad->index / poses[i].channels;
    fail(
        "{}: its result is {} in sequence {}, frame {}, joint {}: its weights are too large, or "
        "that sequence's poses; use another checkpoint, or leave the sequence out",
        checkpoint, bad->value, dataset.sequences[static_cast<std::size_t>(sequences[i])].name,
        joint / data::kJoints, joint % data::kJoints);
  }
}

NoiseSequence noise_rows(const data::Dataset& dataset, int sequence) {
  const int frames = dataset.sequences.at(static_cast<std::size_t>(sequence)).frames();
  const data::Window whole{sequence, 0, frames, 0};
  std::vector<float> truth(static_cast<std::size_t>(frames * kErrorWidth));
  std::vector<float> noisy(truth.size());
  std::vector<float> y(static_cast<std::size_t>(frames * 2 * data::kJoints));
  data::gather_truth(dataset, whole, false, truth);
  data::gather_noisy(dataset, whole, false, noisy);
  data::gather_2d(dataset, whole, false, y);
  NoiseSequence rows;
  for (std::size_t i = 0; i < noisy.size(); ++i) rows.a.push_back(double{noisy[i]} - truth[i]);
  for (int f = 0; f < frames; ++f) {
    const float* screen = y.data() + f * 2 * data::kJoints;
    const float* estimate = noisy.data() + f * kErrorWidth;
    rows.b.insert(rows.b.end(), screen, screen + 2 * data::kJoints);
    rows.b.insert(rows.b.end(), estimate, estimate + kErrorWidth);
  }
  return rows;
}

}  // namespace posetape::diffusion
