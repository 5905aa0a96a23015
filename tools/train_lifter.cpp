// posetape train lifter: STCFormer or MixSTE from 2D to 3D, with one more lifter a fold for
// cross-fitting.
#include "tools/train_lifter.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <memory>
#include <optional>

#include "engine/ops.hpp"
#include "kernels/cpu/parallel.hpp"
#include "tools/batches.hpp"
#include "tools/commands.hpp"
#include "tools/input.hpp"
#include "tools/lifters.hpp"
#include "tools/training.hpp"

namespace posetape::tools {
namespace {

struct Options {
  Common common;
  TrainFlags flags;
  std::string model = "stcformer";
  std::optional<Index> width, depth, heads;  // the paper's, where not given
  int step = 1;
  double drop_path = 0;
  int folds = 5;

  model::LifterConfig config() const {
    model::LifterConfig result = model::lifter_config(model);
    model::set_frames(result, flags.frames);
    std::visit(
        [&](auto& c) {
          c.width = width.value_or(c.width);
          c.depth = depth.value_or(c.depth);
          c.heads = heads.value_or(c.heads);
        },
        result);
    return result;
  }
};

// What MixSTE's released code trains with, where the command line doesn't say otherwise.
void mixste_defaults(const CLI::App& command, Options& options) {
  TrainFlags& flags = options.flags;
  const auto set = [&](const char* flag, auto& value, auto released) {
    if (command.count(flag) == 0) value = released;
  };
  set("--lr", flags.lr, 4e-5);
  set("--decay", flags.decay, 0.99);
  set("--weight-decay", flags.weight_decay, 0.1);
  set("--drop-path", options.drop_path, 0.1);
  set("--batch", flags.batch, std::max(1, 1024 / flags.frames));
}

// The sequences of `all` whose subject the lifter may see.
std::vector<int> visible(const data::Dataset& dataset, const std::vector<int>& all,
                         const Lifter& lifter) {
  std::vector<int> result;
  for (const int i : all) {
    const auto subject = dataset.sequences[static_cast<std::size_t>(i)].subject();
    if (std::find(lifter.held_out.begin(), lifter.held_out.end(), subject) ==
        lifter.held_out.end()) {
      result.push_back(i);
    }
  }
  return result;
}

// What the .last file holds beside the best weights of every lifter: which one is in training, for
// how many epochs, its current weights, and its trainer's state.
void save_state(const LifterSet& set, std::size_t index, const Tensor& weights,
                const Trainer& trainer, int epochs, const TrainingFiles& files) {
  TensorFile file;
  save(set, file);
  file.metadata["resume.lifter"] = std::to_string(index);
  file.metadata["resume.epochs"] = std::to_string(epochs);
  file.tensors.emplace_back("resume.weights", weights);
  trainer.save(file);
  files.save_last(std::move(file));
}

// The options that change a step's result, for --resume.
Settings settings(const Options& options, const LifterSet& set, const data::Dataset& dataset,
                  const Split& parts) {
  const std::array fields{Field::truth, Field::screen_2d};
  // The model first, since defaults depend on it.
  Settings all = options.flags.settings("lifter --model " + options.model, options.common.seed,
                                        dataset, parts, fields);
  all.update({{"--step", set.step}, {"--drop-path", options.drop_path}});
  std::visit(
      [&](const auto& c) {
        all.update({{"--width", c.width}, {"--depth", c.depth}, {"--heads", c.heads}});
      },
      set.config);
  // The full one is none; where there are fewer subjects than folds, each is one.
  all["--folds"] = set.lifters.size() - 1;
  return all;
}

void run(const Options& options) {
  options.common.apply();
  catch_interrupts();
  const TrainFlags& flags = options.flags;
  const std::uint64_t seed = options.common.seed;
  const Device device = options.common.device;
  TrainingFiles files(flags.paths());
  const data::Dataset dataset = read_input(flags.input, flags.drop_invalid);
  const Split parts = split(dataset, flags.validation_subjects, flags.input);

  const model::LifterConfig config = options.config();
  LifterSet set =
      make_lifters(config, flags.frames, options.step, options.folds, dataset, parts.train, seed);
  std::vector<std::string> names;
  for (const Lifter& lifter : set.lifters) names.push_back(lifter.name);
  std::size_t first = 0;
  const TensorFile* resumed =
      files.begin(flags.resume, settings(options, set, dataset, parts), std::move(names));
  if (resumed != nullptr) {
    TensorFile fresh;
    save(set, fresh);
    const std::map<std::string, std::string>& metadata = resumed->metadata;
    const auto index = metadata.find("resume.lifter");
    const auto started = metadata.find("config");
    const bool known = index != metadata.end() && started != metadata.end();
    if (!known || started->second != fresh.metadata["config"]) {
      fail("{}: was started with {}; resume with the same options and data", flags.last_path(),
           known ? started->second : "something else");
    }
    set = load_lifters(*resumed, flags.last_path());
    const std::string& number = index->second;
    std::from_chars(number.data(), number.data() + number.size(), first);
    if (first >= set.lifters.size()) {
      fail("{}: is at lifter {} of {}; start afresh without --resume", flags.last_path(), number,
           set.lifters.size());
    }
    const auto epochs = metadata.find("resume.epochs");
    if (first > 0 && epochs != metadata.end() && epochs->second != std::to_string(flags.epochs)) {
      fmt::print(stderr,
                 "posetape: warning: {}: is at {}; the lifters before it keep the {} epochs that "
                 "they were trained for. To train all for {}, start afresh without --resume\n",
                 flags.last_path(), set.lifters[first].name, epochs->second, flags.epochs);
    }
  }
  flags.say(
      "lifter: {}, {} parameters, {} frames, {} threads; trains on {} ({} sequences), validates "
      "on {}\n",
      options.model, set.lifters[0].network.parameters().size(), flags.frames, threads(),
      joined(parts.train_subjects), parts.train.size(), joined(parts.validation_subjects));
  if (set.lifters.size() > 1) {
    for (const Lifter& lifter : set.lifters) {
      if (!lifter.held_out.empty()) {
        flags.say("{} never sees {}\n", lifter.name, joined(lifter.held_out));
      }
    }
  }

  for (std::size_t index = first; index < set.lifters.size(); ++index) {
    Lifter& lifter = set.lifters[index];
    model::LifterNetwork network(config, flags.precision, seed + index, device);
    const std::vector<int> train = visible(dataset, parts.train, lifter);
    EpochBatches batches(dataset, train, flags.frames, flags.batch, flags.flip, seed, options.step);
    const int steps = batches.steps();
    Trainer trainer(network.parameters(), flags.options(steps));
    if (resumed != nullptr && index == first) {
      copy(resumed->at("resume.weights"), network.parameters().masters());
      network.parameters().masters_changed();
      trainer.load(*resumed, flags.last_path());
    }

    Trainer::Hooks hooks;
    hooks.batch = [&](int epoch, int step) {
      const auto [windows, flips] = batches.at(epoch, step);
      std::vector<Tensor> inputs{gather(dataset, windows, flips, flags.frames, Field::screen_2d),
                                 gather(dataset, windows, flips, flags.frames, Field::truth)};
      const auto number = static_cast<std::uint64_t>(epoch) * static_cast<std::uint64_t>(steps) +
                          static_cast<std::uint64_t>(step);
      const auto count = static_cast<Index>(windows.size());
      for (Tensor& drop : network.drops(options.drop_path, count, seed, number)) {
        inputs.push_back(std::move(drop));
      }
      return Trainer::Batch{std::move(inputs)};
    };
    hooks.loss = [&](std::span<const Tensor> in, int) { return network.loss(in); };
    Replay lift(device, [&](std::span<const Tensor> in, int) { return network(in[0]); });
    hooks.validate = [&] {
      const auto poses =
          predict(dataset, parts.validation, disjoint(flags.frames, flags.batch, options.step),
                  [&](std::span<const data::Window> w) {
                    return lift({{gather(dataset, w, {}, flags.frames, Field::screen_2d)}});
                  });
      return mpjpe_mm(dataset, parts.validation, poses);
    };
    run_training(trainer, lifter.name, steps, flags, files, hooks, [&](bool best) {
      if (best) copy(network.parameters().masters(), lifter.network.parameters().masters());
      save_state(set, index, network.parameters().masters(), trainer, flags.epochs, files);
    });
  }
  TensorFile file;
  save(set, file);
  write_safetensors(flags.output, file);
  flags.say("wrote {}\n", flags.output);
}

}  // namespace

void add_train_lifter(CLI::App& train) {
  CLI::App* command =
      train.add_subcommand("lifter", "Train a network to lift 2D to 3D, with cross-fitting folds");
  auto options = std::make_shared<Options>();
  options->common.add_to(*command);
  options->flags.add_to(*command);
  add_recompute(*command, options->flags.recompute);
  command
      ->add_option("--model", options->model,
                   "Network: stcformer or mixste. MixSTE's defaults are its own: --lr 4e-5, "
                   "--decay 0.99, --weight-decay 0.1, --drop-path 0.1, --batch 1024 / frames")
      ->check(CLI::IsMember({"stcformer", "mixste"}))
      ->capture_default_str();
  const auto size = [&](const char* flag, std::optional<Index>& value, const char* what) {
    command->add_option(flag, value, what)->check(CLI::Range(1, 100000));
  };
  size("--width", options->width, "Channels (default: 256, MixSTE 512)");
  size("--depth", options->depth, "Blocks (default: 6; MixSTE 8 of each axis)");
  size("--heads", options->heads, "Heads of each axis (default: 8)");
  command
      ->add_option("--step", options->step,
                   "Frames from one frame of a window to the next: STCFormer's tds, which is 3 for "
                   "27 and 81 frames and 2 for 243 in its paper")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command
      ->add_option(
          "--drop-path", options->drop_path,
          "Probability to leave an update of MixSTE's last block out; less in earlier ones")
      ->check(CLI::Range(0.0, 0.99))
      ->capture_default_str();
  command
      ->add_option("--folds", options->folds,
                   "Lifters that each hold out a part of the training subjects, so that every "
                   "training sequence can be lifted by one that never saw it (0: none)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->footer("Example: posetape train lifter data.npz -o lifter.safetensors --frames 27");
  command->callback([command, options] {
    if (options->model != "mixste" && options->drop_path > 0) {
      fail("--drop-path {}: only MixSTE drops updates; leave it out", options->drop_path);
    }
    if (options->model == "mixste") mixste_defaults(*command, *options);
    run(*options);
  });
}

}  // namespace posetape::tools
