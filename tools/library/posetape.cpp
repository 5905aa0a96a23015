#include "tools/library/posetape.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <exception>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "data/bone_lengths.hpp"
#include "data/file_kind.hpp"
#include "data/gaps.hpp"
#include "data/plausibility.hpp"
#include "data/smoothing.hpp"
#include "diffusion/sequences.hpp"
#include "kernels/base/parallel.hpp"

struct posetape_refiner {
  posetape::diffusion::Refiner refiner;
  posetape::data::Convention convention;
  std::string path;
};

namespace posetape {
namespace {

thread_local std::string last_error;
thread_local std::string last_warning;

// f's result, or `failed` where it throws.
template <class F, class Result>
Result guarded(const F& f, Result failed) {
  try {
    return f();
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "an error of unknown kind";
  }
  return failed;
}

data::PoseArray poses_of(const char* name, const float* values, int frames, int channels,
                         float fps) {
  if (values == nullptr) fail("posetape_refine: {} is NULL", name);
  data::PoseArray poses{channels, {}};
  poses.values.assign(values, values + std::size_t(frames) * data::kJoints * std::size_t(channels));
  data::zeros_to_gaps(poses);
  const int longest = data::longest_gap(fps);
  data::GapCount count;
  if (const auto gaps = data::fill_gaps(poses, longest, count); !gaps.empty()) {
    fail("posetape_refine: {}: {}; at most {} frames are interpolated, so fill them first", name,
         data::gaps_text(gaps), longest);
  }
  return poses;
}

// How sure the detector was of joints of `given`; NULL where nobody said it.
std::optional<std::vector<float>> confidence_of(const float* values, const float* given,
                                                std::size_t joints) {
  std::vector<float> confidence(joints, 1);
  if (values != nullptr) confidence.assign(values, values + joints);
  bool known = values != nullptr;
  for (std::size_t i = 0; i < joints; ++i) {
    if (!(confidence[i] >= 0 && confidence[i] <= 1)) {
      fail("posetape_refine2: confidence: {} in frame {}, joint {}; expected numbers from 0 to 1",
           confidence[i], i / data::kJoints, i % data::kJoints);
    }
    const float x = given[2 * i], y = given[2 * i + 1];
    if (std::isfinite(x) && std::isfinite(y) && (x != 0 || y != 0)) continue;
    confidence[i] = 0;
    known = true;
  }
  if (!known) return std::nullopt;
  return confidence;
}

void set_lens(data::Sequence& sequence, const double* intrinsics, const double* up) {
  if (intrinsics == nullptr && up == nullptr) return;
  if (intrinsics == nullptr) fail("posetape_refine2: up needs intrinsics");
  const auto finite = [](double v) { return std::isfinite(v); };
  if (!(std::all_of(intrinsics, intrinsics + 9, finite) && intrinsics[0] > 0 &&
        intrinsics[1] > 0)) {
    fail("posetape_refine2: intrinsics: expected 9 numbers, fx and fy above 0; found fx {}, fy {}",
         intrinsics[0], intrinsics[1]);
  }
  std::copy_n(intrinsics, 9, sequence.intrinsics.emplace().begin());
  if (up == nullptr) return;
  if (!std::all_of(up, up + 3, finite) ||
      std::all_of(up, up + 3, [](double v) { return v == 0; })) {
    fail("posetape_refine2: up: {}, {}, {} is no direction", up[0], up[1], up[2]);
  }
  std::copy_n(up, 3, sequence.up.emplace().begin());
}

data::Dataset clip(std::int64_t frames, const float* pose_2d, const float* noisy_3d, int width,
                   int height, const posetape_refine2_options& options) {
  const float fps = options.fps;
  constexpr int kMost = std::numeric_limits<int>::max() / (3 * data::kJoints);
  if (frames < 1 || frames > kMost) {
    fail("posetape_refine: {} frames; expected 1 to {}", frames, kMost);
  }
  if (width < 1 || height < 1) {
    fail("posetape_refine: an image of {} x {} pixels; expected its width and height", width,
         height);
  }
  data::Sequence sequence;
  sequence.name = "clip";
  sequence.image_size = {width, height};
  if (!(fps >= 0) || !std::isfinite(fps)) {
    fail("posetape_refine2: {} frames a second; expected a number above 0", fps);
  }
  if (fps > 0) sequence.fps = fps;
  sequence.pose_2d = poses_of("pose_2d", pose_2d, static_cast<int>(frames), 2, sequence.fps);
  sequence.confidence =
      confidence_of(options.confidence, pose_2d, std::size_t(frames) * std::size_t(data::kJoints));
  set_lens(sequence, options.intrinsics, options.up);
  sequence.noisy_3d = poses_of("noisy_3d", noisy_3d, static_cast<int>(frames), 3, sequence.fps);
  data::Dataset dataset;
  dataset.sequences.push_back(std::move(sequence));
  return dataset;
}

// As tools/guards.hpp does for the commands. Returns the warnings.
std::string guard(data::Dataset& dataset, bool force) {
  std::string warnings;
  const double off = force ? 0 : data::subtract_root(dataset.sequences[0]);
  if (off > 0) {
    warnings =
        fmt::format("joint 0 of noisy_3d lay {:.3f} m from the origin; it was subtracted\n", off);
  }
  for (const data::Doubt& doubt : data::examine(dataset.sequences[0])) {
    const std::string text = fmt::format("{}: {}; {}", doubt.field, doubt.found, doubt.mend);
    if (doubt.severity == data::Severity::refusal && !force) {
      fail("posetape_refine: {}, or go on with it as it is (posetape_refine2's force)", text);
    }
    warnings += text + "\n";
  }
  return warnings;
}

// The options of a program that knows fewer members, or more of which none is set.
posetape_refine2_options read_options(const posetape_refine2_options* options) {
  posetape_refine2_options own{};
  if (options == nullptr) return own;
  const std::size_t size = options->struct_size;
  if (size < offsetof(posetape_refine2_options, fps) || size > 4096) {
    fail("posetape_refine2: options.struct_size is {}; set it to sizeof(posetape_refine2_options)",
         size);
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(options);
  if (std::any_of(bytes + std::min(size, sizeof own), bytes + size, [](int b) { return b != 0; })) {
    fail("posetape_refine2: options that this library does not know are set; use a newer one");
  }
  std::memcpy(&own, options, std::min(size, sizeof own));
  return own;
}

data::PoseArray refined(const posetape_refiner& refiner, const data::Dataset& dataset,
                        const posetape_refine2_options& options) {
  const int frames = refiner.refiner.config().frames;
  const int stride = options.stride == 0 ? data::seamless_stride(frames) : options.stride;
  const int steps = options.steps == 0 ? 2 : options.steps;
  if (steps < 1) fail("posetape_refine: {} steps; expected one or more", steps);
  const std::vector<int> all{0};
  diffusion::Inference refine = diffusion::refining(refiner.refiner, steps);
  // Where no rate is given, frames are taken for the network's.
  data::Convention convention = refiner.convention;
  if (options.intrinsics != nullptr) convention.normalisation = data::Normalisation::rays;
  const data::View view(dataset, convention, /*resample=*/options.fps > 0);
  auto result =
      refine(view, all,
             {.windows = {.frames = frames, .stride = stride, .overlap = data::Overlap::smooth},
              .flip_average = options.flip_average != 0});
  diffusion::check_finite(dataset, all, result.poses, refiner.path);
  if (options.raw != 0) return std::move(result.poses[0]);
  const bool rate_known = options.fps > 0 || convention.fps == 0;
  return data::with_constant_bones(
      data::Filter{}(result.poses[0], rate_known ? dataset.sequences[0].fps : convention.fps));
}

}  // namespace
}  // namespace posetape

using namespace posetape;

int posetape_api_version(void) {
  return POSETAPE_API_VERSION;
}

const char* posetape_version(void) {
  return POSETAPE_VERSION;
}

const char* posetape_last_error(void) {
  return last_error.c_str();
}

const char* posetape_last_warning(void) {
  return last_warning.c_str();
}

int posetape_set_threads(int count) {
  return guarded(
      [&] {
        if (count < 1) fail("posetape_set_threads: {} threads; expected one or more", count);
        set_threads(count);
        return 0;
      },
      -1);
}

posetape_refiner* posetape_refiner_load(const char* path) {
  return guarded(
      [&] {
        if (path == nullptr) fail("posetape_refiner_load: path is NULL");
        data::expect_kind(path, {data::FileKind::safetensors}, "a refiner (.safetensors)");
        const TensorFile file = read_safetensors(path);
        const auto said = file.metadata.find(data::kConvention);
        return new posetape_refiner{diffusion::Refiner::load(file, path),
                                    said == file.metadata.end()
                                        ? data::Convention{}
                                        : data::parse_convention(said->second, path),
                                    path};
      },
      static_cast<posetape_refiner*>(nullptr));
}

void posetape_refiner_free(posetape_refiner* refiner) {
  delete refiner;
}

int posetape_refiner_frames(const posetape_refiner* refiner) {
  return refiner == nullptr ? -1 : refiner->refiner.config().frames;
}

int posetape_refine(const posetape_refiner* refiner, int64_t frames, const float* pose_2d,
                    const float* noisy_3d, int width, int height,
                    const posetape_refine_options* options, float* refined_3d) {
  posetape_refine2_options all{};
  all.struct_size = sizeof all;
  if (options != nullptr) {
    all.steps = options->steps;
    all.stride = options->stride;
    all.flip_average = options->flip_average;
  }
  return posetape_refine2(refiner, frames, pose_2d, noisy_3d, width, height, &all, refined_3d);
}

int posetape_refine2(const posetape_refiner* refiner, int64_t frames, const float* pose_2d,
                     const float* noisy_3d, int width, int height,
                     const posetape_refine2_options* options, float* refined_3d) {
  return guarded(
      [&] {
        if (refiner == nullptr) fail("posetape_refine: refiner is NULL");
        if (refined_3d == nullptr) fail("posetape_refine: refined_3d is NULL");
        const posetape_refine2_options all = read_options(options);
        data::Dataset dataset = clip(frames, pose_2d, noisy_3d, width, height, all);
        std::string warnings = guard(dataset, all.force != 0);
        const data::PoseArray result = refined(*refiner, dataset, all);
        std::ranges::copy(result.values, refined_3d);
        last_warning = std::move(warnings);
        return 0;
      },
      -1);
}
