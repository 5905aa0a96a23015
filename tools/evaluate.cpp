// posetape evaluate: how far the poses of a file are from the truth, before and after refinement.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "data/report_table.hpp"
#include "data/windows.hpp"
#include "engine/atomic_file.hpp"
#include "engine/error.hpp"
#include "tools/commands.hpp"

namespace posetape::tools {
namespace {

struct Options {
  Common common;
  std::vector<std::string> inputs;
  std::string json;
  std::string subjects = "test";
};

std::vector<int> chosen_sequences(const data::Dataset& dataset, const std::string& subjects) {
  if (subjects == "all" || dataset.test_subjects.empty()) return data::all_sequences(dataset);
  return subjects == "train" ? data::train_sequences(dataset) : data::test_sequences(dataset);
}

data::Comparison compare(const std::string& path, const Options& options) {
  const data::Dataset dataset = data::read_dataset(path);
  const std::vector<int> sequences = chosen_sequences(dataset, options.subjects);
  data::Comparison comparison;
  comparison.base = data::evaluate(dataset, sequences, &data::Sequence::noisy_3d);
  const bool refined = std::all_of(sequences.begin(), sequences.end(), [&](int i) {
    return dataset.sequences[static_cast<std::size_t>(i)].refined_3d.has_value();
  });
  if (refined) {
    comparison.refined = data::evaluate(dataset, sequences, &data::Sequence::refined_3d);
    comparison.gains =
        data::bootstrap_gains(comparison.base, *comparison.refined, options.common.seed);
  }
  return comparison;
}

// One Markdown row: figures, and their change against the base in percent with its 95 % interval.
std::string row(const std::string& name, const data::Scores& scores, const data::Scores& base,
                const data::Gains* gains) {
  const auto change = [&](double value, double from, const data::Interval* interval) {
    if (interval == nullptr) return fmt::format("{:.2f}", value);
    return fmt::format("{:.2f} ({:+.1f} %, {:+.1f} … {:+.1f})", value, 100 * (value / from - 1),
                       -interval->high, -interval->low);
  };
  return fmt::format("| {} | {} | {} | {:.2f} | {:.2f} |\n", name,
                     change(scores.mpjpe, base.mpjpe, gains ? &gains->mpjpe : nullptr),
                     change(scores.p_mpjpe, base.p_mpjpe, gains ? &gains->p_mpjpe : nullptr),
                     scores.mpjve, scores.acceleration);
}

// Several files, each with its own refined poses of the same base: one row a file.
std::string summary(const Options& options, nlohmann::ordered_json& json) {
  std::string text =
      "| poses | MPJPE (mm) | P-MPJPE (mm) | MPJVE (mm/frame) | acceleration (mm/frame²) |\n"
      "| --- | --- | --- | --- | --- |\n";
  bool first = true;
  for (const std::string& path : options.inputs) {
    const data::Comparison c = compare(path, options);
    if (!c.refined) fail("{}: has no refined_3d to compare; make it with `posetape refine`", path);
    if (first) text += row("base", c.base.average, c.base.average, nullptr);
    first = false;
    const std::string name = std::filesystem::path(path).stem().string();
    text += row(name, c.refined->average, c.base.average, &*c.gains);
    json[name] = data::json_report(c);
  }
  return text;
}

void run(const Options& options) {
  options.common.apply();
  nlohmann::ordered_json json;
  if (options.inputs.size() == 1) {
    const data::Comparison comparison = compare(options.inputs[0], options);
    fmt::print("{}", data::text_report(comparison));
    json = data::json_report(comparison);
  } else {
    fmt::print("{}", summary(options, json));
  }
  if (!options.json.empty()) {
    write_file(options.json, json.dump(2) + "\n");
    fmt::print("wrote {}\n", options.json);
  }
}

}  // namespace

void add_evaluate(CLI::App& app) {
  CLI::App* command = app.add_subcommand("evaluate", "Errors of a file's poses, per action");
  auto options = std::make_shared<Options>();
  options->common.add_to(*command);
  command
      ->add_option("input", options->inputs,
                   "Datasets (.npz) with noisy_3d and pose_3d; several give one row each")
      ->required();
  command->add_option("--json", options->json, "Write the figures to this file too");
  command->add_option("--subjects", options->subjects, "Whose sequences: test, train or all")
      ->check(CLI::IsMember({"test", "train", "all"}))
      ->capture_default_str();
  command->footer("Example: posetape evaluate refined.npz --json scores.json");
  command->callback([options] { run(*options); });
}

}  // namespace posetape::tools
