#include "tools/training.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "data/copies.hpp"
#include "data/domain.hpp"
#include "data/evaluation.hpp"
#include "data/spread.hpp"
#include "engine/atomic_file.hpp"
#include "engine/gradients.hpp"
#include "engine/ranks/ranks.hpp"
#include "kernels/base/parallel.hpp"
#include "tools/comparison.hpp"
#include "tools/files.hpp"
#include "tools/guards.hpp"
#include "tools/input.hpp"
#include "tools/plot.hpp"
#include "tools/progress.hpp"

namespace posetape::tools {
namespace {

// The signal that asked to stop; zero while none did.
volatile std::sig_atomic_t stop_signal = 0;

// What a shell says of a program that a signal ended.
int exit_code(int signal) {
  return 128 + signal;
}

void on_signal(int signal) {
  if (stop_signal != 0) {
    remove_temporary_files();
    std::_Exit(exit_code(signal));
  }
  stop_signal = signal;
}

std::string replace_extension(const std::string& path, const std::string& with) {
  const std::string extension = ".safetensors";
  const bool has = path.size() > extension.size() && path.ends_with(extension);
  return (has ? path.substr(0, path.size() - extension.size()) : path) + with;
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Means over the steps of an epoch.
class NormMeans {
 public:
  void add(const std::vector<std::pair<std::string, double>>& norms) {
    sums_.resize(norms.size());
    for (std::size_t i = 0; i < norms.size(); ++i) {
      sums_[i].first = norms[i].first;
      sums_[i].second += norms[i].second;
    }
    ++steps_;
  }
  // As {"blocks.0": 0.3, ...}, and begins anew.
  nlohmann::ordered_json take() {
    nlohmann::ordered_json means = nlohmann::ordered_json::object();
    for (const auto& [block, sum] : sums_) means[block] = sum / steps_;
    *this = {};
    return means;
  }

 private:
  std::vector<std::pair<std::string, double>> sums_;
  int steps_ = 0;
};

// The course of a model's training, also of the epochs before a --resume.
std::string plot_of_log(const std::string& path, const std::string& label) {
  std::vector<double> epoch, loss, validation;
  std::ifstream log(path);
  for (std::string line; std::getline(log, line);) {
    const auto entry = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!entry.is_object() || entry.value("model", "") != label) continue;
    const auto number = [&](const char* key) {
      const auto found = entry.find(key);
      return found != entry.end() && found->is_number() ? found->get<double>() : std::nan("");
    };
    epoch.push_back(number("epoch"));
    loss.push_back(number("loss"));
    validation.push_back(number("validation_mm"));
  }
  const PlotStyle style = plot_style();
  return curve(label + ": loss", epoch, loss, "epoch", style) +
         curve(label + ": validation (mm)", epoch, validation, "epoch", style);
}

void warn_of_copies(const data::Dataset& dataset, const Split& parts, const std::string& path) {
  const std::vector<data::Copy> copies = data::copies(dataset, parts.train);
  if (copies.empty()) return;
  const auto name = [&](int i) { return dataset.sequences[static_cast<std::size_t>(i)].name; };
  fmt::print(stderr,
             "posetape: warning: {}: {} of the sequences that do not train, such as {}, have the "
             "poses of one that trains ({}): what is measured on them is too good\n",
             path, copies.size(), name(copies[0].sequence), name(copies[0].of));
}

// Throws where a sequence of the split lacks what training to correct needs.
void check_refinable(const data::Dataset& dataset, const Split& parts, const std::string& path) {
  for (const std::vector<int>& part : {parts.train, parts.validation}) {
    for (const int i : part) {
      const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(i)];
      check_estimate(s, path);
      if (!s.pose_3d) fail("{}: sequence {} has no pose_3d, which training needs", path, s.name);
    }
  }
}

}  // namespace

void TrainFlags::add_to(const Command& command) {
  add_input(command, "input", input, "Dataset (.npz)").required();
  add_output(
      command, "-o,--output", output, "Checkpoint to write (.safetensors)",
      {.stream = false,
       .beside =
           [this] {
             return log.empty() ? std::vector{last_path(), log_path()} : std::vector{last_path()};
           }})
      .required();
  command.add_option("--frames", frames, "Frames of a window").range(1, 100000).show_default();
  command.add_option("--epochs", epochs, "Epochs").range(1, 1000000).show_default();
  command.add_option("--batch", batch, "Windows a step").range(1, 100000).show_default();
  command.add_option("--lr", lr, "Learning rate").positive().show_default();
  const Option decays =
      command.add_option("--decay", decay, "Factor on the learning rate after every epoch")
          .positive()
          .show_default();
  command.add_option("--warm-up", warm_up, "Steps in which the learning rate rises from 0 to --lr")
      .not_negative()
      .show_default();
  command
      .add_flag("--cosine,!--no-cosine", cosine,
                "Let the learning rate fall as half a cosine over all epochs, instead of --decay")
      .excludes(decays);
  command.add_option("--lr-floor", lr_floor, "Learning rate that the cosine ends at (default: 0)")
      .not_negative();
  add_choice(command, "--optimiser", optimiser, "Optimiser");
  command.add_option("--momentum", momentum, "Momentum of SGD and Muon (default: 0.9)")
      .range(0.0, 0.999999);
  command
      .add_option("--weight-decay", weight_decay,
                  "Part of every weight, times the learning rate, that a step takes off (AdamW; of "
                  "SGD an L2 penalty)")
      .not_negative()
      .show_default();
  command
      .add_option("--clip-norm", clip_norm,
                  "Scale the gradients of a step down to this Euclidean norm, of all together (0: "
                  "as they are)")
      .not_negative()
      .show_default();
  command
      .add_option("--micro-batches", micro_batches,
                  "Compute a step's batch in so many equal parts, one after the other: less memory")
      .range(1, 100000)
      .show_default();
  command
      .add_option("--ema", ema,
                  "Decay of a moving average of the weights, such as 0.999, which is validated and "
                  "saved in their place (0: none)")
      .range(0.0, 0.999999)
      .show_default();
  command
      .add_option("--patience", patience,
                  "Stop after so many epochs without a better validation (0: never)")
      .not_negative()
      .show_default();
  add_precision(
      command, precision,
      "Weights, activations and gradients; bf16 has sums, statistics and the optimiser in f32");
  command.add_flag("--flip,!--no-flip", flip,
                   flip ? "Mirror half of the windows at random (default)"
                        : "Mirror half of the windows at random (default: no)");
  command
      .add_option("--validation-subjects", validation_subjects,
                  "Training subjects kept aside to choose the best epoch")
      .list();
  add_drop_invalid(command, drop_invalid);
  add_force(command, force);
  command.add_flag("--quiet", quiet, "Print nothing but warnings and errors");
  add_choice(command, "--log-format", log_format, "Standard output");
  add_output(command, "--log", log, "Log to write (.jsonl; default: beside the checkpoint)",
             {.stream = false});
  command.add_flag("--gradient-norms", gradient_norms,
                   "Log the norm of the gradient of each block, the mean of an epoch's steps");
  command.add_flag(
      "--check-finite", check_finite,
      "Look at every result and gradient of every step, and name the first that is not "
      "finite (slow)");
  add_choice(command, "--normalise", normalisation,
             "How pixels become a network's input; kept in the checkpoint");
  command
      .add_option("--shards", shards,
                  "Parts of a batch whose gradients are added in their order, which makes results "
                  "independent of the number of ranks (default: 1; 8 under mpirun)")
      .range(1, 65536);
  command
      .add_option("--checkpoint-minutes", checkpoint_minutes,
                  "Write the .last file inside of epochs, too, this often (default: 0, never)")
      .not_negative();
  command.add_flag("--plot", plot, "Draw the loss and the validation error when it is done");
  command.add_flag("--resume", resume, "Continue a run that was stopped, from its .last file");
}

void TrainFlags::take_recipe(const Command& command, Recipe recipe) {
  if (recipe == Recipe::paper && command.count("--normalise") == 0) {
    normalisation = data::Normalisation::width;
  }
}

void add_confidence(const Command& command, bool& confidence) {
  command.add_flag("--confidence,!--no-confidence", confidence,
                   "Give the network how sure the detector was of each joint, beside its place; 1 "
                   "where the data don't say it");
}

void add_acceleration_weight(const Command& command, double& weight) {
  command
      .add_option("--acceleration-weight", weight,
                  "Add the mean distance of accelerations to the loss, times this; mm a frame² "
                  "weigh as much as mm at 1")
      .not_negative()
      .show_default();
}

void add_recompute(const Command& command, int& level) {
  command
      .add_option("--recompute", level,
                  "Less memory for more time, with the same results: activations that the backward "
                  "pass computes again, 1: in each MLP, 2: in whole blocks")
      .range(0, 2)
      .show_default();
}

void add_sizes(const Command& command, std::span<const model::NetworkRule* const> rules,
               GivenSizes& given) {
  std::vector<std::pair<const model::Size*, std::string>> options;  // with their defaults
  for (const model::NetworkRule* rule : rules) {
    for (const model::Size& size : rule->sizes) {
      if (*size.help == '\0') continue;
      auto known = std::ranges::find_if(
          options, [&](const auto& o) { return std::string_view(o.first->key) == size.key; });
      if (known == options.end()) known = options.insert(known, {&size, ""});
      known->second +=
          fmt::format("{}{}{}", known->second.empty() ? "" : ", ",
                      rules.size() > 1 ? std::string(rule->name) + " " : "", size.value);
    }
  }
  for (auto& [size, defaults] : options) {
    std::optional<Index>& value = given[size->key];
    if (value) defaults = std::to_string(*value);
    command
        .add_option("--" + std::string(size->key), value,
                    fmt::format("{} (default: {})", size->help, defaults))
        .range(size->least, size->most);
  }
}

model::NetworkConfig sized(const model::NetworkRule& rule, Index frames, const GivenSizes& given) {
  model::NetworkConfig config = model::released_config(rule);
  config.frames = frames;
  for (const auto& [key, value] : given) {
    if (!value) continue;
    const auto size = std::ranges::find(rule.sizes, key, &model::Size::key);
    if (size == rule.sizes.end()) fail("--{}: {} has no such size; leave it out", key, rule.title);
    config.sizes[static_cast<std::size_t>(size - rule.sizes.begin())] = *value;
  }
  if (frames < rule.frames.least) {
    fail("--frames {}: {}, which need {} frames at least", frames, rule.frames.help,
         rule.frames.least);
  }
  return config;
}

Settings size_settings(const model::NetworkConfig& config) {
  Settings settings = Settings::object();
  for (std::size_t i = 0; i < config.sizes.size(); ++i) {
    const model::Size& size = config.rule->sizes[i];
    if (*size.help != '\0') settings[std::string("--") + size.key] = config.sizes[i];
  }
  return settings;
}

model::NetworkSet resume_networks(const TensorFile& last, const model::NetworkSet& set, DType dtype,
                                  const TrainFlags& flags, Device device) {
  const auto started = last.metadata.find("config");
  if (started == last.metadata.end() || started->second != model::config_text(set)) {
    fail("{}: was started with {}; resume with the same options and data", flags.last_path(),
         started == last.metadata.end() ? "something else" : started->second);
  }
  return model::load_networks(last, flags.last_path(), set.config.rule->role, dtype, device);
}

TrainOptions TrainFlags::options(int steps_per_epoch) const {
  TrainOptions all{epochs,   steps_per_epoch, lr,        decay,
                   patience, weight_decay,    recompute, check_finite};
  all.optimiser = optimiser;
  all.momentum = momentum.value_or(all.momentum);
  all.warm_up = warm_up;
  all.cosine = cosine;
  all.lr_floor = lr_floor.value_or(all.lr_floor);
  all.clip_norm = clip_norm;
  all.micro_batches = micro_batches;
  all.ema = ema;
  all.whole_gradients = gradient_norms;
  return all;
}

void TrainFlags::check() const {
  if (momentum && optimiser == OptimiserKind::adam) {
    fail("--momentum {}: {} has none; give --optimiser sgd, too, or leave it out", *momentum,
         name(optimiser));
  }
  if (lr_floor && !cosine) {
    fail("--lr-floor {}: only a cosine ends there; give --cosine, too, or leave it out", *lr_floor);
  }
  if (lr_floor && *lr_floor > lr) {
    fail("--lr-floor {}: is above --lr {}; choose a lower one", *lr_floor, lr);
  }
  if (batch % micro_batches != 0) {
    fail("--micro-batches {}: does not divide --batch {}; choose one that does", micro_batches,
         batch);
  }
  if (acceleration_weight > 0 && frames < 3) {
    fail("--acceleration-weight {}: windows of --frames {} have no acceleration; choose 3 or more",
         acceleration_weight, frames);
  }
}

std::string TrainFlags::last_path() const {
  return replace_extension(output, ".last.safetensors");
}
std::string TrainFlags::log_path() const {
  if (log.empty()) return replace_extension(output, ".log.jsonl");
  if (!log.ends_with(".jsonl")) {
    fail("--log {}: the name must end in .jsonl, by which `posetape report` knows it", log);
  }
  return log;
}

TrainingFiles::Paths TrainFlags::paths() const {
  return {input, output, last_path(), log_path()};
}

Settings TrainFlags::settings(const std::string& kind, std::uint64_t seed,
                              const data::Dataset& dataset, const Split& parts,
                              std::span<const data::Field> fields) const {
  std::vector<int> seen = parts.train;
  std::ranges::copy(parts.validation, std::back_inserter(seen));
  std::ranges::sort(seen);
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  const TrainOptions o = options(1);
  Settings all{{"train", kind},
               {kData, fmt::format("{:08x}", fingerprint(dataset, seen, fields))},
               {"--validation-subjects", parts.validation_subjects},
               {"--seed", seed},
               {"--frames", frames},
               {"--batch", batch},
               {"--lr", lr},
               {"--decay", decay},
               {"--weight-decay", weight_decay},
               {"--precision", name(precision)},
               {"--flip", flip},
               {"--normalise", name(normalisation)},
               {"--optimiser", name(optimiser)},
               {"--momentum", o.momentum},
               {"--warm-up", warm_up},
               {"--cosine", cosine},
               {"--lr-floor", o.lr_floor},
               {"--clip-norm", clip_norm},
               {"--micro-batches", micro_batches},
               {"--ema", ema}};
  if (cosine) all["--epochs"] = epochs;
  return all;
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

std::string block_of(std::string_view parameter) {
  std::size_t end = parameter.find('.');
  const std::string first(parameter.substr(0, end));
  while (end != std::string_view::npos) {
    const std::size_t begin = end + 1;
    end = parameter.find('.', begin);
    const std::string_view part = parameter.substr(begin, end - begin);
    if (part.find_first_not_of("0123456789") == std::string_view::npos) {
      return std::string(parameter.substr(0, end));
    }
  }
  return first;
}

std::vector<std::pair<std::string, double>> gradient_norms(const ParameterList& parameters) {
  std::vector<std::pair<std::string, double>> norms;
  for (const ParameterList::Entry& e : parameters.entries()) {
    const std::string block = block_of(e.name);
    auto found = std::ranges::find(norms, block, &std::pair<std::string, double>::first);
    if (found == norms.end()) found = norms.insert(norms.end(), {block, 0.0});
    for (const double g : e.gradient.to_doubles()) found->second += g * g;
  }
  for (auto& [block, norm] : norms) norm = std::sqrt(norm);
  return norms;
}

void catch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  // Of a terminal that is closed; ignored already under nohup.
  if (std::signal(SIGHUP, on_signal) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
}

namespace {

data::Dataset as_seen(data::Dataset dataset, data::Normalisation normalisation) {
  const data::View view(dataset, {.normalisation = normalisation}, /*resample=*/false);
  if (&view.dataset() == &dataset) return dataset;
  return view.dataset();
}

}  // namespace

TrainingRun::TrainingRun(const Common& common, const TrainFlags& flags, bool refines)
    : common_(common),
      flags_(flags),
      files_(flags.paths()),
      dataset_(
          as_seen(read_input(flags.input, flags.drop_invalid, flags.force), flags.normalisation)),
      convention_{flags.normalisation, data::common_fps(dataset_), data::joints_of(dataset_)},
      parts_(split(dataset_, flags.validation_subjects, flags.input)),
      refines_(refines) {
  if (refines) check_refinable(dataset_, parts_, flags.input);
  warn_of_copies(dataset_, parts_, flags.input);
  domain_ = data::fit_domain(dataset_, parts_.train, refines).dump();
}

// S: what is given, else what a training was started with that goes on, else 8 under mpirun, so
// that 1 to 8 ranks make the same of it.
int TrainingRun::choose_shards(bool goes_on) const {
  if (goes_on && !flags_.shards) {
    const nlohmann::ordered_json before = files_.started_with(kShards);
    const int count = before.is_number_integer() ? before.get<int>() : 1;
    if (count < ranks().size()) {
      fail(
          "{}: was started with --shards {}, so that no more than {} ranks can go on with it; "
          "start "
          "{}, or start afresh without --resume",
          flags_.last_path(), count, count,
          count == 1 ? "without mpirun" : fmt::format("{} or fewer", count));
    }
    return count;
  }
  const int count = flags_.shards.value_or(ranks().library().empty() ? 1 : 8);
  if (count < ranks().size()) {
    fail("{} shards are too few for {} ranks, of which each needs one; give --shards {} or more",
         count, ranks().size(), ranks().size());
  }
  return count;
}

const TensorFile* TrainingRun::begin(Settings settings, std::vector<std::string> labels) {
  const TensorFile* const last = flags_.resume ? files_.resume() : nullptr;
  shards_ = choose_shards(last != nullptr);
  settings[kShards] = shards_;
  files_.begin(std::move(settings), std::move(labels));
  return last;
}

void TrainingRun::announce(const std::string& what, const ParameterList& parameters) const {
  flags_.say(
      "{}{} parameters, {} frames, {} threads; trains on {} ({} sequences), validates on {}\n",
      what, parameters.size(), flags_.frames, threads(), joined(parts_.train_subjects),
      parts_.train.size(), joined(parts_.validation_subjects));
}

void TrainingRun::announce_ranks(const Trainer& trainer) const {
  const std::vector<std::string> hosts = ranks().gather(host_name());
  const std::size_t count = std::set(hosts.begin(), hosts.end()).size();
  flags_.say("{} ranks ({}) on {} host{}, {} shards of a batch; a step sends {:.2f} MB {}\n",
             ranks().size(), ranks().library(), count, count == 1 ? "" : "s", shards_,
             static_cast<double>(trainer.bytes_a_step()) / 1e6,
             trainer.shards()->on_devices() ? fmt::format("from GPU to GPU ({})", cuda_links.name)
                                            : std::string("through the hosts' memory"));
}

Tensor TrainingRun::field(const data::EpochBatches::Batch& windows, data::Field which) const {
  return (spread_ ? data::gather_spread : data::gather)(dataset_, windows.windows, windows.flips,
                                                        flags_.frames, which);
}

Learner TrainingRun::learner(std::string label, const model::Network& network,
                             double drop_rate) const {
  Learner result{.label = std::move(label), .parameters = network.parameters.get()};
  result.fields = diffusion::fields_of(network.config);
  result.batch = [this, network, drop_rate, fields = result.fields](
                     const data::EpochBatches::Batch& windows, std::uint64_t step) {
    Trainer::Batch batch;
    batch.sequences = static_cast<Index>(windows.windows.size());
    for (const data::Field which : fields) batch.inputs.push_back(field(windows, which));
    if (const auto draw = network.config.rule->draw; draw != nullptr) {
      std::ranges::move(draw(network.config, drop_rate, static_cast<Index>(windows.windows.size()),
                             network.parameters->values().dtype(), common_.seed, step),
                        std::back_inserter(batch.inputs));
    }
    batch.inputs.push_back(field(windows, data::Field::truth));
    return batch;
  };
  result.loss = [network, weight = flags_.acceleration_weight](std::span<const Tensor> in, int) {
    const Tensor& truth = in.back();
    const Tensor made = network.forward(in.first(in.size() - 1));
    const Tensor loss = network.loss(made, truth);
    return weight == 0 ? loss : add(loss, scale(model::acceleration_loss(made, truth), weight));
  };
  result.estimate = [network](std::span<const Tensor> in) { return network.forward(in); };
  return result;
}

void TrainingRun::stamp(TensorFile& file) const {
  file.metadata[data::kConvention] = data::to_json(convention_);
  file.metadata[kDomain] = domain_;
}

void TrainingRun::save(const std::function<TensorFile()>& file, const Trainer& trainer,
                       bool best) const {
  TensorFile last = file();
  stamp(last);
  trainer.save(last);
  files_.save_last(std::move(last));
  if (!best) return;
  const Averages averages(trainer);
  TensorFile output = file();
  stamp(output);
  write_safetensors(flags_.output, output);
}

void TrainingRun::train(const Learner& learner, const std::vector<int>& sequences,
                        const TensorFile* resumed, int step) {
  const int pieces = flags_.micro_batches;
  data::EpochBatches batches(dataset_, sequences, flags_.frames, flags_.batch / pieces, flags_.flip,
                             common_.seed, step);
  const int steps = batches.steps() / pieces;
  if (steps < 1) {
    fail("--micro-batches {}: the training data make {} parts of {} windows; choose less", pieces,
         batches.steps(), flags_.batch / pieces);
  }
  TrainOptions options = flags_.options(steps);
  options.shards = shards_;
  const bool first = !ranks().alone() && !spread_;
  if (first) data::spread(dataset_, parts_.validation);
  spread_ = spread_ || first;
  Trainer trainer(*learner.parameters, options);
  if (first) announce_ranks(trainer);
  if (resumed != nullptr) trainer.load(*resumed, flags_.last_path());
  Trainer::Hooks hooks;
  hooks.batch = [&](int epoch, int at) {
    const auto number =
        static_cast<std::uint64_t>(epoch) * static_cast<std::uint64_t>(steps * pieces) +
        static_cast<std::uint64_t>(at);
    return learner.batch(batches.at(epoch, at), number);
  };
  const bool falls = flags_.cosine || flags_.decay < 1;
  if (falls && flags_.warm_up >= flags_.epochs * steps) {
    fmt::print(
        stderr,
        "posetape: warning: --warm-up {}: the learning rate rises in all {} steps, and never "
        "falls; choose less, or more epochs\n",
        flags_.warm_up, flags_.epochs * steps);
  }
  hooks.loss = learner.loss;
  diffusion::Inference estimate(learner.fields, common_.device, learner.estimate);
  hooks.validate = [&] {
    const auto result =
        estimate(dataset_, parts_.validation,
                 {.windows = data::disjoint(flags_.frames, step), .batch = flags_.batch});
    return data::mpjpe(dataset_, parts_.validation, result.poses);
  };
  const TrainState& state = trainer.state();
  if (learner.writes_best && state.best_epoch >= 0) {
    if (state.step == 0 && state.best_epoch == state.epoch - 1) {
      learner.save(trainer, true);
    } else if (!std::filesystem::exists(flags_.output)) {
      fail(
          "{}: is missing, and had the weights of the best epoch ({}); put it back, or start "
          "afresh "
          "without --resume",
          flags_.output, state.best_epoch + 1);
    }
  }
  run(trainer, learner, steps, std::move(hooks));
}

void TrainingRun::warn_of_weights(const ParameterList& parameters, const EpochResult& first) const {
  std::vector<std::string> names;
  if (shards_ == 1) names = without_gradient(parameters);
  if (!names.empty()) {
    fmt::print(stderr,
               "posetape: warning: {}: no gradient came to {} in the last step of the first epoch: "
               "they stay as they began\n",
               shown(flags_.output), fmt::join(names, ", "));
  }
  std::vector<std::string> unmoved = first.unmoved;
  std::erase_if(unmoved, [&](const std::string& name) { return contains(names, name); });
  if (!unmoved.empty()) {
    fmt::print(stderr,
               "posetape: warning: {}: no step of the first epoch moved {}, for the learning rate "
               "({:g}) or their gradients are too small for them\n",
               shown(flags_.output), fmt::join(unmoved, ", "), first.lr);
  }
}

void TrainingRun::run(Trainer& trainer, const Learner& learner, int steps_per_epoch,
                      Trainer::Hooks hooks) {
  const bool json = flags_.log_format == LogFormat::json;
  const double epoch_sequences = double{1} * steps_per_epoch * flags_.batch;
  Progress progress(learner.label, "frames", flags_.epochs * epoch_sequences * flags_.frames,
                    flags_.quiet);
  double smooth = 0;
  std::string validation;
  NormMeans norms;
  hooks.on_step = [&](const TrainState& state, double loss) {
    smooth = smooth == 0 ? loss : 0.98 * smooth + 0.02 * loss;
    if (flags_.gradient_norms) norms.add(gradient_norms(trainer.parameters()));
    const double done = state.epoch + double{1} * state.step / steps_per_epoch;
    progress.update(done * epoch_sequences * flags_.frames,
                    fmt::format("epoch {}/{}  loss {:.5f}{}", state.epoch + 1, flags_.epochs,
                                smooth, validation));
  };
  hooks.on_epoch = [&](const EpochResult& r) {
    const double rate = epoch_sequences / r.seconds;
    nlohmann::ordered_json entry{{"model", learner.label},
                                 {"epoch", r.epoch + 1},
                                 {"lr", r.lr},
                                 {"loss", r.loss},
                                 {"validation_mm", r.validation},
                                 {"best", r.best},
                                 {"seconds", r.seconds},
                                 {"sequences_per_second", rate},
                                 {"frames_per_second", rate * flags_.frames}};
    if (flags_.gradient_norms) entry["gradient_norms"] = norms.take();
    if (r.epoch == 0) warn_of_weights(trainer.parameters(), r);
    // The log first: a process that is killed here does the epoch again, and the line goes. What
    // can't be logged is saved nevertheless.
    const int log_error = files_.add_to_log(entry);
    learner.save(trainer, r.best);
    if (log_error != 0) fail_to_write(files_.paths().log, log_error);
    validation = fmt::format("  validation {:.2f} mm", r.validation);
    progress.line(json
                      ? entry.dump()
                      : fmt::format("{}  epoch {:>3}/{}  loss {:.5f}  validation {:.2f} mm{}  lr "
                                    "{:.2e}  {:.0f} seq/s  {}",
                                    learner.label, r.epoch + 1, flags_.epochs, r.loss, r.validation,
                                    r.best ? " *" : "  ", r.lr, rate, duration(r.seconds)));
  };
  hooks.stop = [] { return stop_signal != 0; };
  auto saved = std::chrono::steady_clock::now();
  if (flags_.checkpoint_minutes > 0) {
    hooks.pause = [&] {
      const std::chrono::duration<double> since = std::chrono::steady_clock::now() - saved;
      return ranks().writes() && since.count() >= 60 * flags_.checkpoint_minutes;
    };
    hooks.on_pause = [&] {
      learner.save(trainer, false);
      saved = std::chrono::steady_clock::now();
    };
  }
  const TrainOutcome outcome = trainer.run(hooks);
  if (outcome == TrainOutcome::interrupted) {
    learner.save(trainer, false);
    const std::string text =
        fmt::format("{}  stopped in epoch {} after {} steps; continue with --resume", learner.label,
                    trainer.state().epoch + 1, trainer.state().step);
    if (json) {
      fmt::print(stderr, "posetape: {}\n", text);
    } else {
      progress.line(text);
    }
  }
  if (const GradientShards* shards = trainer.shards(); shards != nullptr && !ranks().alone()) {
    flags_.say(
        "{}  a step sent {} bytes to other ranks (by the formula {}), waited {:.2f} s in all\n",
        learner.label, shards->bytes_sent(), trainer.bytes_a_step(), ranks().seconds_waited());
  }
  if (flags_.plot && !json) progress.line(plot_of_log(files_.paths().log, learner.label));
  if (outcome == TrainOutcome::interrupted) {
    // It may have reached one rank alone.
    throw Exit{exit_code(std::ranges::max(ranks().gather(static_cast<int>(stop_signal))))};
  }
  if (trainer.state().best_epoch < 0) {
    fail("{}: no epoch of {} had a finite validation; train again with a lower learning rate",
         files_.paths().last, learner.label);
  }
  if (!refines_) return;
  const double base = data::base_mpjpe(dataset_, parts_.validation);
  const double refined = trainer.state().best_validation;
  flags_.say("{}  validation of epoch {}: {}\n", learner.label, trainer.state().best_epoch + 1,
             gain_text(base, refined));
  warn_if_worse(
      files_.paths().output, base, refined,
      fmt::format("of people that it did not train on, so don't use it: {}", learner.if_worse));
}

std::string joined(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace posetape::tools
