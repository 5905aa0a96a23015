// What the training commands share: options, the data's split, log, progress, stop and resume.
#pragma once

#include <fmt/format.h>
#include "tools/command_line.hpp"

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "diffusion/sequences.hpp"
#include "engine/trainer.hpp"
#include "model/checkpoint.hpp"
#include "tools/commands.hpp"
#include "tools/recipe.hpp"
#include "tools/training_files.hpp"

namespace posetape {

constexpr auto choices(OptimiserKind) {
  return make_choices<OptimiserKind>(
      "optimiser", {{OptimiserKind::adam, "adam", "AdamW where --weight-decay is given"},
                    {OptimiserKind::sgd, "sgd", "with momentum"},
                    {OptimiserKind::muon, "muon", "matrices; the rest as adam"}});
}

}  // namespace posetape

namespace posetape::tools {

// Sequences that train, and those that choose the best epoch. No test subject is in either.
// `subjects` are the training subjects in the order of the file.
struct Split {
  std::vector<int> train;
  std::vector<int> validation;
  std::vector<std::string> train_subjects;
  std::vector<std::string> validation_subjects;
};

enum class LogFormat { text, json };
constexpr auto choices(LogFormat) {
  return make_choices<LogFormat>(
      "log format", {{LogFormat::text, "text", "for people"},
                     {LogFormat::json, "json", "the log's lines, a JSON object an epoch, alone"}});
}

struct TrainFlags {
  std::string input;
  std::string output;
  int frames = 27;
  int epochs = 20;
  int batch = 32;
  double lr = 1e-3;
  double decay = 0.96;
  double weight_decay = 0;
  int patience = 0;
  DType precision = DType::f32;
  bool flip = true;
  bool resume = false;
  bool drop_invalid = false;
  bool force = false;
  std::vector<std::string> validation_subjects;
  bool quiet = false;
  LogFormat log_format = LogFormat::text;
  std::string log;
  bool gradient_norms = false;
  bool check_finite = false;
  bool plot = false;
  int recompute = 0;
  std::optional<int> shards;
  double checkpoint_minutes = 0;
  data::Normalisation normalisation = data::Normalisation::longer_side;
  OptimiserKind optimiser = OptimiserKind::adam;
  std::optional<double> momentum;  // of SGD and Muon
  int warm_up = 0;
  bool cosine = false;
  std::optional<double> lr_floor;  // of the cosine
  double clip_norm = 0;
  int micro_batches = 1;
  double ema = 0;
  double acceleration_weight = 0;  // of networks that have the option

  void add_to(const Command& command);
  // Defaults of the recipe, of what the command line doesn't give.
  void take_recipe(const Command& command, Recipe recipe);
  TrainOptions options(int steps_per_epoch) const;
  // Throws Error where options do not go together.
  void check() const;
  // "x.safetensors" -> "x.last.safetensors"
  std::string last_path() const;
  // Where --log says, else "x.log.jsonl". Throws Error unless it ends in .jsonl.
  std::string log_path() const;
  TrainingFiles::Paths paths() const;
  // What --resume compares: the options here that change a step's result, and the data, of which
  // `fields` train. `kind` is the command's ("refiner"), which adds its own options. Not in it:
  // epochs (but of a cosine, which depends on them), patience, what is shown, and recompute,
  // threads and device, with which a run may go on elsewhere.
  Settings settings(const std::string& kind, std::uint64_t seed, const data::Dataset& dataset,
                    const Split& parts, std::span<const data::Field> fields) const;
  // Prints a line for people: none with --quiet, and none among JSON lines.
  template <class... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) const {
    if (!quiet && log_format == LogFormat::text) fmt::print(format, std::forward<Args>(args)...);
  }
};

// Options for the sizes of these networks: what is given, before or on the command line, takes the
// place of a network's own.
using GivenSizes = std::map<std::string, std::optional<Index>>;
void add_sizes(const Command& command, std::span<const model::NetworkRule* const> rules,
               GivenSizes& given);
model::NetworkConfig sized(const model::NetworkRule& rule, Index frames, const GivenSizes& given);
// The sizes that have options, as they are compared by --resume.
Settings size_settings(const model::NetworkConfig& config);

// The networks of a .last file. Throws Error unless it was started with the configuration of `set`.
model::NetworkSet resume_networks(const TensorFile& last, const model::NetworkSet& set, DType dtype,
                                  const TrainFlags& flags, Device device);

// The option --confidence, of networks that are given 2D poses.
void add_confidence(const Command& command, bool& confidence);

// The option --acceleration-weight, of networks that give poses or their errors.
void add_acceleration_weight(const Command& command, double& weight);

// The option --recompute, for networks that are made of blocks (model/layers.hpp).
void add_recompute(const Command& command, int& level);

// Validation subjects are those given, else the last training subject of the file (with one
// training subject: the same sequences train and validate, said in a warning). Throws where a given
// name is not in the file or is a test subject, or where nothing is left to train on.
Split split(const data::Dataset& dataset, const std::vector<std::string>& validation_subjects,
            const std::string& path);

// Ctrl-C (or SIGTERM, or a terminal that is closed) stops a training from now on; the second one
// ends the process at once.
void catch_interrupts();

// While it lives, a network's parameters are the trainer's averages of them, where it keeps some.
class Averages {
 public:
  explicit Averages(const Trainer& trainer) {
    if (trainer.ema() != nullptr) averaged_.emplace(trainer.parameters(), *trainer.ema());
  }

 private:
  std::optional<Averaged> averaged_;
};

// What train() needs of a network.
struct Learner {
  std::string label;  // in the log: "refiner", "fold2"
  const ParameterList* parameters;
  // A step's data, everything random drawn by its number; and its loss.
  std::function<Trainer::Batch(const data::EpochBatches::Batch& windows, std::uint64_t step)>
      batch = {};
  Replay::Function loss = {};
  // From these fields of a batch of windows to their poses, for validation.
  std::vector<data::Field> fields = {};
  diffusion::Inference::Function estimate = {};
  // Called after each epoch; has to write the .last file before the best one, which has the
  // trainer's averages of the weights where it keeps some.
  std::function<void(const Trainer& trainer, bool best)> save = {};
  // What to do where a network that corrects makes validation worse.
  const char* if_worse = "train longer, or with more people";
  // Whether save(best) writes the output: then it must be there when a training goes on.
  bool writes_best = true;
};

// What the training commands have in common: the data and the files, from the start to the end of a
// process that trains networks one after the other.
class TrainingRun {
 public:
  // Reads the data. Throws where `refines` and a sequence lacks noisy_3d or pose_3d, which training
  // to correct needs.
  TrainingRun(const Common& common, const TrainFlags& flags, bool refines);

  // As TrainingFiles::begin(). Returns what train() is to go on from, null where it starts afresh.
  const TensorFile* begin(Settings settings, std::vector<std::string> labels);
  // "lifter: stcformer, 26048 parameters, ...": what is trained, on what.
  void announce(const std::string& what, const ParameterList& parameters) const;
  // Windows of the split's sequences or fewer, frames `step` apart, until the last epoch. From
  // `resumed` on, where it is not null.
  //
  // A killed process may have written the .last file and not yet the best one: where the last epoch
  // is the best it is saved once more, and where another was, its checkpoint must be there.
  // Interrupted, it saves, says how to go on, and throws Exit with the code that
  // shells know of the signal: what follows a training needs a finished one. Throws Error where no
  // epoch was best, and, when the epoch is saved, where the log can't be written.
  //
  // The log has a JSON object a line and epoch (tools/README.md, "While it trains").
  void train(const Learner& learner, const std::vector<int>& sequences, const TensorFile* resumed,
             int step = 1);
  // What a Learner of this network does with a batch; `drop_rate` is that of its rule's draw().
  Learner learner(std::string label, const model::Network& network, double drop_rate = 0) const;
  // Keeps in the network's file what it is trained on: how clips are given (data/view.hpp), and
  // what they are like (data/domain.hpp). save() does so.
  void stamp(TensorFile& file) const;
  // The .last file of a network that is trained alone, and the output where it is the best: `file`
  // makes it of the weights as they are when it is called.
  void save(const std::function<TensorFile()>& file, const Trainer& trainer, bool best) const;

  Tensor field(const data::EpochBatches::Batch& windows, data::Field which) const;
  const data::Dataset& dataset() const { return dataset_; }
  const Split& parts() const { return parts_; }

 private:
  int choose_shards(bool goes_on) const;
  void announce_ranks(const Trainer& trainer) const;
  void warn_of_weights(const ParameterList& parameters, const EpochResult& first) const;
  void run(Trainer& trainer, const Learner& learner, int steps_per_epoch, Trainer::Hooks hooks);

  const Common& common_;
  const TrainFlags& flags_;
  TrainingFiles files_;
  data::Dataset dataset_;  // as the network sees it
  data::Convention convention_;
  Split parts_;
  bool spread_ = false;  // over the ranks, from the first training on
  int shards_ = 1;
  std::string domain_;  // JSON
  bool refines_ = false;
};

// The part of a network that a parameter belongs to: its name up to the first number, or else its
// first part. "blocks.2" of "blocks.2.stc1.qkv.weight", "output" of "output.bias".
std::string block_of(std::string_view parameter);

// Euclidean norm of the gradient of each block, in the order of the parameters.
std::vector<std::pair<std::string, double>> gradient_norms(const ParameterList& parameters);

// The names of a list in one line: "a, b, c".
std::string joined(const std::vector<std::string>& names);

}  // namespace posetape::tools
