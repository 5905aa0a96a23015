// posetape export: poses in the formats of other programs (data/motion_format.hpp).
#include <fmt/format.h>

#include <Eigen/Geometry>

#include <algorithm>
#include <array>
#include <cctype>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "data/planted_feet.hpp"
#include "data/pose_table.hpp"
#include "data/uncertainty.hpp"
#include "engine/atomic_file.hpp"
#include "engine/error.hpp"
#include "tools/commands.hpp"
#include "tools/export.hpp"
#include "tools/files.hpp"
#include "tools/guards.hpp"
#include "tools/input.hpp"

namespace posetape::tools {
namespace {

using Field = ExportField;

struct Options : PoseExport {
  Common common;
  bool drop_invalid = false;
  bool force = false;
};

const data::PoseArray* find_field(const data::Sequence& sequence, Field field) {
  if (field == Field::pose_2d) return &sequence.pose_2d;
  const auto& poses = field == Field::pose_3d    ? sequence.pose_3d
                      : field == Field::noisy_3d ? sequence.noisy_3d
                                                 : sequence.refined_3d;
  return poses ? &*poses : nullptr;
}

std::string lowered(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// The sequences to write, with their poses.
using Chosen = std::vector<std::pair<const data::Sequence*, const data::PoseArray*>>;

Chosen choose(const PoseExport& options, const data::Dataset& dataset) {
  Chosen chosen;
  for (const data::Sequence& sequence : dataset.sequences) {
    const bool wanted =
        options.sequences.empty() ||
        std::ranges::find(options.sequences, sequence.name) != options.sequences.end();
    const data::PoseArray* poses = wanted ? find_field(sequence, options.field) : nullptr;
    if (poses != nullptr) chosen.emplace_back(&sequence, poses);
  }
  for (const std::string& wanted : options.sequences) {
    const auto found = std::ranges::find(dataset.sequences, wanted, &data::Sequence::name);
    if (found == dataset.sequences.end()) {
      fail("{}: has no sequence {}; 'posetape info' lists those that it has", options.input,
           wanted);
    }
    if (find_field(*found, options.field) == nullptr) {
      fail("{}: sequence {} has no {}; 'posetape info' lists what it has", options.input, wanted,
           name(options.field));
    }
  }
  if (chosen.empty()) {
    fail("{}: no sequence has {}; 'posetape info' lists what it has", options.input,
         name(options.field));
  }
  if (options.sequences.empty() && chosen.size() < dataset.sequences.size()) {
    fmt::print(stderr, "{}: note: {} of {} sequences have no {}, and are left out\n",
               shown(options.input), dataset.sequences.size() - chosen.size(),
               dataset.sequences.size(), name(options.field));
  }
  return chosen;
}

// What turns `up` to -y: to what a camera that stands level would have seen.
Eigen::Matrix3d levelling(const std::array<double, 3>& up) {
  return Eigen::Quaterniond::FromTwoVectors(Eigen::Vector3d(up[0], up[1], up[2]),
                                            -Eigen::Vector3d::UnitY())
      .toRotationMatrix();
}

data::PoseArray levelled(data::PoseArray poses, const Eigen::Matrix3d& turn) {
  for (std::size_t i = 0; i < poses.values.size(); i += 3) {
    Eigen::Map<Eigen::Vector3f> p(poses.values.data() + i);
    p = (turn * p.cast<double>()).cast<float>();
  }
  return poses;
}

// Poses whose way is known go it, and for a format with a vertical axis they are level where the
// direction up is known; these lie in `turned`.
std::vector<data::PoseClip> clips_of(const PoseExport& options, const Chosen& chosen,
                                     std::deque<data::PoseArray>& turned) {
  const data::Axes axes = options.up.value_or(options.format->writer->up);
  std::vector<data::PoseClip> clips;
  for (const auto& [sequence, poses] : chosen) {
    const auto& confidence = sequence->confidence;
    const data::PoseArray* level = poses;
    if (options.field == Field::refined_3d && sequence->refined_root) {
      level = &turned.emplace_back(data::with_root(*poses, *sequence->refined_root));
    }
    const data::PoseArray* std = options.field == Field::refined_3d && sequence->refined_std
                                     ? &*sequence->refined_std
                                     : nullptr;
    if (sequence->up && poses->channels == 3 && axes != data::Axes::camera) {
      const Eigen::Matrix3d turn = levelling(*sequence->up);
      level = &turned.emplace_back(levelled(*level, turn));
      if (std != nullptr) {
        data::rotate_std(turned.emplace_back(*std), turn);
        std = &turned.back();
      }
    }
    clips.push_back(
        {sequence->name, sequence->fps, level, confidence ? &*confidence : nullptr, std});
  }
  return clips;
}

// What is known of how sure a clip's joints are goes into tables beside a file whose format has no
// place for it. Without a text: where nothing is known there is to be none, of an earlier export.
struct TableBeside {
  std::string path;
  std::string text;
};

// Whether a file begins as these tables do.
bool is_table(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  return std::getline(in, line) && line.starts_with("sequence,frame,seconds");
}

std::vector<TableBeside> tables_beside(const PoseExport& options, const data::ExportOptions& how,
                                       const std::string& path, const data::PoseClip& clip) {
  std::vector<TableBeside> tables;
  if (options.format->writer->certainty || is_stream(path)) return tables;
  const auto beside = [&](const char* ending) {
    return std::filesystem::path(path).replace_extension(ending).string();
  };
  tables.push_back(
      {beside(".confidence.csv"), clip.confidence != nullptr ? data::confidence_table(clip) : ""});
  tables.push_back({beside(".std.csv"), clip.std != nullptr ? data::std_table(clip, how) : ""});
  return tables;
}

void write_clips(const PoseExport& options, const std::string& path,
                 std::span<const data::PoseClip> clips) {
  const data::FormatWriter& writer = *options.format->writer;
  const data::ExportOptions how{options.unit.value_or(writer.unit), options.up.value_or(writer.up),
                                options.bones.value_or(data::BvhBones::mean), name(options.field),
                                lowered(std::filesystem::path(path).extension().string())};
  const std::vector<TableBeside> tables = tables_beside(options, how, path, clips[0]);
  for (const TableBeside& table : tables) {
    if (!table.text.empty()) check_output(table.path);
  }
  AtomicFile file(path);
  writer.write(clips, how, [&](std::string_view text) { file.write(text); });
  file.commit();
  for (const TableBeside& table : tables) {
    if (!table.text.empty()) {
      write_file(table.path, table.text);
    } else if (is_table(table.path)) {
      std::filesystem::remove(table.path);
    }
  }
}

// One file of a single sequence, or a folder with one for each.
void write_each(const PoseExport& options, const std::vector<data::PoseClip>& clips) {
  const data::FormatRule& format = *options.format;
  const bool single = data::has_ending(options.output, format.endings) || is_stream(options.output);
  if (single && clips.size() > 1) {
    fail(
        "{}: such a file holds one sequence, and {} has {}; choose one with --sequences, or name a "
        "folder",
        options.output, options.input, clips.size());
  }
  if (!single) {
    std::error_code code;
    std::filesystem::create_directories(options.output, code);
    if (code) {
      fail("{}: the folder cannot be made ({}); name a folder, or a file that ends in {}",
           options.output, code.message(), format.endings[0]);
    }
  }
  const auto file_of = [&](const data::PoseClip& clip) {
    std::string file = clip.name + std::string(format.endings[0]);
    std::ranges::replace(file, '/', '_');
    return file;
  };
  std::map<std::string, std::string> clip_of;  // by its file's name
  for (const data::PoseClip& clip : clips) {
    const auto [other, is_new] = clip_of.emplace(file_of(clip), clip.name);
    if (is_new) continue;
    fail(
        "{}: sequences {} and {} would both be {}; choose with --sequences, and write each to a "
        "folder of its own",
        options.input, other->second, clip.name, other->first);
  }
  for (const data::PoseClip& clip : clips) {
    const std::string path =
        single ? options.output : (std::filesystem::path(options.output) / file_of(clip)).string();
    check_output(path);
    write_clips(options, path, {&clip, 1});
  }
}

// Options that the format does not have.
void check_options(const Options& options) {
  const data::FormatRule& format = *options.format;
  if (options.bones && std::string_view(format.name) != "bvh") {
    fail("--bones: {} has none; leave the option out", format.title);
  }
  if (!format.writer->pixels && options.field == Field::pose_2d) {
    fail("--field pose_2d: {} holds 3D poses; export them as csv", format.title);
  }
  const bool pixels = options.field == Field::pose_2d;
  if ((options.unit || options.up) && (format.writer->fixed || pixels)) {
    fail("{}: {} has its own, {}; leave the option out", options.unit ? "--unit" : "--up",
         pixels ? "a 2D pose" : format.title,
         pixels ? "pixels"
                : fmt::format("{} and {}", name(format.writer->unit), words(format.writer->up)));
  }
}

// Where --format doesn't say it, what the output's ending says, and else CSV.
const data::FormatRule* format_of_output(const std::string& output) {
  for (const data::FormatRule* format : data::formats_written()) {
    if (data::has_ending(output, format->endings)) return format;
  }
  return &data::csv_format;
}

void run(Options& options) {
  options.common.apply();
  const data::FormatRule* by_name = format_of_output(options.output);
  if (options.format == nullptr) options.format = by_name;
  if (options.format != by_name && by_name != &data::csv_format) {
    fail("{}: is the name of {}; with --format {} the file ends in {}", shown(options.output),
         by_name->title, options.format->name, options.format->endings[0]);
  }
  check_options(options);
  export_poses(options, read_input(options.input, options.drop_invalid, options.force));
}

// Units and axes that the formats have where none are chosen: "bvh cm y (fixed), ..."
std::string defaults() {
  std::string text;
  for (const data::FormatRule* format : data::formats_written()) {
    const data::FormatWriter& writer = *format->writer;
    text += fmt::format("{}{} {} {}{}", text.empty() ? "" : ", ", format->name, name(writer.unit),
                        name(writer.up), writer.fixed ? " (fixed)" : "");
  }
  return text;
}

}  // namespace

void export_poses(const PoseExport& options, const data::Dataset& dataset) {
  const Chosen chosen = choose(options, dataset);
  std::deque<data::PoseArray> turned;
  const std::vector<data::PoseClip> clips = clips_of(options, chosen, turned);
  options.format->writer->all_in_one ? write_clips(options, options.output, clips)
                                     : write_each(options, clips);
  std::int64_t frames = 0;
  for (const data::PoseClip& clip : clips) frames += clip.poses->frames();
  if (options.quiet) return;
  fmt::print("wrote {}: {} frames of {} sequences\n", shown(options.output), frames, clips.size());
}

void add_export(const Command& app) {
  const Command command =
      app.add_command("export", "Write poses for other programs: tables, skeletons, animations");
  auto options = std::make_shared<Options>();
  options->common.add_to(command);
  add_input(command, "input", options->input, "Dataset (.npz)").required();
  add_output(command, "-o,--output", options->output,
             "File to write; or, of a format with a file a sequence, a folder of them",
             {.folder = true})
      .required();
  static const auto kFormats = data::choices_of(data::formats_written());
  add_choice<const data::FormatRule*>(
      command, "--format", "Of the file (default: what its name says, else csv)", kFormats,
      [options](const data::FormatRule* format) { options->format = format; });
  add_choice(command, "--unit", options->unit,
             fmt::format("Unit of length (defaults: {})", defaults()));
  add_choice(command, "--up", options->up, "The vertical axis");
  add_choice(command, "--bones", options->bones, "bvh: bones of");
  add_choice(command, "--field", options->field, "Which poses, metres in camera space");
  command.add_option("--sequences", options->sequences, "Only these sequences").list();
  add_drop_invalid(command, options->drop_invalid);
  add_force(command, options->force);
  command.footer(
      "Example: posetape export refined.npz -o refined.csv\n"
      "         posetape export refined.npz -o poses/ --format bvh\n"
      "         posetape export refined.npz -o walk.glb --format gltf --sequences P1/walk_1/0");
  command.runs([options] { run(*options); });
}

}  // namespace posetape::tools
