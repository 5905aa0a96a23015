// posetape export: poses as a table that spreadsheets and other programs read, or as skeletons that
// Blender and the like do.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "data/bvh_poses.hpp"
#include "data/skeleton.hpp"
#include "engine/atomic_file.hpp"
#include "engine/error.hpp"
#include "tools/commands.hpp"
#include "tools/files.hpp"
#include "tools/input.hpp"

namespace posetape::tools {
namespace {

enum class Format { csv, bvh };
constexpr auto choices(Format) {
  return make_choices<Format>("format", {{Format::csv, "csv", "a line a frame"},
                                         {Format::bvh, "bvh", "skeletons with rotations"}});
}

enum class Field { refined_3d, noisy_3d, pose_3d, pose_2d };
constexpr auto choices(Field) {
  using enum Field;
  return make_choices<Field>("field", {{refined_3d, "refined_3d"},
                                       {noisy_3d, "noisy_3d"},
                                       {pose_3d, "pose_3d"},
                                       {pose_2d, "pose_2d", "pixels"}});
}

struct Options {
  Common common;
  std::string input, output;
  Field field = Field::refined_3d;
  Format format = Format::csv;
  data::BvhBones bones = data::BvhBones::mean;
  std::vector<std::string> sequences;
  bool drop_invalid = false;
};

const data::PoseArray* find_field(const data::Sequence& sequence, Field field) {
  if (field == Field::pose_2d) return &sequence.pose_2d;
  const auto& poses = field == Field::pose_3d    ? sequence.pose_3d
                      : field == Field::noisy_3d ? sequence.noisy_3d
                                                 : sequence.refined_3d;
  return poses ? &*poses : nullptr;
}

// A text with commas or quotes in it, as RFC 4180 writes it.
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? std::string("\"\"") : std::string(1, c);
  return result + "\"";
}

std::string heading(int channels) {
  std::string line = "sequence,frame,seconds";
  for (const std::string_view joint : data::kJointNames) {
    for (int c = 0; c < channels; ++c) line += fmt::format(",{}_{}", joint, "xyz"[c]);
  }
  return line + "\n";
}

// The sequences to write, with their poses.
using Chosen = std::vector<std::pair<const data::Sequence*, const data::PoseArray*>>;

Chosen choose(const Options& options, const data::Dataset& dataset) {
  Chosen chosen;
  for (const data::Sequence& sequence : dataset.sequences) {
    const bool wanted =
        options.sequences.empty() ||
        std::ranges::find(options.sequences, sequence.name) != options.sequences.end();
    const data::PoseArray* poses = wanted ? find_field(sequence, options.field) : nullptr;
    if (poses != nullptr) chosen.emplace_back(&sequence, poses);
  }
  if (chosen.empty()) {
    fail("{}: no sequence{} has {}; 'posetape info' lists what it has", options.input,
         options.sequences.empty() ? "" : " of those", name(options.field));
  }
  return chosen;
}

void write_csv(const Options& options, const Chosen& chosen) {
  AtomicFile file(options.output);
  file.write(heading(options.field == Field::pose_2d ? 2 : 3));
  for (const auto& [sequence, poses] : chosen) {
    const std::string name = quoted(sequence->name);
    std::string lines;
    for (int f = 0; f < poses->frames(); ++f) {
      lines += fmt::format("{},{},{:.10g}", name, f, f / double{sequence->fps});
      for (int i = 0; i < data::kJoints * poses->channels; ++i) {
        lines += fmt::format(",{}", poses->frame(f)[i]);
      }
      lines += '\n';
    }
    file.write(lines);
  }
  file.commit();
}

// One file of a single sequence, or a folder with one for each.
void write_bvh(const Options& options, const Chosen& chosen) {
  const bool single = options.output.ends_with(".bvh") || is_stream(options.output);
  if (single && chosen.size() > 1) {
    fail(
        "{}: a BVH file holds one sequence, and {} has {}; choose one with --sequences, or name a "
        "folder",
        options.output, options.input, chosen.size());
  }
  if (!single) {
    std::error_code code;
    std::filesystem::create_directories(options.output, code);
    if (code) {
      fail("{}: the folder cannot be made ({}); name a folder, or a file that ends in .bvh",
           options.output, code.message());
    }
  }
  for (const auto& [sequence, poses] : chosen) {
    std::string name = sequence->name;
    std::ranges::replace(name, '/', '_');
    const std::string path =
        single ? options.output
               : (std::filesystem::path(options.output) / (name + ".bvh")).string();
    check_output(path);
    write_file(path, data::format_bvh(data::bvh_of_poses(*poses, sequence->fps, options.bones)));
  }
}

void run(const Options& options) {
  options.common.apply();
  if (options.format == Format::bvh && options.field == Field::pose_2d) {
    fail("--field pose_2d: a BVH file holds 3D poses; export them as csv");
  }
  const data::Dataset dataset = read_input(options.input, options.drop_invalid);
  const Chosen chosen = choose(options, dataset);
  options.format == Format::csv ? write_csv(options, chosen) : write_bvh(options, chosen);
  std::int64_t frames = 0;
  for (const auto& [sequence, poses] : chosen) frames += poses->frames();
  fmt::print("wrote {}: {} frames of {} sequences\n", shown(options.output), frames, chosen.size());
}

}  // namespace

void add_export(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("export", "Write poses as a CSV table, a line a frame, or as BVH");
  auto options = std::make_shared<Options>();
  options->common.add_to(*command);
  add_input(*command, "input", options->input, "Dataset (.npz)")->required();
  add_output(*command, "-o,--output", options->output,
             "Table to write (.csv), or a file or folder of skeletons (.bvh)", {.folder = true})
      ->required();
  add_choice(*command, "--format", options->format, "Of the file");
  add_choice(*command, "--bones", options->bones, "bvh: bones of");
  add_choice(*command, "--field", options->field, "Which poses, metres in camera space");
  command->add_option("--sequences", options->sequences, "Only these sequences")->delimiter(',');
  add_drop_invalid(*command, options->drop_invalid);
  command->footer(
      "Example: posetape export refined.npz -o refined.csv\n"
      "         posetape export refined.npz -o poses/ --format bvh");
  command->callback([options] { run(*options); });
}

}  // namespace posetape::tools
