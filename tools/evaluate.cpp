// posetape evaluate: how far the poses of a file are from the truth, before and after refinement.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "data/report_table.hpp"
#include "engine/atomic_file.hpp"
#include "engine/error.hpp"
#include "tools/commands.hpp"
#include "tools/comparison.hpp"
#include "tools/files.hpp"
#include "tools/guards.hpp"
#include "tools/input.hpp"
#include "tools/plot.hpp"

namespace posetape::tools {
namespace {

enum class Format { text, markdown, csv, json };
constexpr auto choices(Format) {
  using enum Format;
  return make_choices<Format>(
      "format", {{text, "text"}, {markdown, "markdown"}, {csv, "csv"}, {json, "json"}});
}

struct Options {
  Common common;
  std::vector<std::string> inputs;
  Format format = Format::text;
  std::string output;
  std::string json;
  Subjects subjects = Subjects::test;
  data::ProtocolName protocol = data::ProtocolName::sequence;
  int frames = 0;
  bool plot = false;
  bool drop_invalid = false;
  bool force = false;
};

// A file's name in tables: short where that tells the files apart.
std::string name_of(const std::string& path, const std::vector<std::string>& paths) {
  const auto stem = [](const std::string& p) {
    return std::filesystem::path(shown(p)).stem().string();
  };
  const auto alike = [&](const std::string& p) { return stem(p) == stem(path); };
  return std::ranges::count_if(paths, alike) == 1 ? stem(path) : shown(path);
}

// Several files, each with its own refined poses of the same base.
std::vector<data::Comparison> compare_all(const Options& options) {
  std::vector<data::Comparison> comparisons;
  for (const std::string& path : options.inputs) {
    if (std::ranges::count(options.inputs, path) > 1) {
      fail("{}: is given more than once; give each file once", path);
    }
    const bool one = options.inputs.size() == 1;
    const bool keep_root = data::protocol_of(options.protocol).root == data::RootRule::as_estimated;
    const data::Dataset dataset = read_input(path, options.drop_invalid, options.force, keep_root);
    data::Comparison c = compare(dataset, path, chosen_sequences(dataset, options.subjects),
                                 {options.protocol, options.frames, options.common.seed});
    c.name = one ? "refined" : name_of(path, options.inputs);
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

std::string report(const std::vector<data::Comparison>& comparisons, Format format) {
  if (format == Format::json) return json_of(comparisons).dump(2) + '\n';
  if (format == Format::csv) return data::csv_report(comparisons);
  if (format == Format::markdown) return data::markdown_report(comparisons);
  return comparisons.size() == 1 ? data::text_report(comparisons[0]) : data::summary(comparisons);
}

// The distribution of the poses' errors, in the bins of data::histogram.
std::string plot(const std::vector<data::Comparison>& comparisons) {
  std::vector<BarColumn> columns;
  std::size_t first = data::kBins;
  std::size_t last = 0;
  const auto add = [&](const std::string& name, const data::Evaluation& evaluation) {
    const data::Histogram counts = data::histogram(evaluation.poses);
    BarColumn column{name, {}};
    for (std::size_t bin = 0; bin < counts.size(); ++bin) {
      column.values.push_back(100.0 * static_cast<double>(counts[bin]) /
                              static_cast<double>(evaluation.poses.size()));
      if (counts[bin] == 0) continue;
      first = std::min(first, bin);
      last = std::max(last, bin);
    }
    columns.push_back(std::move(column));
  };
  add("base", comparisons[0].base);
  for (const data::Comparison& c : comparisons) {
    if (c.refined) add(c.name, *c.refined);
  }
  std::vector<std::string> labels;
  for (std::size_t bin = first; bin <= last; ++bin) {
    const double from = data::kBinWidth * static_cast<double>(bin);
    labels.push_back(bin + 1 == data::kBins ? fmt::format("{}+", from)
                                            : fmt::format("{}-{}", from, from + data::kBinWidth));
  }
  for (BarColumn& column : columns) {
    column.values = {column.values.begin() + static_cast<std::ptrdiff_t>(first),
                     column.values.begin() + static_cast<std::ptrdiff_t>(last + 1)};
  }
  return "\n" + bars("MPJPE of a pose (mm)", labels, columns, " %", plot_style());
}

void run(const Options& options) {
  if (options.plot && options.format != Format::text && options.output.empty()) {
    fail("--plot does not go with {} on standard output; write that to a file with -o",
         name(options.format));
  }
  options.common.apply();
  const std::vector<data::Comparison> comparisons = compare_all(options);
  const std::string text = report(comparisons, options.format);
  if (options.output.empty()) {
    fmt::print("{}", text);
  } else {
    write_file(options.output, text);
    fmt::print("wrote {}\n", shown(options.output));
  }
  if (options.plot) fmt::print("{}", plot(comparisons));
  if (!options.json.empty()) {
    write_file(options.json, json_of(comparisons).dump(2) + "\n");
    fmt::print("wrote {}\n", shown(options.json));
  }
}

}  // namespace

void add_evaluate(const Command& app) {
  const Command command = app.add_command("evaluate", "Errors of a file's poses, per action");
  auto options = std::make_shared<Options>();
  options->common.add_to(command);
  add_input(command, "input", options->inputs,
            "Datasets (.npz) with noisy_3d and pose_3d; several give one row each")
      .required();
  add_choice(command, "--protocol", options->protocol, "How poses are scored (data/README.md)");
  command
      .add_option("--frames", options->frames,
                  "Frames of a window, for a protocol that counts them (default: as the file says)")
      .positive();
  add_choice(command, "--format", options->format, "Of the report");
  add_output(command, "-o,--output", options->output, "Write the report to this file");
  add_output(command, "--json", options->json, "Write the figures to this file too");
  command.add_flag("--plot", options->plot, "Draw the histogram of the poses' errors");
  add_drop_invalid(command, options->drop_invalid);
  add_force(command, options->force);
  add_choice(command, "--subjects", options->subjects, "Whose sequences");
  command.footer("Example: posetape evaluate refined.npz --json scores.json");
  command.runs([options] {
    if (options->frames > 0 && options->protocol != data::ProtocolName::mixste_seq2seq) {
      throw WrongUsage("--frames: only the protocol mixste-seq2seq counts windows; leave it out");
    }
    run(*options);
  });
}

}  // namespace posetape::tools
