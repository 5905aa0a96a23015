// posetape report: one HTML page to look through poses, errors and what is inside a refiner.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "data/npz.hpp"
#include "engine/atomic_file.hpp"
#include "engine/error.hpp"
#include "tools/commands.hpp"
#include "tools/comparison.hpp"
#include "tools/input.hpp"
#include "tools/report/coding.hpp"
#include "tools/report/page.hpp"
#include "tools/report/poses.hpp"
#include "tools/report/training.hpp"

namespace posetape::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  Common common;
  std::vector<std::string> inputs;
  std::string output;
  std::string subjects = "test";
  std::string protocol = "sequence";
  report::PoseOptions poses;
  bool drop_invalid = false;
};

// Whether all of these sequences have what a score needs.
bool can_be_scored(const data::Dataset& dataset, const std::vector<int>& sequences) {
  return std::ranges::all_of(sequences, [&](int i) {
    const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(i)];
    return s.pose_3d && s.noisy_3d;
  });
}

void add_dataset(const Options& options, const std::string& path, Json& page) {
  if (page.contains("sequences")) {
    fail("{}: is the second dataset; a report shows one, so make one report of each", path);
  }
  const data::Dataset dataset = read_input(path, options.drop_invalid);
  const std::vector<int> chosen = chosen_sequences(dataset, options.subjects);
  if (chosen.empty()) {
    fail("{}: has no sequence of {} subjects; choose others with --subjects", path,
         options.subjects);
  }
  std::optional<data::Comparison> comparison;
  if (can_be_scored(dataset, chosen)) {
    comparison = compare(dataset, path, chosen, {options.protocol, 0, options.common.seed});
  }
  const std::vector<int> shown =
      report::shown_sequences(dataset, chosen, comparison, options.poses);
  page["sequences"] = report::poses_json(dataset, shown, comparison);
  page["left_out"] = chosen.size() - shown.size();
  if (!comparison) return;
  page["scores"] = data::json_report(*comparison);
  page["scores"]["base"].erase("sequences");
  if (comparison->refined) page["scores"]["refined"].erase("sequences");
}

void add_log(const std::string& path, Json& page) {
  for (Json& run : report::training_json(path)) page["training"].push_back(std::move(run));
}

void run(const Options& options) {
  options.common.apply();
  Json page{{"files", Json::array()},
            {"skeleton", report::skeleton_json()},
            {"units", {{"pose_m", report::kPoseUnit}, {"pixel", report::kPixelUnit}}},
            {"worst", options.poses.worst}};
  for (const std::string& path : options.inputs) {
    page["files"].push_back(std::filesystem::path(path).filename().string());
    if (path.ends_with(".jsonl")) {
      add_log(path, page);
    } else {
      add_dataset(options, path, page);
    }
  }
  const std::string text = report::kPageHead + report::script_text(page) + report::kPageTail;
  write_file(options.output, text);
  fmt::print("wrote {}: {:.2f} MB; open it in a browser\n", options.output,
             static_cast<double>(text.size()) / 1e6);
}

}  // namespace

void add_report(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("report", "One HTML page to look through poses and their errors");
  auto options = std::make_shared<Options>();
  options->common.add_to(*command);
  command
      ->add_option("inputs", options->inputs,
                   "In any order: a dataset (.npz), logs of training (.jsonl)")
      ->required();
  command->add_option("-o,--output", options->output, "Page to write (.html)")->required();
  command
      ->add_option("--sequences", options->poses.sequences,
                   "Show these sequences (default: those that refining changed most)")
      ->delimiter(',');
  command->add_flag("--worst", options->poses.worst,
                    "Show the sequences that refining made worst, the worst first");
  command->add_option("--limit", options->poses.limit, "Sequences to show at most")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--subjects", options->subjects, "Whose sequences: test, train or all")
      ->check(CLI::IsMember({"test", "train", "all"}))
      ->capture_default_str();
  command
      ->add_option("--protocol", options->protocol,
                   "How poses are scored: " + std::string(data::kProtocolNames))
      ->capture_default_str();
  command->add_flag("--drop-invalid", options->drop_invalid,
                    "Skip sequences with NaN or infinite poses instead of stopping");
  command->footer("Example: posetape report refined.npz refiner.log.jsonl -o report.html");
  command->callback([options] { run(*options); });
}

}  // namespace posetape::tools
