#include "tools/prepare_keypoints.hpp"

#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "data/estimates.hpp"
#include "data/keypoints.hpp"
#include "tools/commands.hpp"
#include "tools/files.hpp"
#include "tools/guards.hpp"

namespace posetape::tools {
namespace {

using data::TrackOptions;

struct Files {
  Common common;
  bool force = false;
  TrackOptions keypoints;
  data::EstimateOptions estimates;
  std::string input, image, output;
};

std::string format_help() {
  std::string help = "The file's format, where it should not be told from the content";
  for (const auto& choice : kChoices<data::KeypointFormat>.list) {
    help += fmt::format("{}{} ({})",
                        &choice == kChoices<data::KeypointFormat>.list.data() ? ": " : ", ",
                        choice.text, data::rule(choice.value).help);
  }
  return help;
}

void add_format(const Command& command, const std::string& flag,
                std::optional<data::KeypointFormat>& format) {
  add_choice(command, flag, format, "").help(format_help());
}

// What is asked of 2D poses, whether they stand alone or beside an estimate.
void add_track_options(const Command& command, TrackOptions& options) {
  command
      .add_option("--fps", options.fps,
                  "Frames a second of the videos (default: as the file says, "
                  "else 50)")
      .range(0.1, 10000.0);
  command
      .add_option("--image-size", options.image_size,
                  "Width and height in pixels, where the file does not say them")
      .list()
      .range(1, 1000000);
  add_choice(command, "--coordinates", options.coordinates,
             "What 2D coordinates are (default: as the format has them)");
  command
      .add_text(
          "--person",
          [&options](const std::string& text) {
            const double person = text == "all" ? -1 : number_of(text).value_or(0);
            if (text != "all" && !(person >= 1 && person < 1e6 && person == std::floor(person))) {
              throw WrongUsage("expected a number from 1 on, or all");
            }
            options.person = static_cast<int>(person);
          },
          "Whom to follow where there are several: 1 is the largest, 2 the next; or all "
          "(default: 1)")
      .type("N");
  command
      .add_option("--min-confidence", options.min_confidence,
                  "2D keypoints with less count as not seen")
      .range(0.0, 1.0)
      .show_default();
}

void write(const Files& files, const data::Dataset& dataset, const std::vector<std::string>& notes,
           const Mends& mends) {
  guard(dataset, files.input, files.force, mends);
  data::write_dataset(files.output, dataset);
  for (const std::string& note : notes) fmt::print("note: {}\n", note);
  fmt::print("wrote {}: {} sequences\n", shown(files.output), dataset.sequences.size());
}

void add_keypoints(const Command& prepare) {
  auto files = std::make_shared<Files>();
  const Command command =
      prepare.add_command("keypoints", "2D poses of your own videos, from a detector's files");
  files->common.add_to(command);
  add_input_folder(command, "input", files->input,
                   "2D poses: a file, or a folder of JSON, a file a frame", {".json"}, true)
      .required();
  add_output(command, "-o,--output", files->output, "Dataset to write (.npz)").required();
  add_keypoint_options(command, "--format", files->keypoints);
  add_force(command, files->force);
  command.footer(
      "Examples: posetape prepare keypoints json_folder/ -o mine.npz --fps 30 --image-size "
      "1920,1080\n"
      "          posetape prepare keypoints data_2d_custom_mine.npz -o mine.npz --fps 30");
  command.runs([files] {
    files->common.apply();
    std::vector<std::string> notes;
    const data::Dataset dataset = data::prepare_keypoints(files->input, files->keypoints, notes);
    write(*files, dataset, notes,
          {{data::Check::order, "give the order of the joints with --layout"},
           {data::Check::image, "give --image-size"}});
  });
}

void add_units(const Command& command, data::EstimateOptions& options) {
  const Option unit =
      add_unit(command, options.metres_per_unit,
               "Unit of length: m, cm, mm, in, or so many metres (default: told from thighs "
               "and shins)");
  command
      .add_option("--height", options.height,
                  "How tall the person is, in metres: for normalised estimates, as MotionBERT's")
      .range(0.3, 3.0)
      .excludes(unit);
}

void add_axes(const Command& command, data::EstimateOptions& options) {
  add_choice(command, "--up", options.up,
             "The vertical axis (default: as the format has it, or as the person stands)");
  command.add_flag("--mirror", options.mirror, "The axes are left-handed: x changes sign");
  command
      .add_text(
          "--turn",
          [&options](const std::string& text) {
            options.turn_to_image = text == "image";
            if (options.turn_to_image) return;
            const std::optional<double> degrees = number_of(text);
            if (!degrees) throw WrongUsage("expected a number of degrees, or image");
            options.turn = *degrees;
          },
          "Turn about the vertical: degrees, or image, which is what fits the 2D poses best")
      .type("DEGREES");
}

void add_estimates(const Command& prepare) {
  auto files = std::make_shared<Files>();
  data::EstimateOptions& options = files->estimates;
  const Command command = prepare.add_command(
      "estimates", "3D poses of another estimator, to refine, beside their 2D poses");
  files->common.add_to(command);
  add_input_folder(command, "input", files->input,
                   "3D poses: a file, or a folder of JSON, a file a frame", {".json"}, true)
      .required();
  add_input_folder(command, "--keypoints", files->image,
                   "2D poses that it was made of (default: in the same file, else its projection)",
                   {".json"}, true);
  add_output(command, "-o,--output", files->output, "Dataset to write (.npz)").required();
  add_format(command, "--format", options.format);
  add_choice(command, "--layout", options.layout,
             "Order of the 3D joints (default: as the format has them)");
  add_units(command, options);
  add_axes(command, options);
  add_format(command, "--keypoints-format", options.keypoints.format);
  add_choice(command, "--keypoints-layout", options.keypoints.layout, "Order of the 2D joints");
  add_track_options(command, options.keypoints);
  add_force(command, files->force);
  command.footer(
      "Examples: posetape prepare estimates X3D.npy --keypoints alphapose-results.json --height "
      "1.7 "
      "-o base.npz --fps 30 --image-size 1920,1080\n"
      "          posetape prepare estimates mediapipe.npz -o base.npz");
  command.runs([files] {
    files->common.apply();
    std::vector<std::string> notes;
    const data::Dataset dataset =
        data::prepare_estimates(files->input, files->image, files->estimates, notes);
    write(*files, dataset, notes,
          {{data::Check::order, "give the order of the joints with --layout or --keypoints-layout"},
           {data::Check::unit, "give --unit, or --height where it has none"},
           {data::Check::scale, "give --unit, or --height where it has none"},
           {data::Check::axes, "give --up, --turn or --mirror"},
           {data::Check::image, "give --image-size"}});
  });
}

}  // namespace

void add_keypoint_options(const Command& command, const std::string& format,
                          data::TrackOptions& options) {
  add_format(command, format, options.format);
  add_choice(command, "--layout", options.layout,
             "Order of the joints (default: as the file says, or as the skeleton looks)");
  add_track_options(command, options);
}

void add_prepare_keypoints(const Command& prepare) {
  add_keypoints(prepare);
  add_estimates(prepare);
}

}  // namespace posetape::tools
