// posetape convert: lifters' weights from PyTorch's checkpoints, and back; networks to ONNX.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string_view>

#include "data/file_kind.hpp"
#include "data/printable.hpp"
#include "data/torch_file.hpp"
#include "data/view.hpp"
#include "diffusion/refiner.hpp"
#include "diffusion/sequences.hpp"
#include "engine/atomic_file.hpp"
#include "engine/ops.hpp"
#include "model/checkpoint.hpp"
#include "model/pytorch_weights.hpp"
#include "tools/commands.hpp"
#include "tools/files.hpp"
#include "tools/guards.hpp"
#include "tools/onnx.hpp"

namespace posetape::tools {
namespace {

enum class Format { safetensors, onnx };
constexpr auto choices(Format) {
  return make_choices<Format>("format", {{Format::safetensors, "safetensors", "weights"},
                                         {Format::onnx, "onnx", "the network as it runs"}});
}

struct Options {
  Common common;
  std::string input, output, weights;
  std::optional<std::string> lifter;
  std::optional<int> frames, step, steps, batch;
  std::optional<Index> heads;
  std::optional<Format> format;  // without it, what the output's name says
  bool denoiser = false;
};

// Refuses those of the named options that are given.
void refuse(const Options& options, std::initializer_list<std::string_view> names,
            const std::string& why) {
  const std::pair<std::string_view, bool> given[] = {{"frames", options.frames.has_value()},
                                                     {"step", options.step.has_value()},
                                                     {"heads", options.heads.has_value()},
                                                     {"weights", !options.weights.empty()},
                                                     {"lifter", options.lifter.has_value()}};
  for (const auto& [name, is_given] : given) {
    if (is_given && std::ranges::find(names, name) != names.end()) {
      fail("--{}: {}; leave it out", name, why);
    }
  }
}

// What weights under PyTorch's names say of how they were used, where they were ours.
constexpr const char* kFrames = "frames";
constexpr const char* kStep = "step";

// How clips were given in training, and what they were like.
void keep_training(const TensorFile& from, TensorFile& to) {
  for (const char* key : {data::kConvention, kDomain}) {
    const auto said = from.metadata.find(key);
    if (said != from.metadata.end()) to.metadata[key] = said->second;
  }
}

std::optional<int> number_of(const TensorFile& file, const char* key, int least, int most) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) return {};
  int value = 0;
  const std::string& text = found->second;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = code == std::errc() && end == text.data() + text.size();
  return whole && value >= least && value <= most ? std::optional(value) : std::nullopt;
}

// "a, b, c and 12 more"
std::string listed(const std::vector<std::string>& names, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < std::min(most, names.size()); ++i) {
    text += (i > 0 ? ", " : "") + names[i];
  }
  if (names.size() > most) text += fmt::format(" and {} more", names.size() - most);
  return text;
}

void print_names(const std::string& what, const std::vector<std::string>& names) {
  for (const std::string& name : names) fmt::print("  {}: {}\n", what, name);
}

Index count(const ParameterList& parameters) {
  Index total = 0;
  for (const auto& entry : parameters.entries()) total += entry.value.size();
  return total;
}

// What of each network with released weights, in words: "a nor b".
std::string listed_networks(const char* between,
                            const std::function<std::string(const model::NetworkRule&)>& what) {
  std::string text;
  for (const model::NetworkRule* rule : model::networks()) {
    if (rule->pytorch != nullptr) text += (text.empty() ? "" : between) + what(*rule);
  }
  return text;
}

// ---- Which of a file's tensors are the network's ----

// Tensors under names: the dicts of a checkpoint of PyTorch, or a safetensors file as one dict.
class Source {
 public:
  explicit Source(const std::string& path) {
    constexpr const char* kWanted = "a checkpoint of PyTorch or a lifter";
    if (data::is_torch_file(path)) {  // or an archive of another kind
      data::expect_kind(path, {data::FileKind::torch, data::FileKind::zip}, kWanted);
      torch_.emplace(path);
      return;
    }
    if (const std::string kind = data::foreign_kind(path); !kind.empty()) {
      fail("{}: is {}", path, kind);
    }
    data::expect_kind(path, {data::FileKind::safetensors}, kWanted);
    file_ = read_foreign_safetensors(path, others_);
    dicts_.emplace_back();
    for (const auto& [name, tensor] : file_.tensors) dicts_[0].names.push_back(name);
    for (const PassedOver& other : others_) dicts_[0].names.push_back(other.name);
  }

  const data::TorchFile* torch() const { return torch_ ? &*torch_ : nullptr; }
  const TensorFile& safetensors() const { return file_; }
  const std::vector<data::TorchFile::Dict>& dicts() const {
    return torch_ ? torch_->dicts() : dicts_;
  }
  TensorFile read(std::size_t dict, std::span<const std::string> names,
                  std::vector<PassedOver>& passed_over) const {
    if (torch_) return torch_->read(dict, names, passed_over);
    TensorFile some;
    for (const std::string& name : names) {
      if (file_.contains(name)) some.tensors.emplace_back(name, file_.at(name));
    }
    for (const PassedOver& other : others_) {
      if (std::ranges::find(names, other.name) != names.end()) passed_over.push_back(other);
    }
    return some;
  }

 private:
  std::optional<data::TorchFile> torch_;
  TensorFile file_;
  std::vector<PassedOver> others_;
  std::vector<data::TorchFile::Dict> dicts_;
};

// A network in a file: the tensors of a dict whose names begin with the prefix.
struct Found {
  std::size_t dict;
  std::string prefix;
  const model::NetworkRule* rule;
  std::string label;  // for --weights
};

std::vector<Found> networks_in(const Source& source) {
  std::vector<Found> all;
  for (std::size_t d = 0; d < source.dicts().size(); ++d) {
    const auto& dict = source.dicts()[d];
    for (const model::NetworkRule* rule : model::networks()) {
      if (rule->pytorch == nullptr) continue;
      for (const std::string& prefix : model::network_prefixes(dict.names, rule->pytorch->marker)) {
        const std::string_view dot = dict.path.empty() || prefix.empty() ? "" : ".";
        std::string label = fmt::format("{}{}{}", dict.path, dot, prefix);
        if (label.ends_with('.')) label.pop_back();
        all.push_back({d, prefix, rule, label.empty() ? "." : label});
      }
    }
  }
  return all;
}

// Weights that follow others slowly, and are kept beside them.
bool is_average(const Found& found) {
  std::string label = found.label;
  std::ranges::transform(label, label.begin(), [](unsigned char c) { return std::tolower(c); });
  constexpr std::array<std::string_view, 6> kWords{"ema",    "swa",     "averag",
                                                   "shadow", "teacher", "polyak"};
  return std::ranges::any_of(kWords,
                             [&](std::string_view word) { return label.find(word) != label.npos; });
}

[[noreturn]] void fail_for_want_of_weights(const Options& options, const Source& source) {
  constexpr std::string_view kSave = "torch.save(model.state_dict(), ...)";
  const data::TorchFile* torch = source.torch();
  if (torch != nullptr && !torch->module().empty()) {
    fail("{}: holds a whole module ({}), which only its own code can make; save its weights: {}",
         options.input, torch->module(), kSave);
  }
  if (torch != nullptr && torch->dicts().empty()) {
    fail("{}: has no weights under names, but {}; write it with {}", options.input,
         torch->contents(), kSave);
  }
  std::vector<std::string> names;
  for (const auto& dict : source.dicts()) {
    for (const std::string& name : dict.names) {
      const std::string shown = data::printable(name);
      names.push_back(dict.path.empty() ? shown : data::printable(dict.path) + ": " + shown);
    }
  }
  fail("{}: holds neither {}: no tensor is named {}, alone or after a prefix; it has {}",
       options.input,
       listed_networks(" nor ", [](const auto& rule) { return std::string(rule.title); }),
       listed_networks(" or ",
                       [](const auto& rule) { return fmt::format("'{}'", rule.pytorch->marker); }),
       listed(names, 6));
}

Found chosen(const Options& options, const std::vector<Found>& all) {
  std::vector<std::string> labels;
  for (const Found& found : all) labels.push_back(data::printable(found.label));
  if (!options.weights.empty()) {
    const auto found = std::ranges::find(all, options.weights, &Found::label);
    if (found != all.end()) return *found;
    fail("{}: has no weights '{}', but {}", options.input, options.weights, listed(labels, 20));
  }
  if (all.size() == 1) return all[0];
  // An average is what its owner chooses, not what is found beside the weights.
  const auto plain = std::ranges::find_if_not(all, is_average);
  if (std::ranges::count_if(all, is_average) != std::ssize(all) - 1) {
    fail("{}: has several sets of weights ({}); choose one with --weights NAME", options.input,
         listed(labels, 20));
  }
  std::erase(labels, data::printable(plain->label));
  fmt::print("  weights: {} (--weights takes another: {})\n", data::printable(plain->label),
             listed(labels, 20));
  return *plain;
}

struct Weights {
  TensorFile file;                      // under the names of the released code
  std::vector<PassedOver> passed_over;  // the network's too, of types that are not read
  std::vector<std::string> beside;      // what is in the dict and not of the network
};

Weights read_weights(const Options& options, const Source& source, const Found& found,
                     const std::vector<Found>& all) {
  Weights result;
  std::vector<std::string> names;
  for (const std::string& full : source.dicts()[found.dict].names) {
    const std::string name = model::unwrapped_name(full);
    // A network within a network, as an average kept by the module that it is of, is another.
    const bool inner = std::ranges::any_of(all, [&](const Found& other) {
      return other.dict == found.dict && other.prefix.size() > found.prefix.size() &&
             name.starts_with(other.prefix);
    });
    const bool own = name.starts_with(found.prefix) && !inner;
    own ? names.push_back(full) : result.beside.push_back(data::printable(full));
  }
  result.file = source.read(found.dict, names, result.passed_over);
  std::map<std::string, std::string> seen;
  const auto rename = [&](std::string& name) {
    std::string plain = model::unwrapped_name(name).substr(found.prefix.size());
    const auto [other, fresh] = seen.emplace(plain, name);
    if (!fresh) {
      fail("{}: tensors '{}' and '{}' are both '{}'; save one of them", options.input,
           data::printable(other->second), data::printable(name), data::printable(plain));
    }
    name = std::move(plain);
  };
  for (auto& [name, tensor] : result.file.tensors) rename(name);
  for (PassedOver& other : result.passed_over) rename(other.name);
  return result;
}

// The sizes that the weights are for, and windows of as many frames as they are for, or as was
// chosen.
model::NetworkConfig config_of(const Options& options, const Found& found,
                               const TensorFile& weights, std::optional<int> frames) {
  model::NetworkConfig config = found.rule->pytorch->config(weights, options.heads, options.input);
  config.rule = found.rule;
  if (!found.rule->fixed_frames)
    config.frames = options.frames.value_or(frames.value_or(static_cast<int>(config.frames)));
  if (options.frames && *options.frames != config.frames) {
    fail("{}: its windows have {} frames, so --frames {} cannot be", options.input, config.frames,
         *options.frames);
  }
  return config;
}

// The weights of the released code become a lifter that knows every subject.
void import_weights(const Options& options, const Source& source,
                    const std::vector<Found>& networks) {
  refuse(options, {"lifter"}, "one comes of these weights, the full one");
  const Found found = chosen(options, networks);
  const Weights read = read_weights(options, source, found, networks);
  const TensorFile& weights = read.file;
  std::vector<std::string> left_out = read.beside;
  for (const PassedOver& other : read.passed_over) {
    left_out.push_back(fmt::format("{} ({})", data::printable(other.name), other.what));
  }
  const auto why = [&](const std::string& name) {
    const auto other = std::ranges::find(read.passed_over, name, &PassedOver::name);
    return other == read.passed_over.end() ? name : fmt::format("{} (is {})", name, other->what);
  };
  const model::NetworkConfig config = [&] {
    try {
      return config_of(options, found, weights, number_of(source.safetensors(), kFrames, 1, 10000));
    } catch (const Error& error) {
      if (left_out.empty()) throw;
      fail("{} (left out: {})", error.what(), listed(left_out, 5));
    }
  }();
  const std::string_view name = config.rule->name;
  const auto table = config.rule->pytorch->table(config);
  const std::string sizes = model::sizes_text(config);
  // Before memory is taken for what the file may only claim.
  model::WeightsReport report = model::check_weights(weights, table);
  std::ranges::transform(report.missing, report.missing.begin(), why);
  std::ranges::transform(report.extra, report.extra.begin(), data::printable);
  if (!report.fits()) {
    print_names("missing", report.missing);
    print_names("wrong shape", report.wrong);
    print_names("not of " + std::string(name), report.extra);
    print_names("NaN or infinite", report.not_finite);
  }
  if (!report.missing.empty() || !report.wrong.empty() || !report.extra.empty()) {
    fail("{}: {} tensors are missing, {} have a wrong shape and {} are not of {} ({})",
         options.input, report.missing.size(), report.wrong.size(), report.extra.size(), name,
         sizes);
  }
  if (!report.fits()) {
    fail("{}: {} tensors hold NaN or infinite numbers; convert a checkpoint from before that",
         options.input, report.not_finite.size());
  }
  const int step = options.step.value_or(number_of(source.safetensors(), kStep, 1, 1000)
                                             .value_or(config.rule->pytorch->step(config.frames)));
  const model::Network network = model::make_network(config, DType::f32, 0);
  const model::NetworkSet set{config, step, {{"full", {}, network}}};
  model::from_pytorch(weights, table, *network.parameters);
  TensorFile file;
  save(set, file);
  keep_training(source.safetensors(), file);
  write_safetensors(options.output, file);
  if (!left_out.empty()) fmt::print("  left out: {}\n", listed(left_out, 5));
  fmt::print(
      "wrote {}: {} tensors of {}, {} of {} parameters ({}), windows of {} frames, {} apart\n",
      shown(options.output), weights.tensors.size(), shown(options.input), name,
      count(*network.parameters), sizes, config.frames, step);
}

const model::NetworkSet::Member& chosen_lifter(const Options& options,
                                               const model::NetworkSet& set) {
  const std::string name = options.lifter.value_or("full");
  const auto lifter = std::ranges::find(set.members, name, &model::NetworkSet::Member::name);
  if (lifter == set.members.end()) {
    fail("{}: has no lifter '{}'; 'posetape info' lists those that it has", options.input, name);
  }
  return *lifter;
}

void export_weights(const Options& options, const TensorFile& source,
                    const model::NetworkSet& set) {
  refuse(options, {"frames", "step", "heads", "weights"},
         "PyTorch's weights are those of the lifter");
  const model::NetworkSet::Member& lifter = chosen_lifter(options, set);
  const model::NetworkRule& rule = *set.config.rule;
  const std::vector<model::WeightEntry> table = rule.pytorch->table(set.config);
  TensorFile file = model::to_pytorch(table, *lifter.network.parameters);
  // What the weights don't say, for the way back.
  keep_training(source, file);
  file.metadata[kFrames] = std::to_string(set.config.frames);
  file.metadata[kStep] = std::to_string(set.step);
  write_safetensors(options.output, file);
  std::string more;
  if (const Index numbers = table[0].shape[1]; numbers > 2) {
    more = fmt::format("; {} takes {} numbers a joint, where the released code has 2",
                       table[0].theirs, numbers);
  }
  fmt::print("wrote {}: {} tensors with the names of {}'s PyTorch code{}\n", shown(options.output),
             file.tensors.size(), rule.name, more);
}

// ---- ONNX ----

// The length of windows that the model is for.
Index onnx_frames(const Options& options, Index trained, bool fixed) {
  if (fixed && options.frames && *options.frames != trained) {
    fail("{}: its windows have {} frames, so --frames {} cannot be", options.input, trained,
         *options.frames);
  }
  return options.frames.value_or(static_cast<int>(trained));
}

constexpr const char* kPoses = "metres, relative to the root joint";
constexpr const char* kScreen = "screen coordinates, normalised as the metadata says";

OnnxInput onnx_input(const Options& options, const char* name, const char* what, Index frames,
                     Index channels) {
  const Shape shape{options.batch.value_or(1), frames, 17, channels};
  return {name, Tensor::zeros(shape, DType::f32), what};
}

// The network and its schedule, for a sampler of the user's.
std::string denoiser_to_onnx(const Options& options, const diffusion::Refiner& refiner,
                             Index frames, OnnxModel model) {
  const diffusion::RefinerConfig& config = refiner.config();
  const Tensor t = Tensor::zeros({options.batch.value_or(1)}, DType::i32);
  model.name = "denoiser";
  model.inputs = {onnx_input(options, "x_t", kPoses, frames, 3),
                  onnx_input(options, "pose_2d", kScreen, frames, config.network.screen),
                  {"t", t, "timestep, 0 to the last of alpha_bar"}};
  model.output = "error";
  const auto schedule = diffusion::make_schedule(config.schedule, config.steps);
  model.metadata["alpha_bar"] = nlohmann::json(schedule.alpha_bar).dump();
  return to_onnx(model, refiner.parameters(),
                 [&](std::span<const Tensor> in) { return refiner.error_at(in[0], in[1], in[2]); });
}

std::string refiner_to_onnx(const Options& options, const TensorFile& file, OnnxModel model) {
  const diffusion::Refiner refiner = diffusion::Refiner::load(file, options.input);
  if (options.steps && refiner.config().objective == diffusion::Objective::regression) {
    fail("--steps {}: {} is a regression, and has none; leave it out", *options.steps,
         options.input);
  }
  const Index frames = onnx_frames(options, refiner.config().frames, false);
  if (options.denoiser) return denoiser_to_onnx(options, refiner, frames, std::move(model));
  model.name = "refiner";
  model.inputs = {onnx_input(options, "noisy_3d", kPoses, frames, 3),
                  onnx_input(options, "pose_2d", kScreen, frames, refiner.config().network.screen)};
  model.output = "refined_3d";
  return to_onnx(model, refiner.parameters(), [&](std::span<const Tensor> in) {
    return refiner.refine(in[0], in[1], options.steps.value_or(2));
  });
}

// A lifter or a smoother, the root joint of whose poses is set to zero.
std::string network_to_onnx(const Options& options, const TensorFile& file, OnnxModel model) {
  const bool smoother = model::holds(file, model::Role::smoother);
  const model::NetworkSet set = model::load_networks(
      file, options.input, smoother ? model::Role::smoother : model::Role::lifter);
  const model::Network& network =
      smoother ? set.members[0].network : chosen_lifter(options, set).network;
  const Index frames = onnx_frames(options, set.config.frames, set.config.rule->fixed_frames);
  model.name = set.config.rule->name;
  const std::vector<data::Field> fields = diffusion::fields_of(set.config);
  const std::vector<Index> channels = model::input_channels(set.config);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const bool poses = fields[i] == data::Field::noisy;
    model.inputs.push_back(onnx_input(options, poses ? "noisy_3d" : "pose_2d",
                                      poses ? kPoses : kScreen, frames, channels[i]));
  }
  // An output has a name of its own.
  model.output = smoother || fields.size() > 1 ? "refined_3d" : "noisy_3d";
  std::vector<double> not_root(17, 1.0);
  not_root[0] = 0;
  const Tensor mask = Tensor::of({17, 1}, not_root, DType::f32);
  return to_onnx(model, *network.parameters,
                 [&](std::span<const Tensor> in) { return mul(network.forward(in), mask); });
}

void export_onnx(const Options& options, const TensorFile& file) {
  const bool lifter = model::holds(file, model::Role::lifter);
  const bool refiner = !lifter && !model::holds(file, model::Role::smoother);
  refuse(options, {"step", "heads", "weights"}, "the checkpoint says it");
  if (!lifter) refuse(options, {"lifter"}, options.input + " has none");
  if (options.steps && !refiner) {
    fail("--steps {}: {} is no refiner, and has none; leave it out", *options.steps, options.input);
  }
  if (options.denoiser && !refiner) fail("--denoiser: {} is no refiner", options.input);
  if (options.denoiser && options.steps) fail("--denoiser: one pass; leave --steps out");
  OnnxModel model;
  model.output_is = kPoses;
  // How clips are to be given: the same as in the checkpoint.
  for (const auto& [key, value] : file.metadata) {
    if (key == "format" || key == "config" || key == data::kConvention) model.metadata[key] = value;
  }
  const std::string content = refiner ? refiner_to_onnx(options, file, std::move(model))
                                      : network_to_onnx(options, file, std::move(model));
  write_file(options.output, content);
  fmt::print("wrote {}: {} bytes of ONNX\n", shown(options.output), content.size());
}

void run(const Options& options) {
  options.common.apply();
  const bool onnx =
      options.format ? *options.format == Format::onnx : options.output.ends_with(".onnx");
  if (!onnx && (options.steps || options.batch || options.denoiser)) {
    const char* name = options.steps ? "steps" : options.batch ? "batch" : "denoiser";
    fail("--{}: is for ONNX; give --format onnx, too, or leave it out", name);
  }
  const Source source(options.input);
  const auto& metadata = source.safetensors().metadata;
  if (const auto format = metadata.find("format");
      format != metadata.end() && format->second.starts_with("posetape")) {
    if (onnx) return export_onnx(options, source.safetensors());
    const model::NetworkSet set =
        model::load_networks(source.safetensors(), options.input, model::Role::lifter);
    return export_weights(options, source.safetensors(), set);
  }
  if (onnx) {
    fail("{}: has weights of PyTorch's; convert them to a lifter (.safetensors) first",
         options.input);
  }
  const std::vector<Found> networks = networks_in(source);
  if (networks.empty()) fail_for_want_of_weights(options, source);
  import_weights(options, source, networks);
}

}  // namespace

void add_convert(const Command& app) {
  const Command command = app.add_command(
      "convert",
      "Weights of " +
          listed_networks(" or ", [](const auto& rule) { return std::string(rule.title); }) +
          " from PyTorch to a lifter, and a lifter's to PyTorch's names; any network to "
          "ONNX");
  auto options = std::make_shared<Options>();
  options->common.add_to(command);
  add_input(command, "input", options->input,
            "Checkpoint of PyTorch (.pth) or safetensors of either kind; no code in it is run")
      .required();
  add_output(command, "-o,--output", options->output, "File to write (.safetensors or .onnx)")
      .required();
  add_choice(command, "--format", options->format,
             "Format of the output (default: what its name says)");
  command
      .add_option("--frames", options->frames,
                  "Length of windows, where the weights are for any (default: as trained, else as "
                  "released)")
      .range(1, 10000);
  command
      .add_option("--step", options->step,
                  "Frames from one frame of a window to the next (default: as trained, else as "
                  "released)")
      .range(1, 1000);
  command
      .add_option("--heads", options->heads,
                  "Attention heads, where the weights do not tell (default: as released)")
      .range(1, 1000);
  command
      .add_option("--steps", options->steps,
                  "K, denoising steps of a refiner that goes to ONNX (default: 2)")
      .range(1, 100000);
  command.add_flag("--denoiser", options->denoiser,
                   "A refiner's network alone goes to ONNX: the error at a state x_t and its t");
  command.add_option("--batch", options->batch, "Windows at a time in ONNX (default: 1)")
      .range(1, 100000);
  command.add_option("--weights", options->weights,
                     "Which weights of a checkpoint that has several, by their name in it");
  command.add_option("--lifter", options->lifter,
                     "Which lifter goes to PyTorch or ONNX: full, fold1, ... (default: full)");
  command.footer(
      "Example: posetape convert no_refine_6_4172.pth -o lifter.safetensors --frames 81");
  command.runs([options] { run(*options); });
}

}  // namespace posetape::tools
