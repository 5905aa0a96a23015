// posetape report: one HTML page to look through poses, errors and what is inside a refiner.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "data/file_kind.hpp"
#include "data/windows.hpp"
#include "diffusion/refiner.hpp"
#include "engine/atomic_file.hpp"
#include "engine/error.hpp"
#include "tools/commands.hpp"
#include "tools/comparison.hpp"
#include "tools/files.hpp"
#include "tools/guards.hpp"
#include "tools/input.hpp"
#include "tools/report/encoding.hpp"
#include "tools/report/inspection.hpp"
#include "tools/report/noise.hpp"
#include "tools/report/page.hpp"
#include "tools/report/poses.hpp"
#include "tools/report/report.hpp"
#include "tools/report/training.hpp"
#include "tools/view_options.hpp"

namespace posetape::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  Common common;
  std::vector<std::string> inputs;
  std::string output;
  Subjects subjects = Subjects::test;
  data::ProtocolName protocol = data::ProtocolName::sequence;
  report::PoseOptions poses;
  int steps = 2;
  bool drop_invalid = false;
  bool force = false;
  bool quiet = false;
};

// Whether all of these sequences have what a score needs.
bool can_be_scored(const data::Dataset& dataset, const std::vector<int>& sequences) {
  return std::ranges::all_of(sequences, [&](int i) {
    const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(i)];
    return s.pose_3d && s.noisy_3d;
  });
}

// What the files given hold.
struct Inputs {
  std::string dataset_path;
  std::optional<data::Dataset> dataset;
  std::string refiner_path;
  std::optional<diffusion::Refiner> refiner;
  data::Convention convention;  // the refiner's
  std::string inspection_path;
  std::optional<data::Dataset> inspection;
  std::vector<std::string> logs;
};

Inputs read_inputs(const Options& options) {
  Inputs inputs;
  for (const std::string& path : options.inputs) {
    const data::FileKind kind = data::file_kind(path);
    if (kind == data::FileKind::json || path.ends_with(".jsonl")) {
      inputs.logs.push_back(path);
    } else if (kind == data::FileKind::safetensors || path.ends_with(".safetensors")) {
      if (inputs.refiner) fail("{}: is the second refiner; a report shows one", path);
      const TensorFile file = read_checkpoint(path);
      inputs.refiner = diffusion::Refiner::load(file, path, DType::f32, options.common.device);
      inputs.convention = convention_of(file, path);
      inputs.refiner_path = path;
    } else if (report::is_inspection(path)) {
      if (inputs.inspection) fail("{}: is the second inspection; a report shows one", path);
      inputs.inspection = read_input(path, options.drop_invalid, options.force);
      inputs.inspection_path = path;
    } else {
      if (inputs.dataset) fail("{}: is the second dataset; a report shows one", path);
      inputs.dataset = read_input(path, options.drop_invalid, options.force);
      inputs.dataset_path = path;
    }
  }
  if (inputs.refiner && !inputs.dataset) {
    fail("{}: a refiner is shown at work on a dataset; give refined.npz or lifted.npz too",
         inputs.refiner_path);
  }
  return inputs;
}

void add_inspection(const report::Inspection& inspection, Json& page) {
  if (Json path = report::path_json(inspection); !path.is_null()) {
    page["diffusion"]["paths"].push_back(std::move(path));
  }
  if (Json attention = report::attention_json(inspection); !attention.is_null()) {
    page["attention"].push_back(std::move(attention));
  }
}

// The refiner at work on the sequences shown; attention, which takes more room, for the first.
void add_looks(const Options& options, const Inputs& inputs, const std::vector<int>& shown,
               Json& page) {
  const diffusion::RefinerConfig& config = inputs.refiner->config();
  page["diffusion"]["alpha_bar"] =
      report::rounded_list(diffusion::make_schedule(config.schedule, config.steps).alpha_bar);
  page["diffusion"]["schedule"] = name(config.schedule);
  bool first = true;
  const data::View view = data::View::at_rate(*inputs.dataset, inputs.convention.fps);
  for (const int i : shown) {
    if (!inputs.dataset->sequences[static_cast<std::size_t>(i)].noisy_3d) continue;
    add_inspection(report::inspect_window(*inputs.refiner, inputs.convention, view.dataset(), i,
                                          options.steps, first),
                   page);
    first = false;
  }
}

// The sequences `chosen` of a dataset: figures of all, poses of some, whose indices it returns.
std::vector<int> add_poses(const Options& options, const data::Dataset& dataset,
                           const std::string& path, const std::vector<int>& chosen, Json& page) {
  std::optional<data::Comparison> comparison;
  if (can_be_scored(dataset, chosen)) {
    comparison = compare(dataset, path, chosen, {options.protocol, 0, options.common.seed});
    page["scores"] = data::json_report(*comparison);
    page["scores"]["base"].erase("sequences");
    if (comparison->refined) page["scores"]["refined"].erase("sequences");
  }
  std::vector<int> shown = report::shown_sequences(dataset, chosen, comparison, options.poses);
  page["sequences"] = report::poses_json(dataset, shown);
  page["clips"] = report::clips_json(dataset, chosen, comparison);
  return shown;
}

void add_dataset(const Options& options, const Inputs& inputs, Json& page) {
  const data::Dataset& dataset = *inputs.dataset;
  const std::vector<int> chosen = chosen_sequences(dataset, options.subjects);
  if (chosen.empty()) {
    fail("{}: has no sequence of {} subjects; choose others with --subjects", inputs.dataset_path,
         name(options.subjects));
  }
  const std::vector<int> shown = add_poses(options, dataset, inputs.dataset_path, chosen, page);
  if (!inputs.refiner) return;
  const data::View view(dataset, inputs.convention, /*resample=*/true);
  page["noise"] = report::noise_json(inputs.refiner->noise(), inputs.refiner->config().noise,
                                     view.dataset(), chosen, options.common.seed);
  add_looks(options, inputs, shown, page);
}

// Its one sequence is the dataset where there is no other.
void add_inspection(const Options& options, const Inputs& inputs, Json& page) {
  const data::Dataset& dataset = *inputs.inspection;
  const std::string& path = inputs.inspection_path;
  if (!inputs.dataset) add_poses(options, dataset, path, data::all_sequences(dataset), page);
  if (!page.contains("diffusion")) {
    page["diffusion"]["alpha_bar"] = report::rounded_list(report::inspected_schedule(path));
  }
  add_inspection(report::read_inspection(path, dataset), page);
  if (!page["diffusion"].contains("paths")) page.erase("diffusion");
  page.update(report::studies_json(path, dataset));
}

// The files of `options.inputs`, which are in `inputs`.
void write_page(const Options& options, const Inputs& inputs) {
  Json page{{"files", Json::array()},
            {"skeleton", report::skeleton_json()},
            {"units", {{"pose_m", report::kPoseUnit}, {"pixel", report::kPixelUnit}}}};
  for (const std::string& path : options.inputs) {
    page["files"].push_back(std::filesystem::path(shown(path)).filename().string());
  }
  if (inputs.dataset) add_dataset(options, inputs, page);
  if (inputs.inspection) add_inspection(options, inputs, page);
  for (const std::string& path : inputs.logs) {
    for (Json& run : report::training_json(path)) page["training"].push_back(std::move(run));
  }
  const std::string text = report::kPageHead + report::script_text(page) + report::kPageTail;
  write_file(options.output, text);
  if (options.quiet) return;
  fmt::print("wrote {}: {:.2f} MB; open it in a browser\n", shown(options.output),
             static_cast<double>(text.size()) / 1e6);
}

void run(const Options& options) {
  options.common.apply();
  write_page(options, read_inputs(options));
}

}  // namespace

void write_report(const std::string& output, const std::string& input, data::Dataset dataset,
                  const Common& common, bool quiet) {
  Options options;
  options.common = common;
  options.quiet = quiet;
  options.inputs = {input};
  options.output = output;
  options.subjects = Subjects::all;
  Inputs inputs;
  inputs.dataset_path = input;
  inputs.dataset = std::move(dataset);
  write_page(options, inputs);
}

void add_report(const Command& app) {
  const Command command =
      app.add_command("report", "One HTML page to look through poses and their errors");
  auto options = std::make_shared<Options>();
  options->common.add_to(command);
  add_input(command, "inputs", options->inputs,
            "In any order: a dataset (.npz), a refiner (.safetensors), logs of training "
            "(.jsonl), a file of `posetape inspect` (.npz)")
      .required();
  add_output(command, "-o,--output", options->output, "Page to write (.html)").required();
  command
      .add_option("--sequences", options->poses.sequences,
                  "Poses of these sequences (default: of all, of many those that refining changed "
                  "most; figures are of all)")
      .list();
  command.add_flag("--worst", options->poses.worst,
                   "Where not all have room, poses of those that refining made worst");
  command
      .add_option("--limit", options->poses.limit,
                  fmt::format("Poses of so many sequences at most (default: of {} frames in all)",
                              report::kFrames))
      .positive();
  command.add_option("--steps", options->steps, "K, denoising steps of the path that is shown")
      .positive()
      .show_default();
  add_choice(command, "--subjects", options->subjects, "Whose sequences");
  add_choice(command, "--protocol", options->protocol, "How poses are scored (data/README.md)");
  add_drop_invalid(command, options->drop_invalid);
  add_force(command, options->force);
  command.footer(
      "Example: posetape report refined.npz refiner.safetensors refiner.log.jsonl -o report.html");
  command.runs([options] { run(*options); });
}

}  // namespace posetape::tools
