// posetape refine: denoise 3D poses with a trained refiner.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "diffusion/refiner.hpp"
#include "engine/replay.hpp"
#include "tools/batches.hpp"
#include "tools/commands.hpp"
#include "tools/input.hpp"
#include "tools/progress.hpp"
#include "tools/window_options.hpp"

namespace posetape::tools {
namespace {

struct Options {
  Common common;
  std::string checkpoint;
  std::string input;
  std::string output;
  int steps = 2;
  int frames = 0;
  int batch = 32;
  std::string control;
  WindowOptions windows;
  bool drop_invalid = false;
};

void run(const Options& options) {
  options.common.apply();
  const diffusion::Refiner refiner = diffusion::Refiner::load(
      read_safetensors(options.checkpoint), options.checkpoint, DType::f32, options.common.where());
  const int frames = refiner.config().frames;
  if (options.frames != 0 && options.frames != frames) {
    fail(
        "--frames {}: {} was made for windows of {} frames; leave --frames out or train another "
        "refiner",
        options.frames, options.checkpoint, frames);
  }
  const auto [protocol, cut, flip] = options.windows.choose(frames);
  data::Dataset dataset = read_input(options.input, options.drop_invalid);
  for (const data::Sequence& s : dataset.sequences) {
    if (!s.noisy_3d) {
      fail("{}: sequence {} has no noisy_3d; make it with `posetape lift` or your own estimator",
           options.input, s.name);
    }
  }

  const std::vector<int> all = data::all_sequences(dataset);
  Progress progress("refine", "windows",
                    static_cast<double>(data::make_windows(dataset, all, cut).size()));
  Replay replay(options.common.where(), [&](std::span<const Tensor> in, int) {
    if (options.control == "bias") return refiner.bias_correction(in[0]);
    if (options.control == "linear") return refiner.linear_correction(in[0], in[1]);
    return refiner.refine(in[0], in[1], options.steps);
  });
  const PoseFunction refine = [&](std::span<const Tensor> in) {
    return replay(in).to(Device::cpu);
  };
  double done = 0;
  auto poses = predict(
      dataset, all, {cut, options.batch},
      [&, average = flip](std::span<const data::Window> windows) {
        const Tensor noisy = gather(dataset, windows, {}, frames, Field::noisy);
        const Tensor y = gather(dataset, windows, {}, frames, Field::screen_2d);
        return average ? flip_average(refine, {{noisy, y}}) : refine({{noisy, y}});
      },
      [&](std::size_t windows) { progress.update(done += static_cast<double>(windows)); });
  std::int64_t count = 0;
  for (std::size_t i = 0; i < poses.size(); ++i) {
    count += poses[i].frames();
    dataset.sequences[i].refined_3d = std::move(poses[i]);
  }
  data::Protocol made = protocol;
  made.root = data::RootRule::zero;  // a refined root is zero under every protocol
  data::set_making(dataset, "refined_3d", data::making(made, cut, flip));
  data::write_dataset(options.output, dataset);
  progress.line(fmt::format("refined {} frames of {} sequences; wrote {}", count, poses.size(),
                            options.output));
}

}  // namespace

void add_refine(CLI::App& app) {
  CLI::App* command = app.add_subcommand("refine", "Refine 3D poses with a trained refiner");
  auto options = std::make_shared<Options>();
  options->common.add_to(*command);
  command->add_option("checkpoint", options->checkpoint, "Refiner (.safetensors)")->required();
  command
      ->add_option("input", options->input,
                   "Dataset (.npz) with pose_2d, noisy_3d and image_size of each sequence")
      ->required();
  command->add_option("-o,--output", options->output, "Dataset to write, with refined_3d")
      ->required();
  command->add_option("--steps", options->steps, "K, denoising steps")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--frames", options->frames, "Frames of a window, to check the checkpoint's")
      ->check(CLI::PositiveNumber);
  command->add_option("--batch", options->batch, "Windows at a time")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--control", options->control,
                   "Corrections without a network, to compare with: bias (each joint's mean error "
                   "is subtracted) or linear (x_noisy - mu(y, x_noisy))")
      ->check(CLI::IsMember({"bias", "linear"}));
  options->windows.add_to(*command);
  command->add_flag("--drop-invalid", options->drop_invalid,
                    "Skip sequences with NaN or infinite poses instead of stopping");
  command->footer("Example: posetape refine refiner.safetensors lifted.npz -o refined.npz");
  command->callback([options] { run(*options); });
}

}  // namespace posetape::tools
