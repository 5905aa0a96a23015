// posetape convert: STCFormer's weights from PyTorch's checkpoints to lifters, and back.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "data/torch_file.hpp"
#include "model/stcformer_pytorch.hpp"
#include "tools/commands.hpp"
#include "tools/lifters.hpp"

namespace posetape::tools {
namespace {

struct Options {
  Common common;
  std::string input, output, lifter = "full";
  int frames = 81;
};

void print_names(const char* what, const std::vector<std::string>& names) {
  for (const std::string& name : names) fmt::print("  {}: {}\n", what, name);
}

Index count(const ParameterList& parameters) {
  Index total = 0;
  for (const auto& entry : parameters.entries()) total += entry.value.size();
  return total;
}

// The weights of the released code become a lifter that knows every subject.
void import_weights(const Options& options, const TensorFile& weights) {
  const model::StcformerConfig config = model::stcformer_config(weights, options.input);
  LifterSet set{config, options.frames, {}};
  set.lifters.push_back({"full", {}, model::Stcformer(config, DType::f32, 0)});
  const model::WeightsReport report = model::from_pytorch(weights, set.lifters[0].network);
  if (!report.fits()) {
    print_names("missing", report.missing);
    print_names("wrong shape", report.wrong);
    print_names("not of STCFormer", report.extra);
    fail(
        "{}: {} tensors are missing, {} have a wrong shape and {} are not of STCFormer ({} wide, "
        "{} blocks)",
        options.input, report.missing.size(), report.wrong.size(), report.extra.size(),
        config.width, config.depth);
  }
  TensorFile file;
  save(set, file);
  write_safetensors(options.output, file);
  fmt::print(
      "wrote {}: {} tensors of {}, {} parameters ({} wide, {} blocks, {} heads), windows of "
      "{} frames\n",
      options.output, weights.tensors.size(), options.input,
      count(set.lifters[0].network.parameters()), config.width, config.depth, config.heads,
      options.frames);
}

void export_weights(const Options& options, const LifterSet& set) {
  const auto lifter = std::ranges::find(set.lifters, options.lifter, &Lifter::name);
  if (lifter == set.lifters.end()) {
    fail("{}: has no lifter '{}'; 'posetape info' lists those that it has", options.input,
         options.lifter);
  }
  const TensorFile file = model::to_pytorch(lifter->network);
  write_safetensors(options.output, file);
  fmt::print("wrote {}: {} tensors with the names of STCFormer's PyTorch code\n", options.output,
             file.tensors.size());
}

void run(const Options& options) {
  options.common.apply();
  if (data::is_torch_file(options.input)) {
    return import_weights(options, data::read_torch(options.input));
  }
  const TensorFile file = read_safetensors(options.input);
  if (model::is_stcformer_state(file)) return import_weights(options, file);
  export_weights(options, load_lifters(file, options.input));
}

}  // namespace

void add_convert(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "convert", "STCFormer's weights from PyTorch to a lifter, and a lifter's to PyTorch's names");
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
                   "Length of windows that a lifter from PyTorch is for")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command->add_option("--lifter", options->lifter, "Which lifter goes to PyTorch: full, fold1, ...")
      ->capture_default_str();
  command->footer(
      "Example: posetape convert no_refine_6_4172.pth -o lifter.safetensors --frames 81");
  command->callback([options] { run(*options); });
}

}  // namespace posetape::tools
