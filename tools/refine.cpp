// posetape refine: denoise 3D poses with a trained refiner.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "data/uncertainty.hpp"
#include "diffusion/resampled_stream.hpp"
#include "diffusion/sequences.hpp"
#include "engine/ranks/ranks.hpp"
#include "model/checkpoint.hpp"
#include "tools/commands.hpp"
#include "tools/comparison.hpp"
#include "tools/files.hpp"
#include "tools/frame_stream.hpp"
#include "tools/guards.hpp"
#include "tools/inference.hpp"
#include "tools/input.hpp"
#include "tools/progress.hpp"

namespace posetape::tools {
namespace {

struct Options : RefineOptions {
  std::string output;
  StreamOptions stream;
  bool drop_invalid = false;
  bool force = false;
};

bool is_smoothing(std::optional<Control> control) {
  return control == Control::savitzky_golay || control == Control::one_euro;
}

// Each of these fills refined_3d of every sequence and returns how (Dataset::metadata).

nlohmann::ordered_json smooth(const RefineOptions& options, data::Dataset& dataset) {
  ViewOptions cameras = options.view;
  cameras.quiet = true;  // of what a network would have to know
  cameras.set_cameras(dataset, options.input, {}, options.input);
  check_lenses(dataset, options.finish, options.input);
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
  std::optional<data::Regions> regions = {};  // where it knows how sure it is
};

// A part of the way from the estimate, the first input, whose joint 0 is at zero as the refined
// one's is.
Tensor part_of_the_way(double strength, const Tensor& from, const Tensor& to) {
  return strength == 1 ? to : add(scale(from, 1 - strength), scale(to, strength));
}

void check_has_steps(const RefineOptions& options, bool has, const char* what) {
  if (options.steps && !has) {
    fail("--steps {}: {} has none; leave it out", *options.steps, what);
  }
}

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
    check_has_steps(options, false, network.config.rule->title);
    return {false,
            static_cast<int>(network.config.frames),
            convention,
            {{Field::noisy},
             device,
             [network, strength = options.strength](std::span<const Tensor> in) {
               return part_of_the_way(strength, in[0], network.forward(in));
             }}};
  }
  const auto refiner = std::make_shared<diffusion::Refiner>(
      diffusion::Refiner::load(file, options.checkpoint, options.precision, device));
  check_has_steps(options, !options.control, "a control");
  check_has_steps(options, refiner->config().objective == diffusion::Objective::diffusion,
                  "a regression");
  using Refined = diffusion::Refiner::Refined;
  const auto refine = [refiner, control = options.control,
                       steps = options.steps.value_or(2)](std::span<const Tensor> in) -> Refined {
    if (control == Control::bias) return {refiner->bias_correction(in[0]), {}, {}};
    if (control == Control::linear) return {refiner->linear_correction(in[0], in[1]), {}, {}};
    return refiner->refine_surely(in[0], in[1], steps);
  };
  const auto approach = [refine, strength = options.strength](std::span<const Tensor> in) {
    const Refined refined = refine(in);
    return diffusion::with_log_std(part_of_the_way(strength, in[0], refined.poses),
                                   refined.log_std);
  };
  std::optional<data::Regions> regions;
  if (refiner->uncertainty() != nullptr && !options.control) {
    regions = refiner->uncertainty()->regions();
  }
  return {true,
          refiner->config().frames,
          convention,
          {{Field::noisy, data::screen_field(refiner->config().network.screen)}, device, approach},
          regions};
}

// Fails unless --frames is what the checkpoint was made for.
void check_frames(const RefineOptions& options, int frames) {
  if (options.frames != 0 && options.frames != frames) {
    fail(
        "--frames {}: {} was made for windows of {} frames; leave --frames out or train another "
        "refiner",
        options.frames, options.checkpoint, frames);
  }
}

// What is stored of these options beside the poses.
void add_provenance(nlohmann::ordered_json& json, const RefineOptions& options) {
  if (options.strength < 1) json["strength"] = options.strength;
  if (options.control) json["control"] = name(*options.control);
  if (options.precision != DType::f32) json["precision"] = name(options.precision);
}

// The choices by which poses of a head's calibration were made and these were not: "flip_average:
// yes; ...". Empty where there are none.
std::string other_making(const TensorFile& file, const nlohmann::ordered_json& made) {
  const auto found = file.metadata.find(diffusion::kUncertainty);
  if (found == file.metadata.end()) return "";
  const auto json = nlohmann::ordered_json::parse(found->second, nullptr, false);
  nlohmann::ordered_json other = nlohmann::ordered_json::object();
  if (!json.is_object() || !json.contains("made") || !json["made"].is_object()) return "";
  for (const auto& [choice, value] : json["made"].items()) {
    if (!made.contains(choice) || made[choice] != value) other[choice] = value;
  }
  for (const auto& [choice, value] : made.items()) {
    if (!json["made"].contains(choice)) other[choice] = "default";
  }
  return data::choices_text(other);
}

// Stores beside the poses which regions their standard deviations mean, and says where these are of
// poses that were made in another way.
void add_regions(const RefineOptions& options, const TensorFile& file, const Network& network,
                 nlohmann::ordered_json& json) {
  if (!network.regions) return;
  const std::string other = other_making(file, json);
  if (!other.empty() && !options.quiet) {
    fmt::print(stderr,
               "{}: note: its standard deviations are those of poses that are made with {}\n",
               shown(options.checkpoint), other);
  }
  json[data::kRegions] = data::to_json(*network.regions);
}

// How a stream of frames is refined: with a filter at its end where clips are, and as the network
// gives the bones.
diffusion::PoseStream::Options with_delay(const RefineOptions& options, const Network& network) {
  FinishOptions finishing = options.finish;
  finishing.choose(network.refines && options.recipe != Recipe::paper && !options.control);
  return {.delay = options.delay.value_or(3),
          .flip_average = options.windows.flip_average.value_or(false),
          .keep_rate = options.view.keep_rate,
          .filter = finishing.filter};
}

// The results that another rank has for a sequence, of which all know the number of frames.
void take_from(int rank, data::Sequence& s) {
  const bool here = rank == ranks().rank();
  const auto knows_std = ranks().gather(static_cast<char>(here && s.refined_std));
  const auto take = [&](std::optional<data::PoseArray>& poses) {
    if (!here) {
      poses.emplace(data::PoseArray{3, {}});
      poses->values.resize(static_cast<std::size_t>(s.frames()) * 3 * data::kJoints);
    }
    ranks().broadcast(std::as_writable_bytes(std::span(poses->values)), rank);
  };
  take(s.refined_3d);
  if (knows_std[static_cast<std::size_t>(rank)] != 0) take(s.refined_std);
}

// Each clip as a stream of its own, of several ranks by one.
nlohmann::ordered_json denoise_with_delay(const RefineOptions& options, data::Dataset& dataset) {
  const TensorFile file = read_checkpoint(options.checkpoint);
  Network network = load(options, file);
  check_frames(options, network.frames);
  const data::Convention convention =
      options.view.set_cameras(dataset, options.input, network.convention, options.checkpoint);
  if (!options.quiet) {
    const data::View view(dataset, convention, /*resample=*/false);
    compare_domain(file, options.checkpoint, view.dataset(), /*estimate=*/true);
  }
  const std::vector<int> all = data::all_sequences(dataset);
  Progress progress("refine", "frames", static_cast<double>(data::count_frames(dataset, all)),
                    options.quiet);
  double done = 0;
  const diffusion::PoseStream::Options how = with_delay(options, network);
  const auto owner_of = [](int sequence) { return sequence % ranks().size(); };
  for (const int i : all) {
    data::Sequence& s = dataset.sequences[static_cast<std::size_t>(i)];
    s.refined_3d_last_window.reset();
    if (owner_of(i) != ranks().rank()) continue;
    diffusion::ResampledStream stream(network.refine, network.frames, convention, s, how);
    data::PoseArray& refined = s.refined_3d.emplace(data::PoseArray{3, {}});
    const auto take = [&] {
      while (const auto pose = stream.pull()) {
        refined.values.insert(refined.values.end(), pose->begin(), pose->end());
        if (!stream.std()) continue;
        if (!s.refined_std) s.refined_std.emplace(data::PoseArray{3, {}});
        s.refined_std->values.insert(s.refined_std->values.end(), stream.std()->begin(),
                                     stream.std()->end());
      }
    };
    constexpr std::size_t kJoints = data::kJoints;
    for (int f = 0; f < s.frames(); ++f) {
      std::span<const float> sure;
      if (s.confidence) sure = std::span(*s.confidence).subspan(std::size_t(f) * kJoints, kJoints);
      stream.push({s.pose_2d.frame(f), 2 * kJoints}, {s.noisy_3d->frame(f), 3 * kJoints}, sure);
      take();
      progress.update(++done);
    }
    stream.finish();
    take();
  }
  for (const int i : all) take_from(owner_of(i), dataset.sequences[static_cast<std::size_t>(i)]);
  nlohmann::ordered_json json = data::provenance(data::protocol_of(options.windows.protocol),
                                                 data::disjoint(network.frames), how.flip_average);
  json["windows"] = "one up to each frame, all that have a frame averaged";
  json["padding"] = "first frame repeated";
  json["delay_frames"] = how.delay;
  if (how.filter.kind != data::FilterKind::none) json["filter"] = name(how.filter.kind);
  json.update(how.filter.provenance());
  add_provenance(json, options);
  add_regions(options, file, network, json);
  return json;
}

// Windows that a protocol counts whole are as the network gives them.
void check_unfinished(const data::Protocol& protocol, const data::WindowCut& windows,
                      const FinishOptions& finishing) {
  if (!data::keeps_last_windows(protocol, windows)) return;
  const char* option = finishing.filter.kind != data::FilterKind::none ? "--filter"
                       : finishing.bone_lengths == data::BoneLengths::constant
                           ? "--bone-lengths constant"
                       : finishing.feet == data::Feet::planted ? "--feet planted"
                                                               : nullptr;
  if (option == nullptr) return;
  fail("{}: the protocol {} counts each window as the network gives it; leave it out", option,
       name(protocol.name));
}

nlohmann::ordered_json denoise(const RefineOptions& options, data::Dataset& dataset) {
  const TensorFile file = read_checkpoint(options.checkpoint);
  Network network = load(options, file);
  const int frames = network.frames;
  check_frames(options, frames);
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
  check_lenses(dataset, options.finish, options.input);
  Progress progress("refine", "frames",
                    static_cast<double>(data::count_frames(view.dataset(), all)), options.quiet);
  double done = 0;
  inference.on_frames = [&](double part) { progress.update(done += part); };
  auto [poses, last_windows, std] = network.refine(view, all, inference);
  diffusion::check_finite(dataset, all, poses, options.checkpoint);
  for (std::size_t i = 0; i < poses.size(); ++i) {
    dataset.sequences[i].refined_3d = std::move(poses[i]);
    dataset.sequences[i].refined_3d_last_window = std::move(last_windows[i]);
    if (!std.empty()) dataset.sequences[i].refined_std = std::move(std[i]);
  }
  nlohmann::ordered_json json =
      data::provenance(protocol, inference.windows, inference.flip_average);
  // Published protocols and controls are what they are, without it.
  FinishOptions finishing = options.finish;
  finishing.choose(network.refines && whole_clips && !paper && !options.control);
  check_unfinished(protocol, inference.windows, finishing);
  json.update(finish(dataset, finishing, network.convention.fps));
  add_provenance(json, options);
  add_regions(options, file, network, json);
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
  for (data::Sequence& s : dataset.sequences) {
    check_estimate(s, options.input);
    s.refined_std.reset();
    s.refined_root.reset();
    s.feet_down.reset();
  }
  const nlohmann::ordered_json made = is_smoothing(options.control) ? smooth(options, dataset)
                                      : options.delay ? denoise_with_delay(options, dataset)
                                                      : denoise(options, dataset);
  data::set_provenance(dataset, "refined_3d", made);
}

namespace {

void run_stream(const Options& options) {
  options.common.apply();
  const TensorFile file = read_checkpoint(options.checkpoint);
  Network network = load(options, file);
  check_frames(options, network.frames);
  const char* input = "standard input";
  if (!ranks().alone()) {
    fail("{}: --stream: the frames of a stream go through one process; start it without mpirun",
         input);
  }
  data::Dataset clip;
  data::Sequence& s = clip.sequences.emplace_back();
  s.name = "stream";
  s.image_size = options.stream.image_size;
  s.fps_known = options.stream.fps > 0;
  if (s.fps_known) s.fps = static_cast<float>(options.stream.fps);
  const data::Convention convention =
      options.view.set_cameras(clip, input, network.convention, options.checkpoint);
  diffusion::PoseStream::Options how = with_delay(options, network);
  how.note = [&](const std::string& text) { fmt::print(stderr, "{}: note: {}\n", input, text); };
  how.examine = [&](data::Dataset first) {
    if (!options.force) subtract_roots(first, input);
    guard(first, input, options.force);
    const data::View view(first, convention, /*resample=*/false);
    if (!options.quiet) compare_domain(file, options.checkpoint, view.dataset(), /*estimate=*/true);
  };
  diffusion::ResampledStream stream(network.refine, network.frames, convention, s, how);
  const StreamFigures figures = run(stream, options.stream);
  if (options.quiet) return;
  fmt::print(stderr, "refined {} frames; {:.0f} a second while at work\n", figures.frames,
             figures.seconds > 0 ? static_cast<double>(figures.frames) / figures.seconds : 0);
}

// What goes with --stream or --delay, and what does not.
void check_usage(const Options& options) {
  const auto refuse = [](bool given, const char* option, const char* why) {
    if (given) throw WrongUsage(fmt::format("{}: {}", option, why));
  };
  const bool stream = options.stream.stream;
  if (stream) {
    refuse(!options.input.empty(), "input", "--stream reads standard input; leave the file out");
    refuse(!options.output.empty(), "--output", "--stream writes standard output; leave it out");
    refuse(shown(options.checkpoint) == "standard input", "checkpoint",
           "--stream reads frames from standard input; give a file");
    refuse(options.stream.image_size[0] == 0, "--stream", "needs --image-size WIDTH,HEIGHT");
    refuse(options.drop_invalid, "--drop-invalid", "is for files; leave it out with --stream");
  } else {
    refuse(options.output.empty(), "--output", "is required");
    refuse(options.stream.image_size[0] != 0, "--image-size", "is for --stream; files say it");
    refuse(options.stream.fps != 0, "--fps", "is for --stream; files say it");
  }
  const auto refuse_windows = [&](const char* why) {
    const WindowOptions& windows = options.windows;
    refuse(windows.protocol != data::ProtocolName::sequence, "--protocol", why);
    refuse(windows.stride.has_value(), "--stride", why);
    refuse(windows.overlap.has_value(), "--overlap", why);
    refuse(windows.step.has_value(), "--step", why);
  };
  if (is_smoothing(options.control) && !stream && !options.delay) {
    refuse(options.strength != 1, "--strength", "a filter goes all of the way; leave it out");
    refuse(options.steps.has_value(), "--steps", "a filter has none; leave it out");
    refuse_windows("a filter takes whole clips; leave it out");
  }
  if (!stream && !options.delay) return;
  refuse_windows("with --stream or --delay there is a window up to each frame; leave it out");
  const char* whole = "needs whole clips; leave it out with --stream and --delay";
  refuse(options.finish.bone_lengths == data::BoneLengths::constant, "--bone-lengths constant",
         whole);
  refuse(options.finish.feet == data::Feet::planted, "--feet planted", whole);
  refuse(is_smoothing(options.control), "--control",
         "is a network's with --stream or --delay; --filter has both filters");
}

}  // namespace

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
  add_output(command, "-o,--output", options->output, "Dataset to write, with refined_3d");
  command.add_option("--steps", options->steps, "K, denoising steps (default: 2)").positive();
  command.add_option("--frames", options->frames, "Frames of a window, to check the checkpoint's")
      .positive();
  add_choice(command, "--control", options->control,
             "Corrections without a network, or filters over time, to compare with");
  command
      .add_option(
          "--strength", options->strength,
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
  options->stream.add_to(command);
  command
      .add_option("--delay", options->delay,
                  "D: a frame's result comes of the frames up to D later (default with --stream: "
                  "3). With INPUT, refine its clips as --stream would")
      .range(0, 100000);
  add_drop_invalid(command, options->drop_invalid);
  add_force(command, options->force);
  command.add_flag("--quiet", options->quiet, "Print nothing but warnings and errors");
  command.footer(
      "Example: posetape refine refiner.safetensors lifted.npz -o refined.npz\n"
      "         estimator | posetape refine refiner.safetensors --stream --image-size "
      "1920,1080 | viewer");
  command.runs([options] {
    check_usage(*options);
    if (options->stream.stream) return run_stream(*options);
    if (options->input.empty()) {
      // The one file given is the dataset, where that is enough.
      if (!is_smoothing(options->control)) throw WrongUsage("input is required");
      options->input = options->checkpoint;
    }
    run(*options);
  });
}

}  // namespace posetape::tools
