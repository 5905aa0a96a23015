// posetape info: what a dataset or a checkpoint holds, and what machine this is.
#include <fmt/format.h>

#include <fstream>
#include <map>
#include <memory>
#include <set>

#include "data/dataset.hpp"
#include "data/file_kind.hpp"
#include "data/printable.hpp"
#include "kernels/base/dispatch.hpp"
#include "kernels/base/parallel.hpp"
#include "tools/commands.hpp"
#include "tools/files.hpp"
#include "tools/guards.hpp"
#include "tools/input.hpp"
#include "tools/promises.hpp"
#include "tools/quality.hpp"

namespace posetape::tools {
namespace {

struct Options {
  Common common;
  std::string path;
  bool drop_invalid = false;
  bool machine = false;
  bool quality = false;
  bool promises = false;
};

// Of the first processor in /proc/cpuinfo.
std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

// The processor, what kernels there are for it, which are in use, and why.
void describe_machine() {
  const Isa used = cpu_isa();
  fmt::print("processor: {}, {} threads in use\n", data::printable(processor_name()), threads());
  const char* wish = isa_wish();
  for (const IsaChoice& choice : isa_choices()) {
    const std::string why = !choice.built        ? "not built (-Disa)"
                            : !choice.there      ? "the processor has it not"
                            : choice.isa == used ? wish != nullptr && *wish != '\0'
                                                       ? fmt::format("in use, by POSETAPE_ISA={}",
                                                                     data::printable(wish))
                                                       : "in use, the best that is there"
                            : choice.isa < used  ? "there"
                                                 : "there, but POSETAPE_ISA asks for less";
    fmt::print("  {:<12} {}\n", name(choice.isa), why);
  }
}

void describe_checkpoint(const std::string& path) {
  const TensorFile file = read_checkpoint(path);
  Index values = 0;
  for (const auto& [name, tensor] : file.tensors) values += tensor.size();
  fmt::print("{}: {} tensors, {} values\n", shown(path), file.tensors.size(), values);
  for (const auto& [key, value] : file.metadata) fmt::print("  {}: {}\n", key, value);
  for (const auto& [name, tensor] : file.tensors) {
    fmt::print("  {:<40} {:>4} {}\n", name, posetape::name(tensor.dtype()), tensor.shape().text());
  }
}

// Joints that were interpolated, a line a field.
void describe_gaps(const data::ReadReport& report) {
  std::map<std::string, data::ReadReport::Bridged> fields;
  std::map<std::string, int> sequences;
  for (const data::ReadReport::Bridged& b : report.bridged) {
    fields[b.field].joints += b.joints;
    fields[b.field].frames += b.frames;
    ++sequences[b.field];
  }
  for (const auto& [name, total] : fields) {
    fmt::print("  {}: {} missing joints in {} frames of {} sequences, interpolated\n", name,
               total.joints, total.frames, sequences[name]);
  }
  if (!report.dropped.empty()) {
    fmt::print("  left out, invalid: {}\n", fmt::join(report.dropped, ", "));
  }
}

void describe_dataset(const std::string& path, bool drop_invalid, bool with_quality) {
  data::ReadReport report;
  const data::Dataset dataset = data::read_dataset(path, {drop_invalid}, &report);
  guard(dataset, path, /*force=*/true);  // says what other commands refuse
  struct Total {
    int sequences = 0;
    std::int64_t frames = 0;
    std::set<std::string> fields;
  };
  std::map<std::string, Total> subjects;
  for (const data::Sequence& s : dataset.sequences) {
    Total& total = subjects[std::string(s.subject())];
    ++total.sequences;
    total.frames += s.frames();
    if (s.pose_3d) total.fields.insert("pose_3d");
    if (s.noisy_3d) total.fields.insert("noisy_3d");
    if (s.refined_3d) total.fields.insert("refined_3d");
    if (s.refined_std) total.fields.insert("refined_std");
    if (s.refined_root) total.fields.insert("refined_root");
  }
  fmt::print("{}: {} sequences; test subjects: {}\n", shown(path), dataset.sequences.size(),
             fmt::join(dataset.test_subjects, ", "));
  if (!dataset.metadata.empty()) fmt::print("  made by: {}\n", dataset.metadata);
  describe_gaps(report);
  fmt::print("  {:<12} {:>9} {:>9}  fields beside pose_2d\n", "subject", "sequences", "frames");
  for (const auto& [name, total] : subjects) {
    fmt::print("  {:<12} {:>9} {:>9}  {}\n", name, total.sequences, total.frames,
               fmt::join(total.fields, ", "));
  }
  if (with_quality) fmt::print("{}", quality_table(dataset, dataset.sequences.size()));
}

}  // namespace

void add_info(const Command& app) {
  const Command command = app.add_command("info", "What a dataset or a checkpoint holds");
  auto options = std::make_shared<Options>();
  options->common.add_to(command);
  add_input(command, "file", options->path, "Dataset (.npz) or checkpoint (.safetensors)");
  command.add_flag("--machine", options->machine,
                   "The processor, its instruction sets, which kernels are in use, and why");
  command.add_flag("--promises", options->promises,
                   "What is equal to the bit to what, and how far apart the rest is at most");
  command.add_flag(
      "--quality", options->quality,
      "Of a dataset's 3D poses, a line a clip: joints that were not seen, jitter, peak "
      "speed, how much bones vary");
  add_drop_invalid(command, options->drop_invalid);
  command.footer("Example: posetape info refiner.safetensors");
  command.runs([options] {
    options->common.apply();
    if (options->machine) describe_machine();
    if (options->promises) fmt::print("{}", promises_table());
    if (options->path.empty()) {
      if (!options->machine && !options->promises) throw WrongUsage("file is required");
      return;
    }
    using data::FileKind;
    data::expect_kind(options->path, {FileKind::npz, FileKind::safetensors},
                      "a dataset (.npz) or a checkpoint (.safetensors)");
    const bool checkpoint = data::file_kind(options->path) == FileKind::safetensors ||
                            options->path.ends_with(".safetensors");
    checkpoint ? describe_checkpoint(options->path)
               : describe_dataset(options->path, options->drop_invalid, options->quality);
  });
}

}  // namespace posetape::tools
