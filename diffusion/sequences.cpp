#include "diffusion/sequences.hpp"

#include <algorithm>
#include <utility>

#include "data/skeleton.hpp"
#include "data/uncertainty.hpp"
#include "engine/ops.hpp"
#include "engine/ranks/ranks.hpp"

namespace posetape::diffusion {
namespace {

Tensor mirrored(const Tensor& poses) {
  const Tensor out = poses.clone();
  data::mirror(out.values<float>(), static_cast<int>(out.shape().back()));
  return out;
}

// Deviations have no direction: joints change sides alone.
Tensor mirrored_std(const Tensor& log_std) {
  const Tensor out = mirrored(log_std);
  const std::span<float> values = out.values<float>();
  for (std::size_t i = 0; i < values.size(); i += 3) values[i] = -values[i];
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

Inference::Windows Inference::batch(const data::Dataset& dataset,
                                    std::span<const data::Window> windows, int frames,
                                    bool flip_average) {
  std::vector<Tensor> in;
  for (const data::Field field : inputs_) {
    in.push_back(data::gather(dataset, windows, {}, frames, field));
  }
  const auto run = [&]() -> Windows {
    const Tensor out = network_(in).to(Device::cpu);
    if (out.shape().back() == 3) return {out, {}};
    return {slice(out, -1, 0, 3), slice(out, -1, 3, 6)};
  };
  const Windows plain = run();
  if (!flip_average) return plain;
  std::ranges::transform(in, in.begin(), mirrored);
  const Windows other = run();
  Windows both{average(plain.poses, mirrored(other.poses)), {}};
  if (plain.log_std.defined()) both.log_std = average(plain.log_std, mirrored_std(other.log_std));
  return both;
}

// Every rank takes a batch of the windows, and all are told what comes of all of them.
Inference::Windows Inference::shared_batch(const data::Dataset& dataset,
                                           std::span<const data::Window> windows,
                                           const Options& options) {
  const int frames = options.windows.frames;
  if (ranks().alone()) return batch(dataset, windows, frames, options.flip_average);
  const auto size = static_cast<std::size_t>(options.batch);
  const auto of_rank = [&](int rank) {
    const std::size_t first = std::min(windows.size(), size * static_cast<std::size_t>(rank));
    return windows.subspan(first, std::min(size, windows.size() - first));
  };
  const std::span<const data::Window> mine = of_rank(ranks().rank());
  Windows here;
  if (!mine.empty()) here = batch(dataset, mine, frames, options.flip_average);
  const std::size_t each = static_cast<std::size_t>(frames) * 3 * data::kJoints;
  const auto all_of = [&](const Tensor& x) {
    const Tensor all =
        Tensor::empty({static_cast<Index>(windows.size()), frames, data::kJoints, 3}, DType::f32);
    const std::span<float> values = all.values<float>();
    const auto first = static_cast<std::size_t>(mine.data() - windows.data()) * each;
    if (!mine.empty())
      std::ranges::copy(x.values<float>(), values.begin() + static_cast<std::ptrdiff_t>(first));
    std::vector<std::uint64_t> bytes;
    for (int r = 0; r < ranks().size(); ++r) {
      bytes.push_back(of_rank(r).size() * each * sizeof(float));
    }
    ranks().gather(std::as_writable_bytes(values), bytes);
    return all;
  };
  // The first rank always has some.
  const bool knows_std = ranks().gather(static_cast<char>(here.log_std.defined()))[0] != 0;
  return {all_of(here.poses), knows_std ? all_of(here.log_std) : Tensor()};
}

Inference::Result Inference::merged(const data::Dataset& dataset, std::span<const int> sequences,
                                    const Options& options) {
  if (options.batch < 1) fail("inference: {} windows at a time; take one or more", options.batch);
  const int frames = options.windows.frames;
  const std::vector<data::Window> windows = data::make_windows(dataset, sequences, options.windows);
  const auto total = static_cast<double>(data::count_frames(dataset, sequences));
  Result result;
  result.last_windows.resize(sequences.size());
  data::WindowMerger merger(dataset, data::merge_of(options.windows));
  data::WindowMerger std_merger(dataset, data::merge_of(options.windows));
  bool knows_std = false;
  constexpr std::size_t kPose = 3 * data::kJoints;
  const std::size_t each = static_cast<std::size_t>(frames) * kPose;
  const auto size = static_cast<std::size_t>(options.batch);
  const std::size_t round = size * static_cast<std::size_t>(ranks().size());
  for (std::size_t begin = 0; begin < windows.size(); begin += round) {
    const auto part = std::span(windows).subspan(begin, std::min(round, windows.size() - begin));
    const Windows out = shared_batch(dataset, part, options);
    const std::span<float> values = out.poses.values<float>();
    for (std::size_t i = 0; i < values.size() && options.root == data::RootRule::zero; i += kPose) {
      values[i] = values[i + 1] = values[i + 2] = 0;
    }
    knows_std = out.log_std.defined();
    for (std::size_t i = 0; i < part.size(); ++i) {
      const auto window = values.subspan(i * each, each);
      merger.add(part[i], window);
      if (knows_std) std_merger.add(part[i], out.log_std.values<float>().subspan(i * each, each));
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
  for (const int s : sequences) {
    result.poses.push_back(merger.take(s));
    if (knows_std) result.std.push_back(std_merger.take(s));
  }
  return result;
}

Inference::Result Inference::operator()(const data::Dataset& dataset,
                                        std::span<const int> sequences, const Options& options) {
  Result result = merged(dataset, sequences, options);
  for (data::PoseArray& std : result.std) std = data::std_of_logarithms(std::move(std));
  return result;
}

Inference::Result Inference::operator()(const data::View& view, std::span<const int> sequences,
                                        const Options& options) {
  Result result = merged(view.dataset(), sequences, options);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    result.poses[i] = view.back(sequences[i], std::move(result.poses[i]));
    auto& window = result.last_windows[i];
    if (window) window = view.back_window(sequences[i], std::move(*window));
    if (!result.std.empty()) result.std[i] = view.back_std(sequences[i], std::move(result.std[i]));
  }
  return result;
}

Tensor with_log_std(const Tensor& poses, const Tensor& log_std) {
  return log_std.defined() ? concat({poses, log_std}, -1) : poses;
}

std::vector<data::Field> fields_of(const model::NetworkConfig& config) {
  if (config.rule->role == model::Role::smoother) return {data::Field::noisy};
  const std::vector<Index> channels = model::input_channels(config);
  const data::Field screen = data::screen_field(channels[0]);
  return channels.size() == 1 ? std::vector{screen} : std::vector{screen, data::Field::noisy};
}

Inference refining(const Refiner& refiner, int steps) {
  return {{data::Field::noisy, data::screen_field(refiner.config().network.screen)},
          refiner.parameters().device(),
          [&refiner, steps](std::span<const Tensor> in) {
            const Refiner::Refined refined = refiner.refine_surely(in[0], in[1], steps);
            return with_log_std(refined.poses, refined.log_std);
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
