// posetape refine: denoise 3D poses with a trained refiner.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "diffusion/sequences.hpp"
#include "model/checkpoint.hpp"
#include "tools/commands.hpp"
#include "tools/comparison.hpp"
#include "tools/files.hpp"
#include "tools/guards.hpp"
#include "tools/inference.hpp"
#include "tools/input.hpp"
#include "tools/progress.hpp"

namespace posetape::tools {
namespace {

struct Options : RefineOptions {
  std::string output;
  bool drop_invalid = false;
  bool force = false;
};

bool is_smoothing(std::optional<Control> control) {
  return control == Control::savitzky_golay || control == Control::one_euro;
}

// Each of these fills refined_3d of every sequence and returns how (Dataset::metadata).

nlohmann::ordered_json smooth(const RefineOptions& options, data::Dataset& dataset) {
  FinishOptions finishing = options.finish;
  finishing.kind = options.control == Control::one_euro ? data::FilterKind::one_euro
                                                        : data::FilterKind::savitzky_golay;
  finishing.choose(false);
  for (data::Sequence& s : dataset.sequences) {
    s.refined_3d = s.noisy_3d;
    data::PoseArray& poses = *s.refined_3d;
    for (int f = 0; f < poses.frames(); ++f) std::fill_n(poses.frame(f), 3, 0.0f);
    s.refined_3d_last_window.reset();
  }
  nlohmann::ordered_json made{{"control", name(*options.control)}};
  made.update(finish(dataset, finishing, 0));
  made["windows"] = "none, whole clips";
  made["padding"] = "none";
  made["root"] = "set to zero";
  made["flip_average"] = "no";
  return made;
}

// What a checkpoint does with windows of its length.
struct Network {
  bool refines = false;  // or smooths, and needs no other filter
  int frames = 0;
  data::Convention convention;
  diffusion::Inference refine;
};

Network load(const RefineOptions& options, const TensorFile& file) {
  const Device device = options.common.device;
  const data::Convention convention = convention_of(file, options.checkpoint);
  using data::Field;
  if (model::holds(file, model::Role::smoother)) {
    const model::Network network =
        model::load_networks(file, options.checkpoint, model::Role::smoother, options.precision,
                             device)
            .members[0]
            .network;
    if (options.control) {
      fail("{}: {} has no control \"{}\"; give a refiner's checkpoint", options.checkpoint,
           network.config.rule->title, name(*options.control));
    }
    return {false,
            static_cast<int>(network.config.frames),
            convention,
            {{Field::noisy}, device, [network](std::span<const Tensor> in) {
               return network.forward(in);
             }}};
  }
  const auto refiner = std::make_shared<diffusion::Refiner>(
      diffusion::Refiner::load(file, options.checkpoint, options.precision, device));
  const auto refine = [refiner, control = options.control,
                       steps = options.steps](std::span<const Tensor> in) {
    if (control == Control::bias) return refiner->bias_correction(in[0]);
    if (control == Control::linear) return refiner->linear_correction(in[0], in[1]);
    return refiner->refine(in[0], in[1], steps);
  };
  return {true,
          refiner->config().frames,
          convention,
          {{Field::noisy, data::screen_field(refiner->config().network.screen)}, device, refine}};
}

// Takes refined poses back towards the estimate, whose joint 0 counts as zero as theirs is.
void approach(const data::PoseArray& estimate, double strength, data::PoseArray& refined) {
  for (std::size_t i = 0; i < refined.values.size(); ++i) {
    const double base = i % (3 * data::kJoints) < 3 ? 0.0 : double{estimate.values[i]};
    refined.values[i] = static_cast<float>(base + strength * (refined.values[i] - base));
  }
}

nlohmann::ordered_json denoise(const RefineOptions& options, data::Dataset& dataset) {
  const TensorFile file = read_checkpoint(options.checkpoint);
  Network network = load(options, file);
  const int frames = network.frames;
  if (options.frames != 0 && options.frames != frames) {
    fail(
        "--frames {}: {} was made for windows of {} frames; leave --frames out or train another "
        "refiner",
        options.frames, options.checkpoint, frames);
  }
  WindowOptions windows = options.windows;
  const bool paper = options.recipe == Recipe::paper;
  const bool whole_clips = windows.protocol == data::ProtocolName::sequence;
  if (paper && whole_clips && !windows.stride) windows.stride = frames;
  auto [protocol, inference] = windows.choose(frames);
  // A refined root is zero under every protocol.
  protocol.root = inference.root = data::RootRule::zero;
  const std::vector<int> all = data::all_sequences(dataset);
  const data::View view =
      options.view.view(dataset, options.input, network.convention, options.checkpoint, windows);
  if (!options.quiet) {
    compare_domain(file, options.checkpoint, view.dataset(), /*estimate=*/true);
  }
  Progress progress("refine", "frames",
                    static_cast<double>(data::count_frames(view.dataset(), all)), options.quiet);
  double done = 0;
  inference.on_frames = [&](double part) { progress.update(done += part); };
  auto [poses, last_windows] = network.refine(view, all, inference);
  diffusion::check_finite(dataset, all, poses, options.checkpoint);
  for (std::size_t i = 0; i < poses.size(); ++i) {
    data::Sequence& s = dataset.sequences[i];
    s.refined_3d = std::move(poses[i]);
    if (options.strength < 1) approach(*s.noisy_3d, options.strength, *s.refined_3d);
    dataset.sequences[i].refined_3d_last_window = std::move(last_windows[i]);
  }
  nlohmann::ordered_json json =
      data::provenance(protocol, inference.windows, inference.flip_average);
  // Published protocols and controls are what they are, without it.
  FinishOptions finishing = options.finish;
  finishing.choose(network.refines && whole_clips && !paper && !options.control);
  json.update(finish(dataset, finishing, network.convention.fps));
  if (options.strength < 1) json["strength"] = options.strength;
  if (options.control) json["control"] = name(*options.control);
  if (options.precision != DType::f32) json["precision"] = name(options.precision);
  return json;
}

void run(const Options& options) {
  options.common.apply();
  data::Dataset dataset = read_input(options.input, options.drop_invalid, options.force);
  refine(options, dataset);
  data::write_dataset(options.output, dataset);
  std::string gain = gain_of(dataset, options.output);
  if (!gain.empty()) gain = "; MPJPE: " + gain;
  if (options.quiet) return;
  fmt::print("refined {} frames of {} sequences; wrote {}{}\n",
             data::count_frames(dataset, data::all_sequences(dataset)), dataset.sequences.size(),
             shown(options.output), gain);
}

}  // namespace

void refine(const RefineOptions& options, data::Dataset& dataset) {
  for (const data::Sequence& s : dataset.sequences) check_estimate(s, options.input);
  const nlohmann::ordered_json made =
      is_smoothing(options.control) ? smooth(options, dataset) : denoise(options, dataset);
  data::set_provenance(dataset, "refined_3d", made);
}

void add_refine(const Command& app) {
  const Command command = app.add_command("refine", "Refine 3D poses with a trained refiner");
  auto options = std::make_shared<Options>();
  options->common.add_to(command);
  add_precision(command, options->precision, "Weights and activations");
  add_input(command, "checkpoint", options->checkpoint,
            "Refiner or SmoothNet (.safetensors); left out where a smoothing control needs none")
      .required();
  add_input(command, "input", options->input,
            "Dataset (.npz) with pose_2d, noisy_3d and image_size of each sequence");
  add_output(command, "-o,--output", options->output, "Dataset to write, with refined_3d")
      .required();
  command.add_option("--steps", options->steps, "K, denoising steps").positive().show_default();
  command.add_option("--frames", options->frames, "Frames of a window, to check the checkpoint's")
      .positive();
  add_choice(command, "--control", options->control,
             "Corrections without a network, or filters over time, to compare with");
  command
      .add_option("--strength", options->strength,
                  "How far to go from the estimate to what the network makes of it: less than 1 gains "
                  "less, and loses less where estimates are not as in training")
      .range(0.0, 1.0)
      .show_default();
  options->finish.add_to(command,
                         "with --control, another --protocol than sequence, and --recipe paper");
  add_recipe(command, options->recipe,
             "--filter none, --bone-lengths free, windows that only touch");
  options->windows.add_to(command);
  options->view.add_to(command);
  add_drop_invalid(command, options->drop_invalid);
  add_force(command, options->force);
  command.add_flag("--quiet", options->quiet, "Print nothing but warnings and errors");
  command.footer("Example: posetape refine refiner.safetensors lifted.npz -o refined.npz");
  command.runs([options] {
    if (options->input.empty()) {
      // The one file given is the dataset, where that is enough.
      if (!is_smoothing(options->control)) throw WrongUsage("input is required");
      options->input = options->checkpoint;
    }
    run(*options);
  });
}

}  // namespace posetape::tools
