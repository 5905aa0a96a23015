// posetape train refiner: the diffusion model on a base estimator's errors.
#include "tools/train_refiner.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <memory>
#include <optional>

#include "diffusion/sequences.hpp"
#include "kernels/base/parallel.hpp"
#include "tools/commands.hpp"
#include "tools/input.hpp"
#include "tools/training.hpp"

namespace posetape::tools {
namespace {

using data::Field;
using diffusion::ConditionalNoise;
using diffusion::kConditionWidth;
using diffusion::kErrorWidth;
using diffusion::noise_rows;
using diffusion::NoiseSequence;
using diffusion::Refiner;
using diffusion::RefinerConfig;

struct Options {
  Common common;
  TrainFlags flags;
  RefinerConfig config;
  int inference_steps = 2;
  Recipe recipe = Recipe::best;
  std::optional<diffusion::States> states;
  bool confidence = false;
};

// Mean |e| over all coordinates, and the moments of each, over the training frames.
diffusion::ErrorScale fit_scale(const data::Dataset& dataset, const std::vector<int>& train,
                                diffusion::Normalization kind) {
  diffusion::MomentAccumulator moments(kErrorWidth);
  double sum = 0;
  double count = 0;
  for (const int i : train) {
    const NoiseSequence rows = noise_rows(dataset, i);
    for (const double e : rows.a) sum += std::fabs(e);
    count += static_cast<double>(rows.a.size());
    moments.add(rows.a);
  }
  const std::vector<double> covariance = moments.covariance();
  std::vector<double> variance;
  for (std::size_t i = 0; i < kErrorWidth; ++i)
    variance.push_back(covariance[i * (kErrorWidth + 1)]);
  if (!(sum > 0)) fail("the training sequences have no error at all: nothing to refine");
  return diffusion::fit_error_scale(kind, sum / count, moments.mean(), variance);
}

// The options that change a step's result, for --resume.
Settings settings(const Options& options, const data::Dataset& dataset, const Split& parts) {
  const std::array fields{Field::truth, Field::noisy,
                          data::screen_field(options.config.network.screen)};
  Settings all = options.flags.settings("refiner", options.common.seed, dataset, parts, fields);
  const RefinerConfig& config = options.config;
  all.update({{"--width", config.network.width},
              {"--depth", config.network.depth},
              {"--heads", config.network.heads},
              {"--steps", config.steps},
              {"--inference-steps", options.inference_steps},
              {"--confidence", options.confidence},
              {"--schedule", name(config.schedule)},
              {"--noise", name(config.noise)},
              {"--error-source", name(config.source)},
              {"--objective", name(config.objective)},
              {"--states", name(config.states)},
              {"--normalization", name(config.normalization)},
              {"--loss", name(config.loss)},
              {"--acceleration-weight", config.acceleration_weight}});
  return all;
}

// A Gaussian of [a; b] fitted to n frames has n - 1 dimensions at most; for a given b to leave some
// to a, n has to be more than a and b have. A network learns nothing of use from so few, either.
void warn_of_few_frames(const ConditionalNoise& noise, bool drawn) {
  const Index needed = noise.a_width() + noise.b_width() + 1;
  if (noise.count >= needed && (noise.rank() > 0 || !drawn)) return;
  if (!drawn) {
    fmt::print(stderr,
               "posetape: warning: {} frames to train on: what is learnt of so few holds for these "
               "alone; the conditional noise would need {} at least, and a network many times as "
               "many\n",
               noise.count, needed);
    return;
  }
  const std::string why =
      noise.count < needed
          ? fmt::format("it needs {} frames at least, and many times as many to be of use", needed)
          : "each error follows from its pose, or none ever varies; look at noisy_3d";
  fmt::print(stderr,
             "posetape: warning: the conditional noise, {} numbers given {}, fitted to {} frames, "
             "has rank {}: {}\n",
             noise.a_width(), noise.b_width(), noise.count, noise.rank(), why);
}

void run(Options options) {
  options.common.apply();
  options.flags.check();
  catch_interrupts();
  const TrainFlags& flags = options.flags;
  const std::uint64_t seed = options.common.seed;
  const Device device = options.common.device;
  RefinerConfig& config = options.config;
  config.frames = flags.frames;
  config.rollout_steps = options.inference_steps;
  config.acceleration_weight = flags.acceleration_weight;
  if (options.confidence) config.network.screen = 3;
  config.network.timestep = config.objective == diffusion::Objective::diffusion;
  const bool draws_errors = config.objective == diffusion::Objective::diffusion &&
                            config.states == diffusion::States::forward;
  const char* const own_errors =
      config.objective == diffusion::Objective::regression ? "--objective regression"
      : config.states == diffusion::States::rollout        ? "--states rollout"
                                                           : "--error-source real";
  const char* const mend = !options.states && config.states == diffusion::States::rollout
                               ? "give --states forward, too"
                               : "leave out one of them";
  const bool draws_noise = draws_errors && config.source != diffusion::ErrorSource::real;
  if (config.noise == diffusion::NoiseKind::ar1 && !draws_noise) {
    fail("--noise ar1: no noise is drawn with {}; {}", own_errors, mend);
  }
  if (config.source == diffusion::ErrorSource::mixed && !draws_errors) {
    fail("--error-source mixed: no error is drawn with {}; {}", own_errors, mend);
  }

  if (config.objective == diffusion::Objective::diffusion &&
      options.inference_steps > config.steps) {
    fail("--inference-steps {}: the diffusion has {} steps (--steps); choose 1 to {}",
         options.inference_steps, config.steps, config.steps);
  }

  TrainingRun training(options.common, flags, /*refines=*/true);
  const data::Dataset& dataset = training.dataset();
  const std::vector<int>& train = training.parts().train;
  std::optional<Refiner> refiner;
  const TensorFile* resumed =
      training.begin(settings(options, dataset, training.parts()), {"refiner"});
  if (resumed != nullptr) {
    refiner = Refiner::load(*resumed, flags.last_path(), flags.precision, device);
    if (diffusion::to_json(refiner->config()) != diffusion::to_json(config)) {
      fail("{}: was started with {}; resume with the same options", flags.last_path(),
           diffusion::to_json(refiner->config()));
    }
  } else {
    ConditionalNoise noise = ConditionalNoise::fit(
        kErrorWidth, kConditionWidth, static_cast<Index>(train.size()),
        [&](Index i) { return noise_rows(dataset, train[static_cast<std::size_t>(i)]); });
    refiner.emplace(config, std::move(noise), fit_scale(dataset, train, config.normalization),
                    flags.precision, seed, device);
  }
  warn_of_few_frames(refiner->noise(), draws_noise);
  training.announce("refiner: ", refiner->parameters());
  flags.say("conditional noise: rank {}, lag-1 correlation {:.3f}, fitted to {} frames\n",
            refiner->noise().rank(), refiner->noise().rho, refiner->noise().count);

  const Field screen = data::screen_field(config.network.screen);
  Learner learner{.label = "refiner", .parameters = &refiner->parameters()};
  learner.batch = [&](const data::EpochBatches::Batch& windows, std::uint64_t step) {
    Refiner::Prepared prepared =
        refiner->prepare({training.field(windows, Field::truth),
                          training.field(windows, Field::noisy), training.field(windows, screen)},
                         seed, step);
    return Trainer::Batch{std::move(prepared.inputs), prepared.moves,
                          static_cast<Index>(windows.windows.size())};
  };
  learner.loss = [&](std::span<const Tensor> inputs, int moves) {
    return refiner->loss(inputs, moves, seed);
  };
  learner.fields = {Field::noisy, screen};
  learner.if_worse = "train longer, with more people, or with --states rollout";
  learner.estimate = [&](std::span<const Tensor> in) {
    return refiner->refine(in[0], in[1], options.inference_steps);
  };
  learner.save = [&](const Trainer& trainer, bool best) {
    const auto file = [&] {
      TensorFile made;
      refiner->save(made);
      return made;
    };
    training.save(file, trainer, best);
  };
  training.train(learner, train, resumed);
  flags.say("wrote {}\n", flags.output);
}

}  // namespace

void add_train_refiner(const Command& train) {
  const Command command =
      train.add_command("refiner", "Train the diffusion refiner on lifted sequences");
  auto options = std::make_shared<Options>();
  options->flags.flip = false;
  options->common.add_to(command);
  options->flags.add_to(command);
  add_recompute(command, options->flags.recompute);
  auto& network = options->config.network;
  command.add_option("--width", network.width, "Channels").show_default();
  command.add_option("--depth", network.depth, "Denoising blocks").show_default();
  command.add_option("--heads", network.heads, "Heads of each axis").show_default();
  command.add_option("--steps", options->config.steps, "T, diffusion steps in training")
      .range(1, 100000)
      .show_default();
  command
      .add_option("--inference-steps", options->inference_steps,
                  "K of validation, and of rollout states")
      .positive()
      .show_default();
  add_choice(command, "--schedule", options->config.schedule, "How noise grows with the timestep");
  add_choice(command, "--noise", options->config.noise, "Noise over time");
  add_choice(command, "--error-source", options->config.source, "Training errors");
  add_choice(command, "--objective", options->config.objective, "What the network learns");
  add_choice(command, "--states", options->states,
             "The x_t of training (default: rollout; forward for --recipe paper)");
  add_choice(command, "--normalization", options->config.normalization,
             "What the error is divided by");
  add_choice(command, "--loss", options->config.loss, "Loss of the error");
  add_acceleration_weight(command, options->flags.acceleration_weight);
  add_confidence(command, options->confidence);
  add_recipe(command, options->recipe, "--states forward, --normalise width");
  command.footer("Example: posetape train refiner lifted.npz -o refiner.safetensors --noise ar1");
  command.runs([command, options] {
    const bool paper = options->recipe == Recipe::paper;
    options->flags.take_recipe(command, options->recipe);
    // A regression has no states, and drawn errors are of the paper's alone.
    const bool forward = paper || options->config.objective == diffusion::Objective::regression;
    options->config.states =
        options->states.value_or(forward ? diffusion::States::forward : diffusion::States::rollout);
    run(*options);
  });
}

}  // namespace posetape::tools
