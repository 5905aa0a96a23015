// posetape info: what a dataset or a checkpoint holds.
#include <fmt/format.h>

#include <map>
#include <memory>
#include <set>

#include "data/dataset.hpp"
#include "engine/safetensors.hpp"
#include "tools/commands.hpp"

namespace posetape::tools {
namespace {

struct Options {
  Common common;
  std::string path;
};

void describe_checkpoint(const std::string& path) {
  const TensorFile file = read_safetensors(path);
  Index values = 0;
  for (const auto& [name, tensor] : file.tensors) values += tensor.size();
  fmt::print("{}: {} tensors, {} values\n", path, file.tensors.size(), values);
  for (const auto& [key, value] : file.metadata) fmt::print("  {}: {}\n", key, value);
  for (const auto& [name, tensor] : file.tensors) {
    fmt::print("  {:<40} {:>4} {}\n", name, posetape::name(tensor.dtype()), tensor.shape().text());
  }
}

void describe_dataset(const std::string& path) {
  const data::Dataset dataset = data::read_dataset(path);
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
  }
  fmt::print("{}: {} sequences; test subjects: {}\n", path, dataset.sequences.size(),
             fmt::join(dataset.test_subjects, ", "));
  if (!dataset.metadata.empty()) fmt::print("  made by: {}\n", dataset.metadata);
  fmt::print("  {:<12} {:>9} {:>9}  fields beside pose_2d\n", "subject", "sequences", "frames");
  for (const auto& [name, total] : subjects) {
    fmt::print("  {:<12} {:>9} {:>9}  {}\n", name, total.sequences, total.frames,
               fmt::join(total.fields, ", "));
  }
}

}  // namespace

void add_info(CLI::App& app) {
  CLI::App* command = app.add_subcommand("info", "What a dataset or a checkpoint holds");
  auto options = std::make_shared<Options>();
  options->common.add_to(*command);
  command->add_option("file", options->path, "Dataset (.npz) or checkpoint (.safetensors)")
      ->required();
  command->footer("Example: posetape info refiner.safetensors");
  command->callback([options] {
    options->common.apply();
    options->path.ends_with(".safetensors") ? describe_checkpoint(options->path)
                                            : describe_dataset(options->path);
  });
}

}  // namespace posetape::tools
