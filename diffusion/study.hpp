// What the parts of a trained refiner do, looked at on one sequence: parts taken out one by one
// (ablation), the output layer on the residual stream after every block (the lens), gradients of an
// output with respect to the inputs (saliency), base estimates that err otherwise. What `posetape
// inspect` has --ablate, --lens, --saliency and --noise for.
//
//   const Study study(refiner, dataset, windows, /*steps=*/2);
//   const Ablation worth = ablate(study, parts(refiner.config().network), Substitute::mean);
//   worth.error[p][j] - worth.whole[j]  // mm that joint j loses without part p
//
// Live Patches (engine/patches.hpp) act on all of it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "data/metrics.hpp"
#include "data/windows.hpp"
#include "diffusion/refiner.hpp"
#include "engine/patches.hpp"

namespace posetape::diffusion {

// A sequence, its windows, and the refiner that works on them with K denoising steps.
class Study {
 public:
  // `dataset` is as the refiner sees it (data/view.hpp); the windows are of one of its sequences,
  // and `batch` of them go at a time. Refiner and dataset have to live as long.
  Study(const Refiner& refiner, const data::Dataset& dataset, std::vector<data::Window> windows,
        int steps, int batch = 32);

  // Calls after(windows, refined [B, N, 17, 3] on the host) for one batch after the other.
  using AfterBatch = std::function<void(std::span<const data::Window>, const Tensor& refined)>;
  void refine(const AfterBatch& after) const;
  // The windows of the batch that is being refined, for those who look or patch meanwhile.
  std::span<const data::Window> now() const { return now_; }

  // The error of each joint, mm, its mean over the frames, each frame from the window that owns it:
  // their mean is the sequence's MPJPE. Throws Error where the sequence has no truth.
  data::JointErrors errors() const;

  const Refiner& refiner() const { return *refiner_; }
  const data::Dataset& dataset() const { return *dataset_; }
  const data::Sequence& sequence() const;
  std::span<const data::Window> windows() const { return windows_; }
  // The timesteps of the K steps: T first; 0 alone where there is no diffusion.
  std::vector<int> timesteps() const;

 private:
  const Refiner* refiner_;
  const data::Dataset* dataset_;
  std::vector<data::Window> windows_;
  int steps_;
  std::size_t batch_;
  mutable std::span<const data::Window> now_;
};

// Means of named values by their full names ("step.1.blocks.0.mlp.fc2"): over windows and frames,
// [17, C], or where a value has no frames over windows, [C].
using Means = std::map<std::string, Tensor>;
// Those that the patterns match, in one pass.
Means mean_values(const Study& study, std::span<const std::string> patterns);
// Puts a value's mean in its place. Throws Error where `means` has none. They have to live as long.
Patches::Source mean_of(const Means& means);

// What can be taken out as a whole: each head of each block in space and in time, what each of a
// block's modules adds to the residual stream, and all that a block adds.
struct Part {
  std::string name;               // "blocks.0.stc1.space.head0", "blocks.0.mlp", "blocks.0"
  std::vector<std::string> taps;  // the names behind it
};
std::vector<Part> parts(const model::PoseDenoiserConfig& network);

// What stands for a part that is taken out.
enum class Substitute {
  zero,  // it says nothing
  mean,  // it says what it says on average, whatever it sees
};
constexpr auto choices(Substitute) {
  using enum Substitute;
  return make_choices<Substitute>("substitute",
                                  {{zero, "zero", "nothing"}, {mean, "mean", "its mean"}});
}

// Errors of each joint, mm: of the whole network, and without each of the parts.
struct Ablation {
  std::vector<Part> parts;
  data::JointErrors whole{};
  std::vector<data::JointErrors> error;  // [parts]
};
// In all steps at once. One pass for each part, and up to two more. `on_part` hears how many are
// done.
Ablation ablate(const Study& study, std::vector<Part> parts, Substitute substitute,
                const std::function<void(std::size_t)>& on_part = {});

// The output layer on the residual stream where it begins and after each block: what the network
// would answer if it ended there (the "logit lens"). Errors of each joint, mm, of the truth that
// follows from it; those of the last stream are of x_hat.
struct Lens {
  std::vector<std::string> streams;                     // "input", "blocks.0", ...
  std::vector<int> timesteps;                           // [K]
  std::vector<data::JointErrors> state;                 // [K], of x_k as large as a person
  std::vector<std::vector<data::JointErrors>> answers;  // [K][streams]
};
Lens lens(const Study& study);

// d refined[frame][joint] / d input: for each of the result's three coordinates, over all frames of
// the window and all joints.
struct Saliency {
  int first_frame = 0;          // of the window, in the sequence
  int frames = 0;               // of the window: F
  Index screen = 2;             // C
  std::vector<double> noisy;    // [3, F, 17, 3], metres a metre
  std::vector<double> pose_2d;  // [3, F, 17, C], metres a unit of y as the network sees it
};
// In the window that owns the frame. Throws Error where there is none, and for joints beyond 16.
Saliency saliency(const Study& study, int frame, int joint);

// Whose error a base estimate has.
enum class BaseError {
  real,         // its own
  none,         // it is the truth
  independent,  // drawn from the refiner's conditional noise, each frame for itself
  ar1,          // the same, correlated over time as the fit says
  shuffled,     // its own, in frames of random order: as large and alike, but new in each frame
};
constexpr auto choices(BaseError) {
  using enum BaseError;
  return make_choices<BaseError>("noise",
                                 {{real, "real", "the estimate's own error"},
                                  {none, "none", "the truth"},
                                  {independent, "independent", "drawn for each frame"},
                                  {ar1, "ar1", "drawn, correlated over time"},
                                  {shuffled, "shuffled", "its own, frames in random order"}});
}
// The truth, relative to joint 0, and such an error: [F, 17, 3], metres. Throws Error where the
// sequence lacks truth or estimate.
data::PoseArray base_with_error(const data::Dataset& dataset, int sequence, BaseError error,
                                const Refiner& refiner, std::uint64_t seed);

}  // namespace posetape::diffusion
