// posetape evaluate: how far the poses of a file are from the truth, before and after refinement.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "data/report_table.hpp"
#include "engine/atomic_file.hpp"
#include "engine/error.hpp"
#include "tools/commands.hpp"
#include "tools/comparison.hpp"

namespace posetape::tools {
namespace {

struct Options {
  Common common;
  std::vector<std::string> inputs;
  std::string format = "text";
  std::string output;
  std::string json;
  std::string subjects = "test";
  std::string protocol = "sequence";
  int frames = 0;
};

// Several files, each with its own refined poses of the same base.
std::vector<data::Comparison> compare_all(const Options& options) {
  std::vector<data::Comparison> comparisons;
  for (const std::string& path : options.inputs) {
    const bool one = options.inputs.size() == 1;
    const data::Dataset dataset = data::read_dataset(path);
    data::Comparison c = compare(dataset, path, chosen_sequences(dataset, options.subjects),
                                 {options.protocol, options.frames, options.common.seed});
    c.name = one ? "refined" : std::filesystem::path(path).stem().string();
    if (!one && !c.refined) {
      fail("{}: has no 'refined_3d' to compare; make it with `posetape refine`", path);
    }
    if (!comparisons.empty() && c.base.poses != comparisons[0].base.poses) {
      fail(
          "{}: its base estimates ('noisy_3d') are not those of {}; compare refinements of one "
          "base",
          path, options.inputs[0]);
    }
    comparisons.push_back(std::move(c));
  }
  return comparisons;
}

nlohmann::ordered_json json_of(const std::vector<data::Comparison>& comparisons) {
  if (comparisons.size() == 1) return data::json_report(comparisons[0]);
  nlohmann::ordered_json json;
  for (const data::Comparison& c : comparisons) json[c.name] = data::json_report(c);
  return json;
}

std::string report(const std::vector<data::Comparison>& comparisons, const std::string& format) {
  if (format == "json") return json_of(comparisons).dump(2) + '\n';
  if (format == "csv") return data::csv_report(comparisons);
  if (format == "markdown") return data::markdown_report(comparisons);
  return comparisons.size() == 1 ? data::text_report(comparisons[0]) : data::summary(comparisons);
}

void run(const Options& options) {
  options.common.apply();
  const std::vector<data::Comparison> comparisons = compare_all(options);
  const std::string text = report(comparisons, options.format);
  if (options.output.empty()) {
    fmt::print("{}", text);
  } else {
    write_file(options.output, text);
    fmt::print("wrote {}\n", options.output);
  }
  if (!options.json.empty()) {
    write_file(options.json, json_of(comparisons).dump(2) + "\n");
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
  command
      ->add_option("--protocol", options->protocol,
                   "How poses are scored: " + std::string(data::kProtocolNames) +
                       " (data/README.md explains them)")
      ->capture_default_str();
  command
      ->add_option(
          "--frames", options->frames,
          "Frames of a window, for a protocol that counts them (default: as the file says)")
      ->check(CLI::PositiveNumber);
  command->add_option("--format", options->format, "text, markdown, csv or json")
      ->check(CLI::IsMember({"text", "markdown", "csv", "json"}))
      ->capture_default_str();
  command->add_option("-o,--output", options->output, "Write the report to this file");
  command->add_option("--json", options->json, "Write the figures to this file too");
  command->add_option("--subjects", options->subjects, "Whose sequences: test, train or all")
      ->check(CLI::IsMember({"test", "train", "all"}))
      ->capture_default_str();
  command->footer("Example: posetape evaluate refined.npz --json scores.json");
  command->callback([options] { run(*options); });
}

}  // namespace posetape::tools
