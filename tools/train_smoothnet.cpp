// posetape train smoothnet: the smoother that a refiner is compared with.
#include "tools/train_smoothnet.hpp"

#include <fmt/format.h>

#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/replay.hpp"
#include "kernels/cpu/parallel.hpp"
#include "tools/batches.hpp"
#include "tools/commands.hpp"
#include "tools/input.hpp"
#include "tools/training.hpp"

namespace posetape::tools {
namespace {

using model::Smoothnet;
using model::SmoothnetConfig;

constexpr const char* kFormat = "posetape smoothnet 1";

struct Options {
  Common common;
  TrainFlags flags;
  SmoothnetConfig config;
};

std::string to_json(const SmoothnetConfig& c) {
  return nlohmann::ordered_json{
      {"frames", c.frames}, {"width", c.width}, {"hidden", c.hidden}, {"depth", c.depth}}
      .dump();
}

void save(const Smoothnet& network, TensorFile& file) {
  file.metadata["format"] = kFormat;
  file.metadata["config"] = to_json(network.config());
  for (const auto& entry : network.parameters().entries()) {
    file.tensors.emplace_back(entry.name, entry.master);
  }
}

// The options that change a step's result, for --resume.
Settings settings(const Options& options, const data::Dataset& dataset, const Split& parts) {
  const std::array fields{Field::truth, Field::noisy};
  Settings all = options.flags.settings("smoothnet", options.common.seed, dataset, parts, fields);
  all.update({{"--width", options.config.width},
              {"--hidden", options.config.hidden},
              {"--depth", options.config.depth}});
  return all;
}

void run(Options options) {
  options.common.apply();
  catch_interrupts();
  const TrainFlags& flags = options.flags;
  const std::uint64_t seed = options.common.seed;
  const Device device = options.common.device;
  if (flags.frames < 3) {
    fail("--frames {}: the loss has accelerations, which need 3 frames at least", flags.frames);
  }
  options.config.frames = flags.frames;

  TrainingFiles files(flags.paths());
  const data::Dataset dataset = read_input(flags.input, flags.drop_invalid);
  const Split parts = split(dataset, flags.validation_subjects, flags.input);
  check_refinable(dataset, parts, flags.input);

  std::optional<Smoothnet> network;
  const TensorFile* resumed =
      files.begin(flags.resume, settings(options, dataset, parts), {"smoothnet"});
  if (resumed != nullptr) {
    network.emplace(load_smoothnet(*resumed, flags.last_path(), flags.precision, device));
    if (to_json(network->config()) != to_json(options.config)) {
      fail("{}: was started with {}; resume with the same options", flags.last_path(),
           to_json(network->config()));
    }
  } else {
    network.emplace(options.config, flags.precision, seed, device);
  }
  EpochBatches batches(dataset, parts.train, flags.frames, flags.batch, flags.flip, seed);
  const int steps = batches.steps();
  Trainer trainer(network->parameters(), flags.options(steps));
  if (resumed != nullptr) trainer.load(*resumed, flags.last_path());
  flags.say(
      "smoothnet: {} parameters, {} frames, {} threads; trains on {} ({} sequences), validates "
      "on {}\n",
      network->parameters().size(), flags.frames, threads(), joined(parts.train_subjects),
      parts.train.size(), joined(parts.validation_subjects));

  Trainer::Hooks hooks;
  hooks.batch = [&](int epoch, int step) {
    const auto [windows, flips] = batches.at(epoch, step);
    return Trainer::Batch{{gather(dataset, windows, flips, flags.frames, Field::noisy),
                           gather(dataset, windows, flips, flags.frames, Field::truth)}};
  };
  hooks.loss = [&](std::span<const Tensor> in, int) {
    return model::smoothnet_loss((*network)(in[0]), in[1]);
  };
  Replay smooth(device, [&](std::span<const Tensor> in, int) { return (*network)(in[0]); });
  hooks.validate = [&] {
    const auto poses =
        predict(dataset, parts.validation, disjoint(flags.frames, flags.batch),
                [&](std::span<const data::Window> w) {
                  return smooth({{gather(dataset, w, {}, flags.frames, Field::noisy)}});
                });
    return mpjpe_mm(dataset, parts.validation, poses);
  };
  const auto save_files = [&](bool best) {
    TensorFile file;
    save(*network, file);
    TensorFile last = file;
    trainer.save(last);
    files.save_last(std::move(last));
    if (best) write_safetensors(flags.output, file);
  };
  restore_best(flags, trainer.state(), save_files);
  run_training(trainer, "smoothnet", steps, flags, files, hooks, save_files);
  flags.say("wrote {}\n", flags.output);
}

}  // namespace

bool is_smoothnet(const TensorFile& file) {
  const auto format = file.metadata.find("format");
  return format != file.metadata.end() && format->second.starts_with("posetape smoothnet");
}

Smoothnet load_smoothnet(const TensorFile& file, const std::string& path, DType dtype,
                         Device device) {
  const auto format = file.metadata.find("format");
  const std::string found = format == file.metadata.end() ? "none" : format->second;
  if (found != kFormat) {
    fail("{}: its format is \"{}\"; this one reads \"{}\"", path, found, kFormat);
  }
  SmoothnetConfig config;
  try {
    const auto j = nlohmann::json::parse(file.metadata.at("config"));
    config = {j.at("frames").get<Index>(), j.at("width").get<Index>(), j.at("hidden").get<Index>(),
              j.at("depth").get<Index>()};
  } catch (const std::exception& error) {
    fail("{}: SmoothNet's configuration is not readable ({}); was it written by another version?",
         path, error.what());
  }
  file.check_finite(path);
  Smoothnet network(config, dtype, 0, device);
  network.parameters().load(
      [&](const std::string& name) { return file.contains(name) ? file.at(name) : Tensor(); },
      path);
  return network;
}

void add_train_smoothnet(CLI::App& train) {
  CLI::App* command = train.add_subcommand(
      "smoothnet", "Train SmoothNet, a smoother to compare the refiner with, on lifted sequences");
  auto options = std::make_shared<Options>();
  options->flags.frames = static_cast<int>(options->config.frames);
  options->flags.flip = false;
  options->common.add_to(*command);
  options->flags.add_to(*command);
  command->add_option("--width", options->config.width, "Channels")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--hidden", options->config.hidden, "Channels inside a residual pair")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--depth", options->config.depth, "Residual pairs")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->footer(
      "Example: posetape train smoothnet lifted.npz -o smoothnet.safetensors\n"
      "Then: posetape refine smoothnet.safetensors lifted.npz -o smoothed.npz --stride 1");
  command->callback([options] { run(*options); });
}

}  // namespace posetape::tools
