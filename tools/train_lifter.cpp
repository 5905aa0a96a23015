// posetape train lifter: STCFormer or MixSTE from 2D to 3D, with one more lifter a fold for
// cross-fitting.
#include "tools/train_lifter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>

#include "tools/commands.hpp"
#include "tools/training.hpp"

namespace posetape::tools {
namespace {

using data::Field;
using Members = std::vector<model::NetworkSet::Member>;

const std::vector<const model::NetworkRule*>& lifters() {
  static const auto all = model::networks_of(model::Role::lifter);
  return all;
}

struct Options {
  Common common;
  TrainFlags flags;
  const model::NetworkRule* rule = lifters()[0];
  GivenSizes sizes;
  int step = 1;
  double drop_path = 0;
  std::optional<int> folds;
  bool confidence = false;
  bool estimate = false;
  Recipe recipe = Recipe::best;
};

// What the network's released code trains with, where the command line doesn't say otherwise.
void take_released(const Command& command, Options& options) {
  TrainFlags& flags = options.flags;
  const model::Released& released = options.rule->released;
  const auto set = [&](const char* flag, auto& value, auto its) {
    if (command.count(flag) == 0) value = its;
  };
  set("--lr", flags.lr, released.lr);
  set("--decay", flags.decay, released.decay);
  set("--weight-decay", flags.weight_decay, released.weight_decay);
  set("--drop-path", options.drop_path, released.drop_rate);
  if (released.batch_frames > 0) {
    set("--batch", flags.batch, std::max(1, released.batch_frames / flags.frames));
  }
}

// Of each network that has defaults of its own: "MixSTE's defaults are its own: --lr 4e-05, ...".
std::string released_help() {
  std::string help = "Network";
  for (const model::NetworkRule* rule : lifters()) {
    const model::Released& r = rule->released;
    if (r.batch_frames == 0) continue;
    help += fmt::format(
        ". {}'s defaults are its own: --lr {}, --decay {}, --weight-decay {}, --drop-path {}, "
        "--batch {} / frames",
        rule->title, r.lr, r.decay, r.weight_decay, r.drop_rate, r.batch_frames);
  }
  return help;
}

// The networks of a training: the full one and `folds` more (0: none) that each hold out a part of
// the training subjects, dealt out such that the folds hold about equally many frames. At most one
// fold a subject.
Members untrained(const model::NetworkConfig& config, int folds, const data::Dataset& dataset,
                  const std::vector<int>& train, std::uint64_t seed) {
  Members members;
  const auto add = [&](std::string name, std::vector<std::string> held_out) {
    members.push_back({std::move(name), std::move(held_out),
                       model::make_network(config, DType::f32, seed + members.size())});
  };
  add("full", {});
  std::map<std::string, std::int64_t> frames_of;
  for (const int i : train) {
    const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(i)];
    frames_of[std::string(s.subject())] += s.frames();
  }
  const int wanted = folds;
  folds = std::min(folds, static_cast<int>(frames_of.size()));
  if (folds < wanted) {
    fmt::print(stderr, "posetape: warning: --folds {}: {} to train on, so that there are {}; {}\n",
               wanted,
               frames_of.size() == 1 ? "one subject" : fmt::format("{} subjects", frames_of.size()),
               folds < 2 ? "none" : std::to_string(folds),
               folds < 2 ? "training sequences are lifted by the lifter that knows them"
                         : "each holds out one");
  }
  if (folds < 2) return members;

  // The largest subject first, each to the fold that has the fewest frames so far.
  std::vector<std::pair<std::int64_t, std::string>> subjects;
  for (const auto& [name, count] : frames_of) subjects.emplace_back(-count, name);
  std::sort(subjects.begin(), subjects.end());
  std::vector<std::int64_t> filled(static_cast<std::size_t>(folds));
  std::vector<std::vector<std::string>> held_out(static_cast<std::size_t>(folds));
  for (const auto& [count, name] : subjects) {
    const auto least = std::min_element(filled.begin(), filled.end());
    held_out[static_cast<std::size_t>(least - filled.begin())].push_back(name);
    *least -= count;
  }
  for (std::vector<std::string>& subjects_of_fold : held_out) {
    add(fmt::format("fold{}", members.size()), std::move(subjects_of_fold));
  }
  return members;
}

// The sequences of `all` whose subject the lifter may see.
std::vector<int> visible(const data::Dataset& dataset, const std::vector<int>& all,
                         const model::NetworkSet::Member& lifter) {
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

// The options that change a step's result, for --resume.
Settings settings(const Options& options, const model::NetworkSet& set,
                  const TrainingRun& training) {
  std::vector<Field> fields = diffusion::fields_of(set.config);
  fields.insert(fields.begin(), Field::truth);
  // The model first, since defaults depend on it.
  Settings all =
      options.flags.settings("lifter --model " + std::string(options.rule->name),
                             options.common.seed, training.dataset(), training.parts(), fields);
  all.update({{"--step", set.step}, {"--drop-path", options.drop_path}});
  all.update(size_settings(set.config));
  all["--confidence"] = options.confidence;
  all["--estimate"] = options.estimate;
  all["--acceleration-weight"] = options.flags.acceleration_weight;
  // The full one is none; where there are fewer subjects than folds, each is one.
  all["--folds"] = set.members.size() - 1;
  return all;
}

// Which network of the set is in training in a .last file.
std::size_t resumed_at(const TensorFile& last, const model::NetworkSet& set,
                       const TrainFlags& flags) {
  const auto number = last.metadata.find("resume.lifter");
  if (number == last.metadata.end()) {
    fail("{}: was started with something else; resume with the same options and data",
         flags.last_path());
  }
  std::size_t index = 0;
  const std::string& text = number->second;
  std::from_chars(text.data(), text.data() + text.size(), index);
  if (index >= set.members.size()) {
    fail("{}: is at lifter {} of {}; start afresh without --resume", flags.last_path(), text,
         set.members.size());
  }
  const auto epochs = last.metadata.find("resume.epochs");
  if (index > 0 && epochs != last.metadata.end() &&
      epochs->second != std::to_string(flags.epochs)) {
    fmt::print(stderr,
               "posetape: warning: {}: is at {}; the lifters before it keep the {} epochs that "
               "they were trained for. To train all for {}, start afresh without --resume\n",
               flags.last_path(), set.members[index].name, epochs->second, flags.epochs);
  }
  return index;
}

void run(const Options& options) {
  options.common.apply();
  options.flags.check();
  catch_interrupts();
  const TrainFlags& flags = options.flags;
  const std::uint64_t seed = options.common.seed;
  TrainingRun training(options.common, flags, /*refines=*/options.estimate);
  model::NetworkSet set{sized(*options.rule, flags.frames, options.sizes), options.step, {}};
  set.members =
      untrained(set.config, *options.folds, training.dataset(), training.parts().train, seed);
  std::vector<std::string> names;
  for (const auto& lifter : set.members) names.push_back(lifter.name);
  const TensorFile* resumed = training.begin(settings(options, set, training), std::move(names));
  std::size_t first = 0;
  if (resumed != nullptr) {
    set = resume_networks(*resumed, set, DType::f32, flags, Device::cpu);
    first = resumed_at(*resumed, set, flags);
  }
  training.announce(fmt::format("lifter: {}, ", options.rule->name),
                    *set.members[0].network.parameters);
  for (const auto& lifter : set.members) {
    if (lifter.held_out.empty()) continue;
    flags.say("{} never sees {}\n", lifter.name, joined(lifter.held_out));
  }

  for (std::size_t index = first; index < set.members.size(); ++index) {
    const model::NetworkSet::Member& lifter = set.members[index];
    const model::Network network =
        model::make_network(set.config, flags.precision, seed + index, options.common.device);
    const Tensor& masters = network.parameters->masters();
    const TensorFile* from = index == first ? resumed : nullptr;
    if (from != nullptr) {
      copy(from->at("resume.weights"), masters);
      network.parameters->masters_changed();
    }
    Learner learner = training.learner(lifter.name, network, options.drop_path);
    learner.writes_best = false;
    // The .last file has the best weights of every lifter, and of the one that is in training which
    // it is, for how many epochs, its current weights and its trainer's state.
    learner.save = [&](const Trainer& trainer, bool best) {
      if (best) {
        const Averages averages(trainer);
        copy(masters, lifter.network.parameters->masters());
      }
      const auto file = [&] {
        TensorFile made;
        save(set, made);
        made.metadata["resume.lifter"] = std::to_string(index);
        made.metadata["resume.epochs"] = std::to_string(flags.epochs);
        made.tensors.emplace_back("resume.weights", masters);
        return made;
      };
      training.save(file, trainer, /*best=*/false);
    };
    training.train(learner, visible(training.dataset(), training.parts().train, lifter), from,
                   options.step);
  }
  TensorFile file;
  save(set, file);
  training.stamp(file);
  write_safetensors(flags.output, file);
  flags.say("wrote {}\n", flags.output);
}

}  // namespace

void add_train_lifter(const Command& train) {
  const Command command =
      train.add_command("lifter", "Train a network to lift 2D to 3D, with cross-fitting folds");
  auto options = std::make_shared<Options>();
  options->common.add_to(command);
  options->flags.add_to(command);
  add_recompute(command, options->flags.recompute);
  static const auto models = model::choices_of(lifters());
  add_choice(command, "--model", options->rule, released_help(), models);
  add_sizes(command, lifters(), options->sizes);
  command
      .add_option("--step", options->step,
                  "Frames from one frame of a window to the next: STCFormer's tds, which is 3 for "
                  "27 and 81 frames and 2 for 243 in its paper")
      .range(1, 1000)
      .show_default();
  command
      .add_option("--drop-path", options->drop_path,
                  "Probability to leave an update of the last block out, in networks that do so; "
                  "less in earlier ones")
      .range(0.0, 0.99)
      .show_default();
  command
      .add_option("--folds", options->folds,
                  "Lifters that each hold out a part of the training subjects, so that every "
                  "training sequence can be lifted by one that never saw it (default: 0, none: "
                  "refiners learn more from estimates as good as those that they are to refine; "
                  "5 for --recipe paper)")
      .not_negative();
  add_confidence(command, options->confidence);
  command.add_flag("--estimate", options->estimate,
                   "Give the network the file's noisy_3d, too: a second pass over what another "
                   "lifter, or another estimator, made");
  add_acceleration_weight(command, options->flags.acceleration_weight);
  add_recipe(command, options->recipe, "--folds 5, --normalise width");
  command.footer("Example: posetape train lifter data.npz -o lifter.safetensors --frames 27");
  command.runs([command, options] {
    if (options->rule->released.drop_rate == 0 && options->drop_path > 0) {
      std::vector<std::string> drop;
      for (const model::NetworkRule* rule : lifters()) {
        if (rule->released.drop_rate > 0) drop.emplace_back(rule->title);
      }
      fail("--drop-path {}: only {} drops updates; leave it out", options->drop_path, joined(drop));
    }
    take_released(command, *options);
    options->flags.take_recipe(command, options->recipe);
    if (!options->folds) options->folds = options->recipe == Recipe::paper ? 5 : 0;
    if (options->confidence) options->sizes[model::kConfidence.key] = 1;
    if (options->estimate) options->sizes[model::kEstimate.key] = 1;
    run(*options);
  });
}

}  // namespace posetape::tools
