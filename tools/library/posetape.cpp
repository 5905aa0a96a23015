#include "tools/library/posetape.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <string>

#include "data/file_kind.hpp"
#include "data/gaps.hpp"
#include "diffusion/sequences.hpp"
#include "kernels/base/parallel.hpp"

struct posetape_refiner {
  posetape::diffusion::Refiner refiner;
  std::string path;
};

namespace posetape {
namespace {

thread_local std::string last_error;

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

data::PoseArray poses_of(const char* name, const float* values, int frames, int channels) {
  if (values == nullptr) fail("posetape_refine: {} is NULL", name);
  data::PoseArray poses{channels, {}};
  poses.values.assign(values, values + std::size_t(frames) * data::kJoints * std::size_t(channels));
  // As a dataset is read that does not say its frame rate.
  const int longest = data::longest_gap(data::Sequence().fps);
  data::GapCount count;
  if (const auto gaps = data::fill_gaps(poses, longest, count); !gaps.empty()) {
    fail("posetape_refine: {}: {}; at most {} frames are interpolated, so fill them first", name,
         data::gaps_text(gaps), longest);
  }
  return poses;
}

data::Dataset clip(std::int64_t frames, const float* pose_2d, const float* noisy_3d, int width,
                   int height) {
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
  sequence.pose_2d = poses_of("pose_2d", pose_2d, static_cast<int>(frames), 2);
  sequence.noisy_3d = poses_of("noisy_3d", noisy_3d, static_cast<int>(frames), 3);
  data::Dataset dataset;
  dataset.sequences.push_back(std::move(sequence));
  return dataset;
}

data::PoseArray refined(const posetape_refiner& refiner, const data::Dataset& dataset,
                        const posetape_refine_options& options) {
  const int frames = refiner.refiner.config().frames;
  const int stride = options.stride == 0 ? frames : options.stride;
  const int steps = options.steps == 0 ? 2 : options.steps;
  if (steps < 1) fail("posetape_refine: {} steps; expected one or more", steps);
  const std::vector<int> all{0};
  diffusion::Inference refine = diffusion::refining(refiner.refiner, steps);
  auto result = refine(
      dataset, all,
      {.windows = {.frames = frames, .stride = stride}, .flip_average = options.flip_average != 0});
  diffusion::check_finite(dataset, all, result.poses, refiner.path);
  return std::move(result.poses[0]);
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
        return new posetape_refiner{diffusion::Refiner::load(read_safetensors(path), path), path};
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
  return guarded(
      [&] {
        if (refiner == nullptr) fail("posetape_refine: refiner is NULL");
        if (refined_3d == nullptr) fail("posetape_refine: refined_3d is NULL");
        const data::Dataset dataset = clip(frames, pose_2d, noisy_3d, width, height);
        const data::PoseArray result =
            refined(*refiner, dataset, options == nullptr ? posetape_refine_options{} : *options);
        std::ranges::copy(result.values, refined_3d);
        return 0;
      },
      -1);
}
