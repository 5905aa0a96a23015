// posetape convert: lifters' weights from PyTorch's checkpoints, and back.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "data/torch_file.hpp"
#include "model/mixste_pytorch.hpp"
#include "model/stcformer_pytorch.hpp"
#include "tools/commands.hpp"
#include "tools/lifters.hpp"

namespace posetape::tools {
namespace {

struct Options {
  Common common;
  std::string input, output, lifter = "full";
  std::optional<int> frames, step;
  std::optional<Index> heads;
};

void print_names(const std::string& what, const std::vector<std::string>& names) {
  for (const std::string& name : names) fmt::print("  {}: {}\n", what, name);
}

Index count(const ParameterList& parameters) {
  Index total = 0;
  for (const auto& entry : parameters.entries()) total += entry.value.size();
  return total;
}

std::vector<model::WeightEntry> table_of(const model::LifterConfig& config) {
  return std::visit([](const auto& c) { return model::pytorch_table(c); }, config);
}

model::LifterConfig config_of(const Options& options, const TensorFile& weights) {
  if (model::is_stcformer_state(weights)) {
    if (options.heads) fail("{}: STCFormer's heads follow from its weights", options.input);
    return model::stcformer_config(weights, options.input);
  }
  if (model::is_mixste_state(weights)) {
    return model::mixste_config(weights, options.heads.value_or(8), options.input);
  }
  fail(
      "{}: holds neither STCFormer nor MixSTE: it has no tensor 'pose_emb.weight' or "
      "'Spatial_pos_embed'",
      options.input);
}

// Windows of this many frames: what MixSTE's weights are for, what is chosen for STCFormer's.
int frames_of(const Options& options, const model::LifterConfig& config) {
  const auto* mixste = std::get_if<model::MixsteConfig>(&config);
  if (mixste == nullptr) return options.frames.value_or(81);
  const int frames = static_cast<int>(mixste->frames);
  if (options.frames && *options.frames != frames) {
    fail("{}: its windows have {} frames, so --frames {} cannot be", options.input, frames,
         *options.frames);
  }
  return frames;
}

// From one frame of a window to the next, as the networks were released.
int released_step(const model::LifterConfig& config, int frames) {
  if (!std::holds_alternative<model::StcformerConfig>(config)) return 1;
  return frames == 27 || frames == 81 ? 3 : frames == 243 ? 2 : 1;
}

// The weights of the released code become a lifter that knows every subject.
void import_weights(const Options& options, const TensorFile& weights) {
  const model::LifterConfig config = config_of(options, weights);
  const std::string_view name = model::lifter_name(config);
  const auto table = table_of(config);
  const auto sizes = std::visit(
      [](const auto& c) {
        return fmt::format("{} wide, {} blocks, {} heads", c.width, c.depth, c.heads);
      },
      config);
  // Before memory is taken for what the file may only claim.
  const model::WeightsReport report = model::check_weights(weights, table);
  if (!report.fits()) {
    print_names("missing", report.missing);
    print_names("wrong shape", report.wrong);
    print_names("not of " + std::string(name), report.extra);
    fail("{}: {} tensors are missing, {} have a wrong shape and {} are not of {} ({})",
         options.input, report.missing.size(), report.wrong.size(), report.extra.size(), name,
         sizes);
  }
  const int frames = frames_of(options, config);
  LifterSet set{config, frames, options.step.value_or(released_step(config, frames)), {}};
  set.lifters.push_back({"full", {}, model::LifterNetwork(config, DType::f32, 0)});
  model::from_pytorch(weights, table, set.lifters[0].network.parameters());
  TensorFile file;
  save(set, file);
  write_safetensors(options.output, file);
  fmt::print(
      "wrote {}: {} tensors of {}, {} of {} parameters ({}), windows of {} frames, {} apart\n",
      options.output, weights.tensors.size(), options.input, name,
      count(set.lifters[0].network.parameters()), sizes, set.frames, set.step);
}

void export_weights(const Options& options, const LifterSet& set) {
  const auto lifter = std::ranges::find(set.lifters, options.lifter, &Lifter::name);
  if (lifter == set.lifters.end()) {
    fail("{}: has no lifter '{}'; 'posetape info' lists those that it has", options.input,
         options.lifter);
  }
  const TensorFile file = model::to_pytorch(table_of(set.config), lifter->network.parameters());
  write_safetensors(options.output, file);
  fmt::print("wrote {}: {} tensors with the names of {}'s PyTorch code\n", options.output,
             file.tensors.size(), model::lifter_name(set.config));
}

void run(const Options& options) {
  options.common.apply();
  if (data::is_torch_file(options.input)) {
    return import_weights(options, data::read_torch(options.input));
  }
  const TensorFile file = read_safetensors(options.input);
  if (model::is_stcformer_state(file) || model::is_mixste_state(file)) {
    return import_weights(options, file);
  }
  export_weights(options, load_lifters(file, options.input));
}

}  // namespace

void add_convert(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "convert",
      "Weights of STCFormer or MixSTE from PyTorch to a lifter, and a lifter's to PyTorch's names");
  auto options = std::make_shared<Options>();
  options->common.add_to(*command);
  command
      ->add_option(
          "input", options->input,
          "Checkpoint of PyTorch (.pth) or safetensors of either kind; no code in it is run")
      ->required();
  command->add_option("-o,--output", options->output, "File to write (.safetensors)")->required();
  command
      ->add_option("--frames", options->frames,
                   "Length of windows that STCFormer from PyTorch is for (default: 81); MixSTE's "
                   "follows from its weights")
      ->check(CLI::Range(1, 10000));
  command
      ->add_option("--step", options->step,
                   "Frames from one frame of a window to the next (default: as released, which is "
                   "3 for STCFormer of 27 or 81 frames, 2 of 243, else 1)")
      ->check(CLI::Range(1, 1000));
  command
      ->add_option("--heads", options->heads,
                   "Attention heads of MixSTE from PyTorch, which its weights do not tell "
                   "(default: 8)")
      ->check(CLI::Range(1, 1000));
  command->add_option("--lifter", options->lifter, "Which lifter goes to PyTorch: full, fold1, ...")
      ->capture_default_str();
  command->footer(
      "Example: posetape convert no_refine_6_4172.pth -o lifter.safetensors --frames 81");
  command->callback([options] { run(*options); });
}

}  // namespace posetape::tools
