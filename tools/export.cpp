// posetape export: poses as a table that spreadsheets and other programs read.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "data/skeleton.hpp"
#include "engine/atomic_file.hpp"
#include "engine/error.hpp"
#include "tools/commands.hpp"
#include "tools/input.hpp"

namespace posetape::tools {
namespace {

struct Options {
  Common common;
  std::string input, output, field = "refined_3d";
  std::vector<std::string> sequences;
};

const data::PoseArray* find_field(const data::Sequence& sequence, std::string_view field) {
  if (field == "pose_2d") return &sequence.pose_2d;
  const auto& poses = field == "pose_3d"    ? sequence.pose_3d
                      : field == "noisy_3d" ? sequence.noisy_3d
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

void run(const Options& options) {
  options.common.apply();
  const data::Dataset dataset = read_input(options.input, false);
  AtomicFile file(options.output);
  file.write(heading(options.field == "pose_2d" ? 2 : 3));
  int sequences = 0;
  std::int64_t frames = 0;
  for (const data::Sequence& sequence : dataset.sequences) {
    const bool wanted =
        options.sequences.empty() ||
        std::ranges::find(options.sequences, sequence.name) != options.sequences.end();
    const data::PoseArray* poses = wanted ? find_field(sequence, options.field) : nullptr;
    if (poses == nullptr) continue;
    const std::string name = quoted(sequence.name);
    std::string lines;
    for (int f = 0; f < poses->frames(); ++f) {
      lines += fmt::format("{},{},{:.10g}", name, f, f / double{sequence.fps});
      for (int i = 0; i < data::kJoints * poses->channels; ++i) {
        lines += fmt::format(",{}", poses->frame(f)[i]);
      }
      lines += '\n';
    }
    file.write(lines);
    ++sequences;
    frames += poses->frames();
  }
  if (sequences == 0) {
    fail("{}: no sequence{} has {}; 'posetape info' lists what it has", options.input,
         options.sequences.empty() ? "" : " of those", options.field);
  }
  file.commit();
  fmt::print("wrote {}: {} frames of {} sequences\n", options.output, frames, sequences);
}

}  // namespace

void add_export(CLI::App& app) {
  CLI::App* command = app.add_subcommand("export", "Write poses as a CSV table, a line a frame");
  auto options = std::make_shared<Options>();
  options->common.add_to(*command);
  command->add_option("input", options->input, "Dataset (.npz)")->required();
  command->add_option("-o,--output", options->output, "Table to write (.csv)")->required();
  command
      ->add_option("--field", options->field,
                   "Which poses: metres in camera space, or pixels of pose_2d")
      ->check(CLI::IsMember({"refined_3d", "noisy_3d", "pose_3d", "pose_2d"}))
      ->capture_default_str();
  command->add_option("--sequences", options->sequences, "Only these sequences")->delimiter(',');
  command->footer("Example: posetape export refined.npz -o refined.csv");
  command->callback([options] { run(*options); });
}

}  // namespace posetape::tools
