// What the training commands share: options, the data's split, log, progress, stop and resume.
#pragma once

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "data/windows.hpp"
#include "engine/trainer.hpp"
#include "tools/batches.hpp"
#include "tools/commands.hpp"
#include "tools/training_files.hpp"

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
  std::vector<std::string> validation_subjects;
  bool quiet = false;
  LogFormat log_format = LogFormat::text;
  std::string log;
  bool gradient_norms = false;
  bool check_finite = false;
  bool plot = false;
  int recompute = 0;

  void add_to(CLI::App& command);
  TrainOptions options(int steps_per_epoch) const;
  // "x.safetensors" -> "x.last.safetensors"
  std::string last_path() const;
  // Where --log says, else "x.log.jsonl". Throws Error unless it ends in .jsonl.
  std::string log_path() const;
  TrainingFiles::Paths paths() const;
  // What --resume compares: the options here that change a step's result, and the data, of which
  // `fields` train. `kind` is the command's ("refiner"), which adds its own options. Not in it:
  // epochs, patience, what is shown, and recompute, threads and device, with which a run may go on
  // elsewhere.
  Settings settings(const std::string& kind, std::uint64_t seed, const data::Dataset& dataset,
                    const Split& parts, std::span<const Field> fields) const;
  // Prints a line for people: none with --quiet, and none among JSON lines.
  template <class... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) const {
    if (!quiet && log_format == LogFormat::text) fmt::print(format, std::forward<Args>(args)...);
  }
};

// The option --recompute, for networks that are made of blocks (model/layers.hpp).
void add_recompute(CLI::App& command, int& level);

// Validation subjects are those given, else the last training subject of the file (with one
// training subject: the same sequences train and validate, said in a warning). Throws where a given
// name is not in the file or is a test subject, or where nothing is left to train on.
Split split(const data::Dataset& dataset, const std::vector<std::string>& validation_subjects,
            const std::string& path);

// Throws where a sequence of the split lacks noisy_3d or pose_3d, which training to correct needs.
void check_refinable(const data::Dataset& dataset, const Split& parts, const std::string& path);

// Ctrl-C (or SIGTERM, or a terminal that is closed) stops run_training() from now on; the second
// one ends the process at once.
void catch_interrupts();

// Before a run goes on: the process before it may have been killed when it had written the .last
// file and not yet the best one. Where the last epoch is the best, calls save(true) once more;
// throws where another was, and its checkpoint is not there.
void restore_best(const TrainFlags& flags, const TrainState& state,
                  const std::function<void(bool best)>& save);

// One run of a Trainer with its log and progress line, as the flags say. Adds hooks.on_step,
// on_epoch and stop, and calls `save(best)` after each epoch, which has to write the .last file
// before the best one. `label` is the model's: "refiner", "fold2". Interrupted, it calls
// save(false), says how to go on, and throws CLI::RuntimeError with the exit code that shells know
// of the signal: what follows a training needs a finished one. Throws Error where no epoch was
// best, and, when the epoch is saved, where the log can't be written.
//
// The log has a JSON object a line and epoch (tools/README.md, "While it trains").
void run_training(Trainer& trainer, const std::string& label, int steps_per_epoch,
                  const TrainFlags& flags, TrainingFiles& files, Trainer::Hooks hooks,
                  const std::function<void(bool best)>& save);

// The part of a network that a parameter belongs to: its name up to the first number, or else its
// first part. "blocks.2" of "blocks.2.stc1.qkv.weight", "output" of "output.bias".
std::string block_of(std::string_view parameter);

// Euclidean norm of the gradient of each block, in the order of the parameters.
std::vector<std::pair<std::string, double>> gradient_norms(const ParameterList& parameters);

// The names of a list in one line: "a, b, c".
std::string joined(const std::vector<std::string>& names);

}  // namespace posetape::tools
