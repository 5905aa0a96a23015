// posetape inspect: what a refiner computes on one sequence, tensor by tensor, into an npz file
// (data/README.md, "Inspection files").
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "data/evaluation.hpp"
#include "data/protocol.hpp"
#include "data/text_table.hpp"
#include "diffusion/study.hpp"
#include "engine/taps.hpp"
#include "tools/commands.hpp"
#include "tools/files.hpp"
#include "tools/guards.hpp"
#include "tools/input.hpp"
#include "tools/inspect_patches.hpp"
#include "tools/inspect_studies.hpp"
#include "tools/inspected.hpp"
#include "tools/view_options.hpp"

namespace posetape::tools {
namespace {

using diffusion::Refiner;

struct Options {
  Common common;
  std::string checkpoint;
  std::string input;
  std::string output;
  std::string sequence;
  std::vector<std::string> taps;
  std::vector<std::string> patches;
  StudyOptions studies;
  diffusion::BaseError noise = diffusion::BaseError::real;
  int steps = 2;
  int batch = 32;
  std::optional<int> window;
  bool gradients = false;
  bool whole_attention = false;
  bool list = false;
  bool drop_invalid = false;
  bool force = false;
};

// What a report shows.
const std::vector<std::string> kDefaultTaps{"step.*.t",     "step.*.x_k",   "step.*.x_k_scaled",
                                            "step.*.error", "step.*.x_hat", "step.*.attention",
                                            "refined"};

bool asks_for_training(const Options& options) {
  return options.gradients || std::ranges::any_of(options.taps, [](const std::string& pattern) {
           return asks_for_gradient(pattern) || pattern.starts_with("train");
         });
}

data::Sequence& find_sequence(data::Dataset& dataset, const Options& options) {
  if (options.sequence.empty()) return dataset.sequences[0];
  std::vector<std::string> names;
  for (data::Sequence& s : dataset.sequences) {
    if (s.name == options.sequence) return s;
    names.push_back(s.name);
  }
  fail("{}: has no sequence {}; nearest: {}", options.input, options.sequence,
       fmt::join(nearest_names(options.sequence, names, 4), ", "));
}

// The frames [first, first + count) of a sequence.
void cut(data::Sequence& sequence, int first, int count) {
  const auto cut_poses = [&](data::PoseArray& poses) {
    poses.values = std::vector<float>(poses.frame(first),
                                      poses.frame(first) + count * data::kJoints * poses.channels);
  };
  cut_poses(sequence.pose_2d);
  for (auto* poses : {&sequence.pose_3d, &sequence.noisy_3d}) {
    if (*poses) cut_poses(**poses);
  }
  sequence.noisy_3d_last_window.reset();
  if (sequence.confidence) {
    const auto begin = sequence.confidence->begin() + first * data::kJoints;
    sequence.confidence = std::vector<float>(begin, begin + count * data::kJoints);
  }
}

Subject choose(const Options& options, double fps) {
  data::Dataset dataset = read_input(options.input, options.drop_invalid, options.force);
  Subject subject;
  subject.dataset.test_subjects = dataset.test_subjects;
  subject.dataset.metadata = dataset.metadata;
  subject.dataset.sequences = {std::move(find_sequence(dataset, options))};
  check_estimate(subject.sequence(), options.input);
  data::forget_refined(subject.dataset);
  if (const auto view = data::View::at_rate(subject.dataset, fps); view.resampled() > 0) {
    fmt::print(stderr, "{}: note: {:g} frames a second, resampled to the {:g} of {}\n",
               shown(options.input), subject.sequence().fps, fps, shown(options.checkpoint));
    subject.dataset = data::Dataset(view.dataset());
  }
  return subject;
}

// The subject's windows, of `window_frames` frames; with --window that one, to which the subject
// and what the network sees of it (which is of the whole clip) are cut.
void cut_windows(const Options& options, int window_frames, Subject& subject, data::Dataset& seen) {
  const std::vector<int> all{0};
  subject.windows = data::make_windows(subject.dataset, all, window_frames);
  if (!options.window) return;
  const int count = static_cast<int>(subject.windows.size());
  if (*options.window >= count) {
    fail("--window {}: sequence {} has {} windows of {} frames, from 0 to {}", *options.window,
         subject.sequence().name, count, window_frames, count - 1);
  }
  const data::Window window = subject.windows[static_cast<std::size_t>(*options.window)];
  subject.first_frame = window.start;
  cut(subject.sequence(), window.start, window.length);
  cut(seen.sequences[0], window.start, window.length);
  subject.windows = data::make_windows(subject.dataset, all, window_frames);
}

// Runs the passes; what the taps capture of each is added to `all`.
class Passes {
 public:
  // `seen` is the subject's dataset as the refiner sees it.
  Passes(const Options& options, const Refiner& refiner, const Subject& subject,
         const data::Dataset& seen)
      : options_(options),
        // One window is enough to see the names.
        study_(refiner, seen, options.list ? std::vector(1, subject.windows[0]) : subject.windows,
               options.steps, options.batch) {}

  // Denoising, a batch of windows at a time.
  void refine(Taps& taps, Inspected& all) const {
    study_.refine([&](std::span<const data::Window> windows, const Tensor& refined) {
      collect(taps, windows, all);
      all.add(kRefined, refined.shape(), refined.to_doubles(), windows);
    });
  }

  // The training loss of all windows, and its gradients.
  void train(Taps& taps, Inspected& all) {
    const std::span<const data::Window> windows = study_.windows();
    if (windows.size() > static_cast<std::size_t>(options_.batch)) {
      fail(
          "gradients of {} windows: the training loss takes them in one pass of at most --batch "
          "{}; "
          "choose one with --window, or raise --batch",
          windows.size(), options_.batch);
    }
    in_training_ = true;
    const Refiner& refiner = study_.refiner();
    const std::uint64_t seed = options_.common.seed;
    Refiner::Prepared prepared =
        refiner.prepare({field(data::Field::truth), field(data::Field::noisy),
                         field(data::screen_field(refiner.config().network.screen))},
                        seed, 0);
    for (Tensor& x : prepared.inputs) x = x.to(options_.common.device);
    Tape tape;
    refiner.parameters().watch(tape);
    Tensor loss;
    {
      const Recording on(tape);
      loss = refiner.loss(prepared.inputs, prepared.moves, seed);
    }
    Tape::Options backward;
    backward.release = true;
    tape.backward(loss, backward);
    collect(taps, windows, all);
    in_training_ = false;
  }

  const diffusion::Study& study() const { return study_; }
  // Those of the pass that runs.
  std::span<const data::Window> now() const {
    return in_training_ ? study_.windows() : study_.now();
  }

  static constexpr const char* kRefined = "/refined";  // no tap has this name

 private:
  Tensor field(data::Field f) const {
    return data::gather(study_.dataset(), study_.windows(), {}, study_.refiner().config().frames,
                        f);
  }

  static void collect(Taps& taps, std::span<const data::Window> windows, Inspected& all) {
    for (const Taps::Captured& c : taps.captured()) all.add(c.name, c.shape, c.values, windows);
    taps.clear();
  }

  const Options& options_;
  diffusion::Study study_;
  bool in_training_ = false;
};

void print_list(const Taps& taps, const Inspected& all) {
  std::vector<std::vector<std::string>> rows{{"name", "shape", "gradient"}};
  for (const Taps::Seen& s : taps.seen()) {
    rows.push_back({s.name, all.file_shape(s.name, s.shape).text(), s.gradient ? "yes" : "-"});
  }
  fmt::print("{}", data::text_table(rows, 3));
}

nlohmann::ordered_json description(const Options& options, const diffusion::Study& study,
                                   const Subject& subject, const data::View& view,
                                   const Studies& studies) {
  const diffusion::RefinerConfig& config = study.refiner().config();
  const std::vector<int> timesteps = study.timesteps();
  nlohmann::ordered_json json{
      {"checkpoint", std::filesystem::path(shown(options.checkpoint)).filename().string()},
      {"config", nlohmann::ordered_json::parse(diffusion::to_json(config))},
      {"sequence", subject.sequence().name},
      {"first_frame", subject.first_frame},
      {"frames", subject.frames()},
      {"window_frames", config.frames},
      {"windows", subject.windows.size()},
      {"steps", timesteps.size()},
      {"timesteps", timesteps},
      {"attention", options.whole_attention ? "whole" : "mean"},
      {"seed", options.common.seed},
      {"taps", options.taps},
      {"patches", options.patches},
      {"noise", name(options.noise)}};
  if (const auto turn = view.rotation(0)) {
    for (const auto& row : turn->rowwise()) {
      json["rotation"].push_back(std::vector<double>(row.begin(), row.end()));
    }
  }
  json.update(studies.description);
  return json;
}

// "; MPJPE 99.2 -> 89.2 mm" where the truth is known.
std::string errors_text(const Subject& subject) {
  if (!subject.sequence().pose_3d) return {};
  const std::vector<int> one{0};
  return fmt::format(
      "; MPJPE {:.2f} -> {:.2f} mm", data::base_mpjpe(subject.dataset, one),
      data::mpjpe(subject.dataset, one, std::span(&*subject.sequence().refined_3d, 1)));
}

void write(const Options& options, const diffusion::Study& study, Subject& subject,
           const data::View& view, const Inspected& all, const Studies& studies) {
  std::vector<data::NamedArray> arrays;
  for (const Inspected::Array& a : all.arrays()) {
    if (a.name == Passes::kRefined) {
      subject.sequence().refined_3d = view.back_window(0, data::PoseArray{3, a.values});
      continue;
    }
    arrays.push_back(
        {a.name, data::npy_view<float>({a.shape.dims().begin(), a.shape.dims().end()}, a.values)});
  }
  for (const StudyArray& a : studies.arrays) {
    arrays.push_back({a.name, data::npy_view<float>(a.shape, a.values)});
  }
  const diffusion::RefinerConfig& config = study.refiner().config();
  const std::vector<double> alpha_bar =
      diffusion::make_schedule(config.schedule, config.steps).alpha_bar;
  arrays.push_back(
      {"schedule.alpha_bar",
       data::npy_view<double>({static_cast<std::int64_t>(alpha_bar.size())}, alpha_bar)});
  data::set_provenance(subject.dataset, "inspect",
                       description(options, study, subject, view, studies));
  data::WriteOptions write_options;
  write_options.also = arrays;
  data::write_dataset(options.output, subject.dataset, write_options);
  fmt::print("{}{}: {} frames, windows: {}, K = {}{}; wrote {}: {} arrays, {:.1f} MB\n",
             studies.text, subject.sequence().name, subject.frames(), subject.windows.size(),
             study.timesteps().size(), errors_text(subject), shown(options.output), arrays.size(),
             static_cast<double>(std::filesystem::file_size(options.output)) / 1e6);
}

std::vector<PatchOption> patches_of(const Options& options) {
  std::vector<PatchOption> patches;
  for (const std::string& text : options.patches) {
    const PatchOption& patch = patches.emplace_back(parse_patch(text));
    std::error_code none;
    if (std::filesystem::equivalent(patch.file, options.output, none)) {
      throw WrongUsage(fmt::format("--output {} is the file of --patch {}", options.output, text));
    }
  }
  return patches;
}

void need_truth(const Options& options, const Subject& subject, const char* what) {
  if (subject.sequence().pose_3d) return;
  fail("{}: sequence {} has no pose_3d, which {} needs", options.input, subject.sequence().name,
       what);
}

void run(Options options) {
  options.common.apply();
  const std::vector<PatchOption> patch_options = patches_of(options);
  const TensorFile file = read_checkpoint(options.checkpoint);
  const Refiner refiner =
      Refiner::load(file, options.checkpoint, DType::f32, options.common.device);
  const data::Convention convention = convention_of(file, options.checkpoint);
  Subject subject = choose(options, convention.fps);
  if (options.list) {
    options.taps.clear();
    options.gradients = subject.sequence().pose_3d.has_value();
  } else if (options.taps.empty()) {
    options.taps = kDefaultTaps;
  }
  const bool training = asks_for_training(options);
  if (training) need_truth(options, subject, "the training loss");
  if (options.studies.ablate) need_truth(options, subject, "--ablate");
  if (options.studies.lens) need_truth(options, subject, "--lens");
  const data::View view(subject.dataset, convention, /*resample=*/false);
  data::Dataset seen = view.dataset();
  cut_windows(options, refiner.config().frames, subject, seen);
  if (options.noise != diffusion::BaseError::real) {
    need_truth(options, subject, "--noise");
    seen.sequences[0].noisy_3d =
        base_with_error(seen, 0, options.noise, refiner, options.common.seed);
    subject.sequence().noisy_3d = view.back_window(0, *seen.sequences[0].noisy_3d);
  }
  Passes passes(options, refiner, subject, seen);
  Inspected all(refiner, subject, options.whole_attention);
  const InspectPatches patches(patch_options, passes.study(), all, [&] { return passes.now(); });
  {
    Taps taps(options.taps, {options.whole_attention});
    passes.refine(taps, all);
    if (training) passes.train(taps, all);
    patches.check();
    if (options.list) {
      print_list(taps, all);
      return;
    }
    taps.check();
  }
  const Studies studies = run_studies(options.studies, passes.study(), subject.first_frame);
  write(options, passes.study(), subject, view, all, studies);
}

}  // namespace

void add_inspect(const Command& app) {
  const Command command =
      app.add_command("inspect", "What a refiner computes on a sequence, tensor by tensor");
  auto options = std::make_shared<Options>();
  options->common.add_to(command);
  add_input(command, "checkpoint", options->checkpoint, "Refiner (.safetensors)").required();
  add_input(command, "input", options->input, "Dataset (.npz) with noisy_3d").required();
  add_output(command, "-o,--output", options->output, "Arrays to write (.npz)");
  command.add_option("--sequence", options->sequence,
                     "Name of the sequence (default: the file's first)");
  command.add_option(
      "--tap", options->taps,
      "Pattern of names, several times if need be: * is any text, ? one character; the end .grad "
      "takes the gradient, .norm the norm (default: the denoising steps and attention)");
  command
      .add_option(
          "--patch", options->patches,
          "NAME=VALUE, several times if need be: what goes by a name (a pattern as --tap's) "
          "is replaced, and all behind it goes on with VALUE: a number, mean (its own over "
          "the frames), FILE of another inspect (the same name in it) or FILE:ARRAY")
      .type("NAME=VALUE");
  options->studies.add_to(command);
  add_choice(command, "--noise", options->noise, "The base estimate's error");
  command.add_flag("--list", options->list, "Print every name with its shape, and write nothing");
  command.add_option("--steps", options->steps, "K, denoising steps").positive().show_default();
  command.add_option("--window", options->window, "This window of the sequence alone, from 0")
      .not_negative();
  command.add_option("--batch", options->batch, "Windows at a time").positive().show_default();
  command.add_flag("--gradients", options->gradients,
                   "Run the training loss and its backward pass, too; a tap of gradients or of "
                   "train.* does so by itself");
  command.add_flag("--whole-attention", options->whole_attention,
                   "Attention of every frame, joint and window instead of the mean");
  add_drop_invalid(command, options->drop_invalid);
  add_force(command, options->force);
  command.footer(
      "Example: posetape inspect refiner.safetensors lifted.npz --sequence P8/walk_1/0 --tap "
      "'blocks.*.attention' -o taps.npz\n         posetape inspect refiner.safetensors lifted.npz "
      "--patch 'blocks.1.stc2.time.attention.head3=0' -o without.npz");
  command.runs([options] {
    if (options->output.empty() && !options->list) throw WrongUsage("--output is required");
    run(*options);
  });
}

}  // namespace posetape::tools
