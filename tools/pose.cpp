// posetape pose: from 2D poses of a detector to refined 3D ones, with the networks that come along.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "data/file_kind.hpp"
#include "data/keypoints.hpp"
#include "data/npz.hpp"
#include "engine/atomic_file.hpp"
#include "engine/error.hpp"
#include "tools/commands.hpp"
#include "tools/comparison.hpp"
#include "tools/export.hpp"
#include "tools/files.hpp"
#include "tools/guards.hpp"
#include "tools/inference.hpp"
#include "tools/input.hpp"
#include "tools/prepare_keypoints.hpp"
#include "tools/quality.hpp"
#include "tools/report/report.hpp"

namespace posetape::tools {
namespace {

// The pairs of lifter and refiner in model/weights.
enum class Networks { large, small };
constexpr auto choices(Networks) {
  return make_choices<Networks>("networks", {{Networks::large, "large", "128 channels"},
                                             {Networks::small, "small", "64, for real time"}});
}

struct Options {
  Common common;
  DType precision = DType::f32;
  std::string input, output, report;
  data::TrackOptions keypoints;
  Networks networks = Networks::large;
  std::string lifter, refiner;               // instead of those
  const data::FormatRule* format = nullptr;  // none: a dataset
  WindowOptions windows;
  ViewOptions view;
  FinishOptions finish;
  std::optional<double> strength;
  bool with_estimate = false;
  bool force = false;
  bool quiet = false;
};

// How far the refiners that come along go: the large one has learnt from estimates that are better
// than those it meets, and the small one goes as far as makes no clip of the people who chose its
// epochs worse (diffusion/RESULTS.md).
double strength_of(Networks networks) {
  return networks == Networks::large ? 0.5 : 0.8;
}

// Where the networks that come along lie: beside the installed command, or in the source tree of
// one that was built there.
std::string weights(Networks networks, const char* kind) {
  std::error_code code;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", code).parent_path();
  const std::array folders{self / "../share/posetape/weights", self / "../../model/weights"};
  const std::string file = fmt::format("{}_{}.safetensors", name(networks), kind);
  for (const auto& folder : folders) {
    const auto path = (folder / file).lexically_normal();
    if (std::filesystem::exists(path, code)) return path.string();
  }
  fail("{} is neither in {} nor in {}; install posetape (meson install), or give --{} FILE", file,
       folders[0].lexically_normal().string(), folders[1].lexically_normal().string(), kind);
}

// The format that an output's name says; nothing for a dataset. Throws WrongUsage where it says
// none.
const data::FormatRule* format_of_output(const Options& options) {
  if (options.format != nullptr) return options.format;
  const std::filesystem::path path(options.output);
  std::string endings = ".npz";
  for (const data::FormatRule* format : data::formats_written()) {
    if (data::has_ending(path, format->endings)) return format;
    for (const std::string_view ending : format->endings) endings += fmt::format(", {}", ending);
  }
  if (path.extension() == ".npz" || is_stream(options.output)) return nullptr;
  throw WrongUsage(fmt::format("-o {}: its ending names no format ({}); or say it with --format",
                               options.output, endings));
}

// Whether a file is a dataset of ours, and not a detector's output in an npz.
bool is_dataset(const std::string& path) {
  if (data::file_kind(path) != data::FileKind::npz) return false;
  const data::NpzReader file(path);
  return std::ranges::any_of(file.names(),
                             [](const std::string& n) { return n.ends_with("/pose_2d"); });
}

// A dataset says all that a detector's files may not, but perhaps the frame rate.
data::Dataset read_dataset(const Options& options) {
  const data::TrackOptions& given = options.keypoints;
  const std::array<std::pair<bool, const char*>, 6> others{
      {{given.format.has_value(), "--input-format"},
       {given.layout.has_value(), "--layout"},
       {given.image_size[0] != 0, "--image-size"},
       {given.coordinates.has_value(), "--coordinates"},
       {given.person != 0, "--person"},
       {given.min_confidence != 0, "--min-confidence"}}};
  for (const auto& [is_given, option] : others) {
    if (!is_given) continue;
    throw WrongUsage(
        fmt::format("{}: {} is a dataset, which says it; leave it out", option, options.input));
  }
  data::Dataset dataset = read_input(options.input, false, options.force);
  for (data::Sequence& s : dataset.sequences) {
    if (!given.fps) break;
    if (s.fps_known && !data::same_rate(s.fps, *given.fps)) {
      fail("{}: sequence {} has {:g} frames a second, as it says; leave --fps {:g} out",
           options.input, s.name, s.fps, *given.fps);
    }
    s.fps = static_cast<float>(*given.fps);
    s.fps_known = true;
  }
  return dataset;
}

data::Dataset read(const Options& options) {
  if (is_dataset(options.input)) return read_dataset(options);
  std::vector<std::string> notes;
  data::Dataset dataset = data::prepare_keypoints(options.input, options.keypoints, notes);
  guard(dataset, options.input, options.force,
        {{data::Check::order, "give the order of the joints with --layout"},
         {data::Check::image, "give --image-size"}});
  if (!options.quiet) {
    for (const std::string& note : notes) fmt::print("note: {}\n", note);
  }
  return dataset;
}

// Refuses an output that cannot be, before the work.
void check_output_of(const Options& options, const data::Dataset& dataset) {
  const bool file = options.format == nullptr || options.format->writer->all_in_one ||
                    data::has_ending(options.output, options.format->endings);
  if (!file || is_stream(options.output)) return;
  if (options.format != nullptr && !options.format->writer->all_in_one &&
      dataset.sequences.size() > 1) {
    fail("{}: such a file holds one clip, and {} has {}; name a folder: -o {} --format {}",
         options.output, options.input, dataset.sequences.size(),
         std::filesystem::path(options.output).replace_extension().string(), options.format->name);
  }
  const AtomicFile unwritten(options.output);
}

void run(Options& options) {
  options.common.apply();
  // Twice the time, and worth it: 3 to 5 % less error (diffusion/RESULTS.md).
  if (!options.windows.flip_average) options.windows.flip_average = true;
  if (options.lifter.empty()) options.lifter = weights(options.networks, "lifter");
  const double strength = options.refiner.empty() ? strength_of(options.networks) : 1;
  if (options.refiner.empty()) options.refiner = weights(options.networks, "refiner");

  data::Dataset dataset = read(options);
  check_output_of(options, dataset);
  lift({options.common, options.precision, options.lifter, options.input, options.windows,
        options.view, /*in_sample=*/true, options.with_estimate, options.quiet},
       dataset);
  RefineOptions refining;
  refining.common = options.common;
  refining.precision = options.precision;
  refining.checkpoint = options.refiner;
  refining.input = options.input;
  refining.strength = options.strength.value_or(strength);
  refining.finish = options.finish;
  refining.windows = options.windows;
  refining.view = options.view;
  refining.view.quiet = true;
  refining.quiet = options.quiet;
  refine(refining, dataset);

  constexpr std::size_t kMostClips = 20;
  if (!options.quiet) fmt::print("{}", quality_table(dataset, kMostClips));
  const std::string gain = gain_of(dataset, options.input);
  if (!options.quiet && !gain.empty()) fmt::print("MPJPE: {}\n", gain);
  if (options.format != nullptr) {
    PoseExport poses;
    poses.input = options.input;
    poses.output = options.output;
    poses.format = options.format;
    poses.quiet = options.quiet;
    export_poses(poses, dataset);
  } else {
    data::write_dataset(options.output, dataset);
    if (!options.quiet) fmt::print("wrote {}\n", shown(options.output));
  }
  if (!options.report.empty()) {
    write_report(options.report, options.input, std::move(dataset), options.common, options.quiet);
  }
}

}  // namespace

void add_pose(const Command& app) {
  const Command command =
      app.add_command("pose", "2D poses of your video to refined 3D poses, with trained networks");
  auto options = std::make_shared<Options>();
  options->common.add_to(command);
  add_precision(command, options->precision, "Weights and activations");
  add_input_folder(command, "input", options->input,
                   "2D poses: what a detector wrote (a file, or a folder of JSON, a file a frame), "
                   "or a dataset (.npz)",
                   {".json"}, true)
      .required();
  add_output(command, "-o,--output", options->output,
             "Poses to write, in the format that the name's ending says; or, of a format with a "
             "file a clip, a folder of them",
             {.folder = true})
      .required();
  static const auto kFormats = data::choices_of(data::formats_written());
  add_choice<const data::FormatRule*>(
      command, "--format", "Of the output", kFormats,
      [options](const data::FormatRule* f) { options->format = f; });
  add_output(command, "--report", options->report, "A page to look at them (.html)");
  add_choice(command, "--networks", options->networks, "Which of those that come along");
  add_input(command, "--lifter", options->lifter, "Another lifter (.safetensors)");
  add_input(command, "--refiner", options->refiner, "Another refiner (.safetensors)");
  command
      .add_option("--strength", options->strength,
                  "How far to go from the lifted pose to the refined one (default: 0.5 with "
                  "--networks large, 0.8 with small, 1 with another --refiner: "
                  "diffusion/RESULTS.md)")
      .range(0.0, 1.0);
  add_keypoint_options(command, "--input-format", options->keypoints);
  options->windows.add_to(command);
  options->view.add_to(command);
  options->finish.add_to(command, "with another --protocol than sequence");
  add_with_estimate(command, options->with_estimate);
  add_force(command, options->force);
  command.add_flag("--quiet", options->quiet, "Print nothing but warnings and errors");
  command.footer(
      "Averages with the result for the mirror image, unless --no-flip-average is given, which "
      "takes "
      "half the time.\n"
      "Examples: posetape pose json_folder/ -o me.glb --fps 30 --image-size 1920,1080\n"
      "          posetape pose landmarks.csv -o me.npz --report me.html");
  command.runs([options] {
    options->format = format_of_output(*options);
    run(*options);
  });
}

}  // namespace posetape::tools
