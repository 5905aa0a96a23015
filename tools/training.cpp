#include "tools/training.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include "tools/progress.hpp"

namespace posetape::tools {
namespace {

volatile std::sig_atomic_t interrupts = 0;

void on_signal(int) {
  if (interrupts != 0) std::_Exit(130);
  interrupts = 1;
}

std::string replace_extension(const std::string& path, const std::string& with) {
  const std::string extension = ".safetensors";
  const bool has = path.size() > extension.size() && path.ends_with(extension);
  return (has ? path.substr(0, path.size() - extension.size()) : path) + with;
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

void TrainFlags::add_to(CLI::App& command) {
  command.add_option("input", input, "Dataset (.npz)")->required();
  command.add_option("-o,--output", output, "Checkpoint to write (.safetensors)")->required();
  command.add_option("--frames", frames, "Frames of a window")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command.add_option("--epochs", epochs, "Epochs")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command.add_option("--batch", batch, "Windows a step")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command.add_option("--lr", lr, "Learning rate of Adam")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option("--decay", decay, "Factor on the learning rate after every epoch")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--weight-decay", weight_decay,
                  "Part of every weight, times the learning rate, that a step takes off (AdamW)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--patience", patience,
                  "Stop after so many epochs without a better validation (0: never)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--precision", precision,
                  "f32, or bf16: weights, activations and gradients in bfloat16; sums, statistics "
                  "and the optimiser in f32")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
  command.add_flag("--flip,!--no-flip", flip,
                   flip ? "Mirror half of the windows at random (default)"
                        : "Mirror half of the windows at random (default: no)");
  command
      .add_option("--validation-subjects", validation_subjects,
                  "Training subjects kept aside to choose the best epoch")
      ->delimiter(',');
  command.add_flag("--drop-invalid", drop_invalid,
                   "Skip sequences with NaN or infinite poses instead of stopping");
  command.add_flag("--resume", resume, "Continue a run that was stopped, from its .last file");
}

TrainOptions TrainFlags::options(int steps_per_epoch) const {
  return {epochs, steps_per_epoch, lr, decay, patience, weight_decay};
}

std::string TrainFlags::last_path() const {
  return replace_extension(output, ".last.safetensors");
}
std::string TrainFlags::log_path() const {
  return replace_extension(output, ".log.jsonl");
}

Split split(const data::Dataset& dataset, const std::vector<std::string>& validation_subjects,
            const std::string& path) {
  Split result;
  std::vector<std::string> subjects;
  for (const data::Sequence& s : dataset.sequences) {
    const std::string subject(s.subject());
    if (!dataset.is_test(s) && !contains(subjects, subject)) subjects.push_back(subject);
  }
  if (subjects.empty()) {
    fail("{}: nothing to train on: all its subjects are test subjects ({})", path,
         joined(dataset.test_subjects));
  }
  std::vector<std::string> held_out = validation_subjects;
  for (const std::string& name : held_out) {
    if (!contains(subjects, name)) {
      fail("{}: validation subject {} is not among the training subjects {}", path, name,
           joined(subjects));
    }
  }
  if (held_out.empty() && subjects.size() > 1) held_out.push_back(subjects.back());
  for (const std::string& name : subjects) {
    (contains(held_out, name) ? result.validation_subjects : result.train_subjects).push_back(name);
  }
  if (result.train_subjects.empty()) {
    fail("{}: every training subject is a validation subject ({})", path, joined(held_out));
  }
  if (held_out.empty()) {
    fmt::print(stderr,
               "posetape: {} has one training subject, {}: it validates what it trains on\n", path,
               subjects[0]);
  }
  for (std::size_t i = 0; i < dataset.sequences.size(); ++i) {
    const std::string subject(dataset.sequences[i].subject());
    if (contains(result.train_subjects, subject)) result.train.push_back(static_cast<int>(i));
    if (contains(result.validation_subjects, subject) ||
        (held_out.empty() && subject == subjects[0])) {
      result.validation.push_back(static_cast<int>(i));
    }
  }
  return result;
}

void check_refinable(const data::Dataset& dataset, const Split& parts, const std::string& path) {
  for (const std::vector<int>& part : {parts.train, parts.validation}) {
    for (const int i : part) {
      const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(i)];
      if (!s.noisy_3d) {
        fail("{}: sequence {} has no noisy_3d; make it with `posetape lift` or your own estimator",
             path, s.name);
      }
      if (!s.pose_3d) fail("{}: sequence {} has no pose_3d, which training needs", path, s.name);
    }
  }
}

void catch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

bool interrupted() {
  return interrupts != 0;
}

TrainOutcome run_training(Trainer& trainer, const RunOptions& options, Trainer::Hooks hooks,
                          const std::function<void(bool best)>& save) {
  std::ofstream log(options.log_path, std::ios::app);
  if (!log) fail("{}: cannot write the training log", options.log_path);
  Progress progress(
      options.label, "seq",
      double{1} * options.epochs * options.steps_per_epoch * options.sequences_per_step);
  double smooth = 0;
  hooks.on_step = [&](const TrainState& state, double loss) {
    smooth = smooth == 0 ? loss : 0.98 * smooth + 0.02 * loss;
    const double done = (double{1} * state.epoch * options.steps_per_epoch + state.step) *
                        options.sequences_per_step;
    progress.update(
        done, fmt::format("epoch {}/{}  loss {:.5f}", state.epoch + 1, options.epochs, smooth));
  };
  hooks.on_epoch = [&](const EpochResult& r) {
    const double rate =
        double{1} * options.steps_per_epoch * options.sequences_per_step / r.seconds;
    progress.line(fmt::format(
        "{}  epoch {:>3}/{}  loss {:.5f}  validation {:.2f} mm{}  lr {:.2e}  {:.0f} seq/s  {}",
        options.label, r.epoch + 1, options.epochs, r.loss, r.validation, r.best ? " *" : "  ",
        r.lr, rate, duration(r.seconds)));
    const nlohmann::ordered_json entry{
        {"model", options.label}, {"epoch", r.epoch + 1},          {"lr", r.lr},
        {"loss", r.loss},         {"validation_mm", r.validation}, {"best", r.best},
        {"seconds", r.seconds},   {"sequences_per_second", rate}};
    log << entry.dump() << std::endl;
    save(r.best);
  };
  hooks.stop = [] { return interrupted(); };
  const TrainOutcome outcome = trainer.run(hooks);
  if (outcome == TrainOutcome::interrupted) {
    save(false);
    progress.line(fmt::format("{}  stopped in epoch {} after {} steps; continue with --resume",
                              options.label, trainer.state().epoch + 1, trainer.state().step));
  }
  return outcome;
}

std::string joined(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace posetape::tools
