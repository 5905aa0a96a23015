#include "tools/library/posetape.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/bone_lengths.hpp"
#include "data/file_kind.hpp"
#include "data/gaps.hpp"
#include "data/plausibility.hpp"
#include "data/smoothing.hpp"
#include "diffusion/resampled_stream.hpp"
#include "diffusion/sequences.hpp"
#include "kernels/base/parallel.hpp"

struct posetape_refiner {
  posetape::diffusion::Refiner refiner;
  posetape::data::Convention convention;
  std::string path;
};

struct posetape_stream {
  posetape_stream(const posetape_refiner& refiner, int steps)
      : network(posetape::diffusion::refining(refiner.refiner, steps)) {}

  posetape::diffusion::Inference network;
  std::string warnings;  // of the call that is at work
  std::optional<posetape::diffusion::ResampledStream> poses;
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

void check_fps(const char* function, float fps) {
  if (fps >= 0 && std::isfinite(fps)) return;
  fail("{}: {} frames a second; expected a number above 0", function, fps);
}

int steps_of(const char* function, int steps) {
  if (steps < 0) fail("{}: {} steps; expected one or more", function, steps);
  return steps == 0 ? 2 : steps;
}

void set_lens(data::Sequence& sequence, const char* function, const double* intrinsics,
              const double* up) {
  if (intrinsics == nullptr && up == nullptr) return;
  if (intrinsics == nullptr) fail("{}: up needs intrinsics", function);
  const auto finite = [](double v) { return std::isfinite(v); };
  if (!(std::all_of(intrinsics, intrinsics + 9, finite) && intrinsics[0] > 0 &&
        intrinsics[1] > 0)) {
    fail("{}: intrinsics: expected 9 numbers, fx and fy above 0; found fx {}, fy {}", function,
         intrinsics[0], intrinsics[1]);
  }
  std::copy_n(intrinsics, 9, sequence.intrinsics.emplace().begin());
  if (up == nullptr) return;
  if (!std::all_of(up, up + 3, finite) ||
      std::all_of(up, up + 3, [](double v) { return v == 0; })) {
    fail("{}: up: {}, {}, {} is no direction", function, up[0], up[1], up[2]);
  }
  std::copy_n(up, 3, sequence.up.emplace().begin());
}

data::Dataset clip(std::int64_t frames, const float* pose_2d, const float* noisy_3d, int width,
                   int height, const posetape_refine2_options& options) {
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
  check_fps("posetape_refine2", options.fps);
  if (options.fps > 0) sequence.fps = options.fps;
  sequence.pose_2d = poses_of("pose_2d", pose_2d, static_cast<int>(frames), 2, sequence.fps);
  sequence.confidence =
      confidence_of(options.confidence, pose_2d, std::size_t(frames) * std::size_t(data::kJoints));
  set_lens(sequence, "posetape_refine2", options.intrinsics, options.up);
  sequence.noisy_3d = poses_of("noisy_3d", noisy_3d, static_cast<int>(frames), 3, sequence.fps);
  data::Dataset dataset;
  dataset.sequences.push_back(std::move(sequence));
  return dataset;
}

// As tools/guards.hpp does for the commands. Returns the warnings; `option` is what forces.
std::string guard(data::Dataset& dataset, const char* function, bool force, const char* option) {
  std::string warnings;
  const double off = force ? 0 : data::subtract_root(dataset.sequences[0]);
  if (off > 0) {
    warnings =
        fmt::format("joint 0 of noisy_3d lay {:.3f} m from the origin; it was subtracted\n", off);
  }
  for (const data::Doubt& doubt : data::examine(dataset.sequences[0])) {
    const std::string text = fmt::format("{}: {}; {}", doubt.field, doubt.found, doubt.mend);
    if (doubt.severity == data::Severity::refusal && !force) {
      fail("{}: {}, or go on with it as it is ({}'s force)", function, text, option);
    }
    warnings += text + "\n";
  }
  return warnings;
}

// The options of a program that knows fewer members, but `least` bytes of them, or more of which
// none is set.
template <class Options>
Options read_options(const Options* options, const char* function, const char* type,
                     std::size_t least) {
  Options own{};
  if (options == nullptr) return own;
  const std::size_t size = options->struct_size;
  if (size < least || size > 4096) {
    fail("{}: options.struct_size is {}; set it to sizeof({})", function, size, type);
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(options);
  if (std::any_of(bytes + std::min(size, sizeof own), bytes + size, [](int b) { return b != 0; })) {
    fail("{}: options that this library does not know are set; use a newer one", function);
  }
  std::memcpy(&own, options, std::min(size, sizeof own));
  return own;
}

struct Refined {
  data::PoseArray poses;
  std::optional<data::PoseArray> std;
};

Refined refined(const posetape_refiner& refiner, const data::Dataset& dataset,
                const posetape_refine2_options& options) {
  const int frames = refiner.refiner.config().frames;
  const int stride = options.stride == 0 ? data::seamless_stride(frames) : options.stride;
  const int steps = steps_of("posetape_refine", options.steps);
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
  Refined out{std::move(result.poses[0]), {}};
  if (!result.std.empty()) out.std = std::move(result.std[0]);
  if (options.raw != 0) return out;
  const bool rate_known = options.fps > 0 || convention.fps == 0;
  out.poses = data::with_constant_bones(
      data::Filter{}(out.poses, rate_known ? dataset.sequences[0].fps : convention.fps));
  return out;
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
        const posetape_refine2_options all =
            read_options(options, "posetape_refine2", "posetape_refine2_options",
                         offsetof(posetape_refine2_options, fps));
        data::Dataset dataset = clip(frames, pose_2d, noisy_3d, width, height, all);
        std::string warnings =
            guard(dataset, "posetape_refine", all.force != 0, "posetape_refine2");
        const Refined result = refined(*refiner, dataset, all);
        std::ranges::copy(result.poses.values, refined_3d);
        if (all.refined_std != nullptr && result.std) {
          std::ranges::copy(result.std->values, all.refined_std);
        } else if (all.refined_std != nullptr) {
          std::fill_n(all.refined_std, result.poses.values.size(),
                      std::numeric_limits<float>::quiet_NaN());
        }
        last_warning = std::move(warnings);
        return 0;
      },
      -1);
}

posetape_stream* posetape_stream_new(const posetape_refiner* refiner, int width, int height,
                                     int delay, const posetape_stream_options* options) {
  constexpr const char* kFunction = "posetape_stream_new";
  return guarded(
      [&] {
        if (refiner == nullptr) fail("{}: refiner is NULL", kFunction);
        const posetape_stream_options all =
            read_options(options, kFunction, "posetape_stream_options",
                         offsetof(posetape_stream_options, intrinsics));
        check_fps(kFunction, all.fps);
        data::Sequence clip;
        clip.name = "stream";
        clip.image_size = {width, height};
        clip.fps_known = all.fps > 0;
        if (clip.fps_known) clip.fps = all.fps;
        set_lens(clip, kFunction, all.intrinsics, all.up);
        data::Convention convention = refiner->convention;
        if (all.intrinsics != nullptr) convention.normalisation = data::Normalisation::rays;
        diffusion::PoseStream::Options how{.delay = delay, .flip_average = all.flip_average != 0};
        if (all.raw != 0) how.filter.kind = data::FilterKind::none;
        auto stream = std::make_unique<posetape_stream>(*refiner, steps_of(kFunction, all.steps));
        std::string& warnings = stream->warnings;
        how.note = [&warnings](const std::string& text) { warnings += text + "\n"; };
        how.examine = [&warnings, force = all.force != 0](data::Dataset first) {
          warnings += guard(first, "posetape_stream_push", force, "posetape_stream_options");
        };
        try {
          stream->poses.emplace(stream->network, refiner->refiner.config().frames, convention, clip,
                                how);
        } catch (const Error& error) {
          fail("{}: {}", kFunction, error.what());
        }
        last_warning.clear();
        return stream.release();
      },
      static_cast<posetape_stream*>(nullptr));
}

void posetape_stream_free(posetape_stream* stream) {
  delete stream;
}

int posetape_stream_push(posetape_stream* stream, const float* pose_2d, const float* noisy_3d,
                         const float* confidence) {
  return guarded(
      [&] {
        if (stream == nullptr) fail("posetape_stream_push: stream is NULL");
        if (pose_2d == nullptr) fail("posetape_stream_push: pose_2d is NULL");
        if (noisy_3d == nullptr) fail("posetape_stream_push: noisy_3d is NULL");
        constexpr std::size_t kJoints = data::kJoints;
        stream->warnings.clear();
        stream->poses->push({pose_2d, 2 * kJoints}, {noisy_3d, 3 * kJoints},
                            {confidence, confidence == nullptr ? 0 : kJoints});
        last_warning = stream->warnings;
        return 0;
      },
      -1);
}

int posetape_stream_pull(posetape_stream* stream, float* refined_3d) {
  return guarded(
      [&] {
        if (stream == nullptr) fail("posetape_stream_pull: stream is NULL");
        if (refined_3d == nullptr) fail("posetape_stream_pull: refined_3d is NULL");
        const auto pose = stream->poses->pull();
        if (pose) std::ranges::copy(*pose, refined_3d);
        last_warning.clear();
        return pose ? 1 : 0;
      },
      -1);
}

int posetape_stream_std(const posetape_stream* stream, float* refined_std) {
  return guarded(
      [&] {
        if (stream == nullptr) fail("posetape_stream_std: stream is NULL");
        if (refined_std == nullptr) fail("posetape_stream_std: refined_std is NULL");
        const auto& std = stream->poses->std();
        if (std) std::ranges::copy(*std, refined_std);
        return std ? 1 : 0;
      },
      -1);
}

int posetape_stream_finish(posetape_stream* stream) {
  return guarded(
      [&] {
        if (stream == nullptr) fail("posetape_stream_finish: stream is NULL");
        stream->warnings.clear();
        stream->poses->finish();
        last_warning = stream->warnings;
        return 0;
      },
      -1);
}
