// A network at work on whole sequences: cut into windows, taken to the network's device a batch at
// a time, averaged over overlaps and mirror images, and put together again. What `posetape lift`
// and `refine`, the C interface, the validation of a training and reports do.
//
//   const Refiner refiner = Refiner::load(read_safetensors("refiner.safetensors"), "refiner");
//   const data::Dataset dataset = data::read_dataset("lifted.npz");
//   const auto result = refining(refiner, 2)(dataset, data::all_sequences(dataset),
//                                            {.windows = data::seamless(refiner.config().frames)});
//   result.poses[0]  // of the first sequence
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/batches.hpp"
#include "data/protocol.hpp"
#include "data/view.hpp"
#include "diffusion/refiner.hpp"
#include "engine/replay.hpp"
#include "model/network.hpp"

namespace posetape::diffusion {

class Inference {
 public:
  // A network on a batch of windows: its fields, f32 [B, N, 17, C] (data/batches.hpp), to poses f32
  // [B, N, 17, 3], or [B, N, 17, 6] with the logarithms of their standard deviations, all on the
  // network's device. On a GPU it is recorded (engine/replay.hpp).
  using Function = std::function<Tensor(std::span<const Tensor>)>;

  // `inputs` are the fields that f takes, in its order. What f refers to has to live as long.
  Inference(std::vector<data::Field> inputs, Device device, Function f);

  struct Options {
    data::WindowCut windows;                     // of the network's N; overlaps: data::merge_of()
    bool flip_average = false;                   // with the mirror image's result, mirrored back
    data::RootRule root = data::RootRule::zero;  // exactly zero, or as the network gives it
    int batch = 32;                              // windows at a time
    bool last_windows = false;                   // as data::keeps_last_windows() says
    // Called after each batch with the frames that it stands for, all together the sequences'.
    std::function<void(double frames)> on_frames = {};
  };
  // Of each of the sequences, in their order.
  struct Result {
    std::vector<data::PoseArray> poses;  // metres
    // Its last window as the network gave it, where `last_windows` asks for it and that window has
    // frames that the one before has, or padding.
    std::vector<std::optional<data::PoseArray>> last_windows;
    // How sure the network is, where it knows: a standard deviation of each coordinate, metres, 0
    // of the root; over windows and mirror images their geometric mean. Empty where it doesn't.
    std::vector<data::PoseArray> std;
  };
  // Throws Error where a sequence lacks a field, for windows that can't be and batches of none.
  Result operator()(const data::Dataset& dataset, std::span<const int> sequences,
                    const Options& options);

  // The same of clips that are made to fit the network, with results that fit the clips.
  Result operator()(const data::View& view, std::span<const int> sequences, const Options& options);

  // The same of one batch of windows, on the host as the network gives them.
  struct Windows {
    Tensor poses;    // [B, N, 17, 3]
    Tensor log_std;  // likewise; undefined where the network doesn't know
  };
  Windows batch(const data::Dataset& dataset, std::span<const data::Window> windows, int frames,
                bool flip_average = false);

 private:
  Windows shared_batch(const data::Dataset& dataset, std::span<const data::Window> windows,
                       const Options& options);
  // With `std` the logarithms.
  Result merged(const data::Dataset& dataset, std::span<const int> sequences,
                const Options& options);

  std::vector<data::Field> inputs_;
  Replay network_;
};

// What a lifter or a smoother is given, in the order of its inputs.
std::vector<data::Field> fields_of(const model::NetworkConfig& config);

// The refiner's K = `steps` denoising steps, and how sure it is where it knows. The refiner has to
// live as long.
Inference refining(const Refiner& refiner, int steps);

// What a network gives: poses alone, or where log_std is defined with it.
Tensor with_log_std(const Tensor& poses, const Tensor& log_std);

// Throws Error, naming the first sequence and frame, where a number of what `checkpoint` made of
// the sequences is NaN or infinite.
void check_finite(const data::Dataset& dataset, std::span<const int> sequences,
                  std::span<const data::PoseArray> poses, const std::string& checkpoint);

// A sequence's frames as the conditional noise sees them: its errors noisy_3d - pose_3d [51], and
// [y; x_noisy] [85].
inline constexpr Index kErrorWidth = 3 * data::kJoints;
inline constexpr Index kConditionWidth = 5 * data::kJoints;
NoiseSequence noise_rows(const data::Dataset& dataset, int sequence);

}  // namespace posetape::diffusion
