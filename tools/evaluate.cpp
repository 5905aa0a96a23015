// posetape evaluate: how far the poses of a file are from the truth, before and after refinement.
#include <fmt/format.h>

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
  std::string format = "text";
  std::string output;
  std::string json;
  std::string subjects = "test";
  std::string protocol = "sequence";
  int frames = 0;
};

std::vector<int> chosen_sequences(const data::Dataset& dataset, const std::string& subjects) {
  if (subjects == "all" || dataset.test_subjects.empty()) return data::all_sequences(dataset);
  return subjects == "train" ? data::train_sequences(dataset) : data::test_sequences(dataset);
}

// T of the windows: as asked for, else as the file says.
int window_frames(const Options& options, const nlohmann::ordered_json& made) {
  if (options.frames > 0 || made.is_null()) return options.frames;
  const auto found = made.find("window_frames");
  return found != made.end() && found->is_number_integer() ? found->get<int>() : 0;
}

// Whether the sequences have refined poses; all or none must.
bool is_refined(const data::Dataset& dataset, const std::vector<int>& sequences) {
  const data::Sequence* with = nullptr;
  const data::Sequence* without = nullptr;
  for (const int i : sequences) {
    const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(i)];
    (s.refined_3d ? with : without) = &s;
  }
  if (with != nullptr && without != nullptr) {
    fail("sequence '{}' has no 'refined_3d', '{}' has; refine all of them", without->name,
         with->name);
  }
  return with != nullptr;
}

data::Comparison compare_dataset(const std::string& path, const std::string& name,
                                 const Options& options) {
  const data::Protocol protocol = data::protocol_named(options.protocol);
  const data::Dataset dataset = data::read_dataset(path);
  const std::vector<int> sequences = chosen_sequences(dataset, options.subjects);
  data::Comparison comparison;
  comparison.name = name;
  comparison.base_made = data::made(dataset, "noisy_3d");
  const int frames = window_frames(options, comparison.base_made);
  comparison.scoring = data::scoring(protocol, frames);
  comparison.base = data::evaluate(dataset, sequences, &data::Sequence::noisy_3d, protocol, frames);
  if (is_refined(dataset, sequences)) {
    comparison.refined_made = data::made(dataset, "refined_3d");
    comparison.refined =
        data::evaluate(dataset, sequences, &data::Sequence::refined_3d, protocol, frames);
  }
  comparison.bootstrap =
      data::bootstrap(comparison.base, comparison.refined ? *comparison.refined : comparison.base,
                      options.common.seed);
  return comparison;
}

// The same; what is wrong with a dataset is said with its path.
data::Comparison compare(const std::string& path, const std::string& name, const Options& options) {
  try {
    return compare_dataset(path, name, options);
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.starts_with(path)) throw;
    fail("{}: {}", path, message);
  }
}

// Several files, each with its own refined poses of the same base.
std::vector<data::Comparison> compare_all(const Options& options) {
  std::vector<data::Comparison> comparisons;
  for (const std::string& path : options.inputs) {
    const bool one = options.inputs.size() == 1;
    data::Comparison c =
        compare(path, one ? "refined" : std::filesystem::path(path).stem().string(), options);
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
