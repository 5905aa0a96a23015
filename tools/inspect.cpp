// posetape inspect: what a refiner computes on one sequence, tensor by tensor, into an npz file
// (data/README.md, "Inspection files").
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "data/protocol.hpp"
#include "data/text_table.hpp"
#include "diffusion/sequences.hpp"
#include "engine/taps.hpp"
#include "tools/commands.hpp"
#include "tools/files.hpp"
#include "tools/guards.hpp"
#include "tools/input.hpp"
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
const std::vector<std::string> kDefaultTaps{"step.*.t",     "step.*.x_k",       "step.*.error",
                                            "step.*.x_hat", "step.*.attention", "refined"};

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
  for (auto* poses : {&sequence.pose_3d, &sequence.noisy_3d, &sequence.refined_3d}) {
    if (*poses) cut_poses(**poses);
  }
  if (sequence.confidence) {
    const auto begin = sequence.confidence->begin() + first * data::kJoints;
    sequence.confidence = std::vector<float>(begin, begin + count * data::kJoints);
  }
}

// The part of the input that is looked at: a dataset of one sequence, and its windows.
struct Subject {
  data::Dataset dataset;
  std::vector<data::Window> windows;
  int first_frame = 0;

  data::Sequence& sequence() { return dataset.sequences[0]; }
  int frames() const { return dataset.sequences[0].frames(); }
};

Subject choose(const Options& options, int window_frames, double fps) {
  data::Dataset dataset = read_input(options.input, options.drop_invalid, options.force);
  Subject subject;
  subject.dataset.test_subjects = dataset.test_subjects;
  subject.dataset.metadata = dataset.metadata;
  subject.dataset.sequences = {std::move(find_sequence(dataset, options))};
  check_estimate(subject.sequence(), options.input);
  if (const auto view = data::View::at_rate(subject.dataset, fps); view.resampled() > 0) {
    fmt::print(stderr, "{}: note: {:g} frames a second, resampled to the {:g} of {}\n",
               shown(options.input), subject.sequence().fps, fps, shown(options.checkpoint));
    subject.dataset = data::Dataset(view.dataset());
  }
  data::Sequence& sequence = subject.sequence();
  const std::vector<int> all{0};
  subject.windows = data::make_windows(subject.dataset, all, window_frames);
  if (!options.window) return subject;
  const int count = static_cast<int>(subject.windows.size());
  if (*options.window >= count) {
    fail("--window {}: sequence {} has {} windows of {} frames, from 0 to {}", *options.window,
         sequence.name, count, window_frames, count - 1);
  }
  const data::Window window = subject.windows[static_cast<std::size_t>(*options.window)];
  subject.first_frame = window.start;
  cut(sequence, window.start, window.length);
  subject.windows = data::make_windows(subject.dataset, all, window_frames);
  return subject;
}

// Tensors of several batches of windows put together, by name.
class Collected {
 public:
  Collected(const Refiner& refiner, const Subject& subject, bool whole_attention)
      : subject_(subject), frames_(refiner.config().frames), whole_attention_(whole_attention) {
    for (const auto& entry : refiner.parameters().entries()) parameters_.insert(entry.name);
  }

  // A tensor of one pass over these windows.
  void add(const std::string& name, const Shape& shape, const std::vector<double>& values,
           std::span<const data::Window> windows) {
    const auto [place, is_new] = places_.try_emplace(name, arrays_.size());
    if (is_new) arrays_.push_back({name, file_shape(name, shape), {}});
    Array& array = arrays_[place->second];
    array.values.resize(static_cast<std::size_t>(array.shape.size()), 0.0F);
    switch (kind_of(name, shape)) {
      case Kind::frames:
        add_frames(array, values, windows);
        break;
      case Kind::windows:
        std::ranges::copy(values, array.values.begin() + array.filled);
        array.filled += static_cast<std::ptrdiff_t>(values.size());
        break;
      case Kind::mean: {
        const double share =
            static_cast<double>(windows.size()) / static_cast<double>(subject_.windows.size());
        for (std::size_t i = 0; i < values.size(); ++i) {
          array.values[i] += static_cast<float>(share * values[i]);
        }
        break;
      }
      case Kind::norm:
        array.values[0] = static_cast<float>(std::hypot(double{array.values[0]}, values[0]));
        break;
      case Kind::once:
        std::ranges::copy(values, array.values.begin());
        break;
    }
  }

  // The shape that a tensor of one pass has in the file.
  Shape file_shape(const std::string& name, const Shape& shape) const {
    const Kind kind = kind_of(name, shape);
    if (kind == Kind::windows) {
      return shape.with(0, static_cast<Index>(subject_.windows.size()));
    }
    if (kind != Kind::frames) return shape;
    std::vector<Index> dims{subject_.frames()};
    dims.insert(dims.end(), shape.dims().begin() + 2, shape.dims().end());
    return Shape(dims);
  }

  struct Array {
    std::string name;
    Shape shape;
    std::vector<float> values;
    std::ptrdiff_t filled = 0;
  };
  std::span<const Array> arrays() const { return arrays_; }

 private:
  enum class Kind {
    frames,   // [B, N, ...] -> [F, ...]
    windows,  // [B, ...] -> [W, ...]
    mean,     // over windows
    norm,     // over windows: their squares add up
    once,     // the same for all windows
  };

  Kind kind_of(const std::string& name, const Shape& shape) const {
    std::string base = name;
    for (const std::string_view ending : {".norm", ".grad"}) {
      if (base.ends_with(ending)) base.resize(base.size() - ending.size());
    }
    const std::string_view train = "train.";
    if (base.starts_with(train) && parameters_.contains(base.substr(train.size()))) {
      return Kind::once;
    }
    if (base.ends_with(".attention") && !whole_attention_) return Kind::mean;
    if (name.ends_with(".norm")) return base.ends_with(".t") ? Kind::once : Kind::norm;
    if (shape.rank() == 0) return Kind::once;
    const bool framed = shape.rank() >= 2 && shape[1] == frames_;
    return framed && !base.ends_with("time.attention") ? Kind::frames : Kind::windows;
  }

  // Each frame from the window that owns it.
  void add_frames(Array& array, const std::vector<double>& values,
                  std::span<const data::Window> windows) const {
    const std::size_t each = values.size() / windows.size() / static_cast<std::size_t>(frames_);
    for (std::size_t w = 0; w < windows.size(); ++w) {
      for (int k = windows[w].first_valid; k < windows[w].length; ++k) {
        const std::size_t from =
            w * static_cast<std::size_t>(frames_) + static_cast<std::size_t>(k);
        const auto to = static_cast<std::size_t>(windows[w].start + k);
        std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(from * each), each,
                    array.values.begin() + static_cast<std::ptrdiff_t>(to * each));
      }
    }
  }

  const Subject& subject_;
  int frames_;
  bool whole_attention_;
  std::set<std::string> parameters_;
  std::vector<Array> arrays_;
  std::map<std::string, std::size_t> places_;
};

// Runs the passes; what the taps capture of each is added to `all`.
class Passes {
 public:
  // `seen` is the subject's dataset as the refiner sees it.
  Passes(const Options& options, const Refiner& refiner, const Subject& subject,
         const data::Dataset& seen)
      : options_(options),
        refiner_(refiner),
        seen_(seen),
        windows_(subject.windows),
        device_(options.common.device) {
    if (options.list) windows_ = windows_.first(1);  // enough to see the names
  }

  // Denoising, `batch` windows at a time.
  void refine(Taps& taps, Collected& all) const {
    const auto batch = static_cast<std::size_t>(options_.batch);
    diffusion::Inference refine = diffusion::refining(refiner_, options_.steps);
    for (std::size_t i = 0; i < windows_.size(); i += batch) {
      const auto part = windows_.subspan(i, std::min(batch, windows_.size() - i));
      const Tensor refined = refine.batch(seen_, part, refiner_.config().frames);
      collect(taps, part, all);
      all.add(kRefined, refined.shape(), refined.to_doubles(), part);
    }
  }

  // The training loss of all windows, and its gradients.
  void train(Taps& taps, Collected& all) const {
    if (windows_.size() > static_cast<std::size_t>(options_.batch)) {
      fail(
          "gradients of {} windows: the training loss takes them in one pass of at most --batch "
          "{}; "
          "choose one with --window, or raise --batch",
          windows_.size(), options_.batch);
    }
    const std::uint64_t seed = options_.common.seed;
    Refiner::Prepared prepared =
        refiner_.prepare({field(windows_, data::Field::truth), field(windows_, data::Field::noisy),
                          field(windows_, data::screen_field(refiner_.config().network.screen))},
                         seed, 0);
    for (Tensor& x : prepared.inputs) x = x.to(device_);
    Tape tape;
    refiner_.parameters().watch(tape);
    Tensor loss;
    {
      const Recording on(tape);
      loss = refiner_.loss(prepared.inputs, prepared.moves, seed);
    }
    Tape::Options backward;
    backward.release = true;
    tape.backward(loss, backward);
    collect(taps, windows_, all);
  }

  static constexpr const char* kRefined = "/refined";  // no tap has this name

 private:
  Tensor field(std::span<const data::Window> windows, data::Field f) const {
    return data::gather(seen_, windows, {}, refiner_.config().frames, f);
  }

  static void collect(Taps& taps, std::span<const data::Window> windows, Collected& all) {
    for (const Taps::Captured& c : taps.captured()) all.add(c.name, c.shape, c.values, windows);
    taps.clear();
  }

  const Options& options_;
  const Refiner& refiner_;
  const data::Dataset& seen_;
  std::span<const data::Window> windows_;
  Device device_;
};

void print_list(const Taps& taps, const Collected& all) {
  std::vector<std::vector<std::string>> rows{{"name", "shape", "gradient"}};
  for (const Taps::Seen& s : taps.seen()) {
    rows.push_back({s.name, all.file_shape(s.name, s.shape).text(), s.gradient ? "yes" : "-"});
  }
  fmt::print("{}", data::text_table(rows, 3));
}

std::vector<int> timesteps(const Refiner& refiner, int steps) {
  if (refiner.config().objective == diffusion::Objective::regression) return {0};
  std::vector<int> tau = diffusion::ddim_steps(refiner.config().steps, steps);
  tau.pop_back();  // 0, where there is nothing left to do
  return tau;
}

nlohmann::ordered_json description(const Options& options, const Refiner& refiner,
                                   Subject& subject) {
  return {{"checkpoint", std::filesystem::path(shown(options.checkpoint)).filename().string()},
          {"config", nlohmann::ordered_json::parse(diffusion::to_json(refiner.config()))},
          {"sequence", subject.sequence().name},
          {"first_frame", subject.first_frame},
          {"frames", subject.frames()},
          {"window_frames", refiner.config().frames},
          {"windows", subject.windows.size()},
          {"steps", timesteps(refiner, options.steps).size()},
          {"timesteps", timesteps(refiner, options.steps)},
          {"attention", options.whole_attention ? "whole" : "mean"},
          {"seed", options.common.seed},
          {"taps", options.taps}};
}

void write(const Options& options, const Refiner& refiner, Subject& subject, const Collected& all) {
  std::vector<data::NamedArray> arrays;
  for (const Collected::Array& a : all.arrays()) {
    if (a.name == Passes::kRefined) {
      subject.sequence().refined_3d = data::PoseArray{3, a.values};
      continue;
    }
    arrays.push_back(
        {a.name, data::npy_view<float>({a.shape.dims().begin(), a.shape.dims().end()}, a.values)});
  }
  const std::vector<double> alpha_bar =
      diffusion::make_schedule(refiner.config().schedule, refiner.config().steps).alpha_bar;
  arrays.push_back(
      {"schedule.alpha_bar",
       data::npy_view<double>({static_cast<std::int64_t>(alpha_bar.size())}, alpha_bar)});
  data::set_provenance(subject.dataset, "inspect", description(options, refiner, subject));
  data::WriteOptions write_options;
  write_options.also = arrays;
  data::write_dataset(options.output, subject.dataset, write_options);
  fmt::print("{}: {} frames, windows: {}, K = {}; wrote {}: {} arrays, {:.1f} MB\n",
             subject.sequence().name, subject.frames(), subject.windows.size(),
             timesteps(refiner, options.steps).size(), shown(options.output), arrays.size(),
             static_cast<double>(std::filesystem::file_size(options.output)) / 1e6);
}

void run(Options options) {
  options.common.apply();
  const TensorFile file = read_checkpoint(options.checkpoint);
  const Refiner refiner =
      Refiner::load(file, options.checkpoint, DType::f32, options.common.device);
  const data::Convention convention = convention_of(file, options.checkpoint);
  Subject subject = choose(options, refiner.config().frames, convention.fps);
  if (options.list) {
    options.taps.clear();
    options.gradients = subject.sequence().pose_3d.has_value();
  } else if (options.taps.empty()) {
    options.taps = kDefaultTaps;
  }
  const bool training = asks_for_training(options);
  if (training && !subject.sequence().pose_3d) {
    fail("{}: sequence {} has no pose_3d, which the training loss needs", options.input,
         subject.sequence().name);
  }
  Taps taps(options.taps, {options.whole_attention});
  Collected all(refiner, subject, options.whole_attention);
  const data::View view(subject.dataset, convention, /*resample=*/false);
  const Passes passes(options, refiner, subject, view.dataset());
  passes.refine(taps, all);
  if (training) passes.train(taps, all);
  if (options.list) {
    print_list(taps, all);
    return;
  }
  taps.check();
  write(options, refiner, subject, all);
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
      "'blocks.*.attention' -o taps.npz");
  command.runs([options] {
    if (options->output.empty() && !options->list) throw WrongUsage("--output is required");
    run(*options);
  });
}

}  // namespace posetape::tools
