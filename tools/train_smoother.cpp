// posetape train smoothnet: the smoother that a refiner is compared with. Each smoother that
// model/networks.def lists has a command of its name.
#include "tools/train_smoother.hpp"

#include <fmt/format.h>

#include <array>
#include <memory>

#include "tools/commands.hpp"
#include "tools/training.hpp"

namespace posetape::tools {
namespace {

using data::Field;

struct Options {
  const model::NetworkRule* rule;
  Common common;
  TrainFlags flags;
  GivenSizes sizes;
};

void run(const Options& options) {
  options.common.apply();
  options.flags.check();
  catch_interrupts();
  const TrainFlags& flags = options.flags;
  const model::NetworkRule& rule = *options.rule;
  model::NetworkSet set{sized(rule, flags.frames, options.sizes), 1, {}};
  TrainingRun training(options.common, flags, /*refines=*/true);
  const std::array fields{Field::truth, Field::noisy};
  Settings settings =
      flags.settings(rule.name, options.common.seed, training.dataset(), training.parts(), fields);
  settings.update(size_settings(set.config));
  const TensorFile* resumed = training.begin(settings, {rule.name});
  if (resumed != nullptr) {
    set = resume_networks(*resumed, set, flags.precision, flags, options.common.device);
  } else {
    set.members.push_back({"full",
                           {},
                           model::make_network(set.config, flags.precision, options.common.seed,
                                               options.common.device)});
  }
  const model::Network& network = set.members[0].network;
  training.announce(std::string(rule.name) + ": ", *network.parameters);
  Learner learner = training.learner(rule.name, network);
  learner.save = [&](const Trainer& trainer, bool best) {
    const auto file = [&] {
      TensorFile made;
      save(set, made);
      return made;
    };
    training.save(file, trainer, best);
  };
  training.train(learner, training.parts().train, resumed);
  flags.say("wrote {}\n", flags.output);
}

}  // namespace

void add_train_smoothers(const Command& train) {
  for (const model::NetworkRule* rule : model::networks_of(model::Role::smoother)) {
    const Command command = train.add_command(
        rule->name,
        fmt::format("Train {}, a smoother to compare the refiner with, on lifted sequences",
                    rule->title));
    auto options = std::make_shared<Options>(rule);
    options->flags.frames = static_cast<int>(rule->frames.value);
    options->flags.flip = false;
    options->common.add_to(command);
    options->flags.add_to(command);
    add_sizes(command, std::span(&rule, 1), options->sizes);
    command.footer(
        fmt::format("Example: posetape train {0} lifted.npz -o {0}.safetensors\n"
                    "Then: posetape refine {0}.safetensors lifted.npz -o smoothed.npz --stride 1 "
                    "--overlap average",
                    rule->name));
    command.runs([options] { run(*options); });
  }
}

}  // namespace posetape::tools
