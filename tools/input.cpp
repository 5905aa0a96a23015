#include "tools/input.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "data/file_kind.hpp"
#include "data/protocol.hpp"
#include "tools/files.hpp"
#include "tools/guards.hpp"

namespace posetape::tools {
namespace {

// Names, of which a file may have thousands.
std::string names_text(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 8;
  const auto shown = std::span(names).first(std::min(names.size(), kMost));
  std::string text = fmt::format("{}", fmt::join(shown, ", "));
  if (names.size() > kMost) text += fmt::format(" and {} more", names.size() - kMost);
  return text;
}

void say_bridged(const std::string& path, const data::ReadReport& report) {
  std::vector<std::string> parts;
  std::int64_t joints = 0;
  std::map<std::string_view, bool> sequences;
  for (const data::ReadReport::Bridged& b : report.bridged) {
    joints += b.joints;
    sequences[b.sequence] = true;
    parts.push_back(fmt::format("{}/{} {} in {} frames", b.sequence, b.field, b.joints, b.frames));
  }
  if (joints == 0) return;
  fmt::print(stderr, "{}: note: interpolated {} missing joints of {} sequences: {}\n", shown(path),
             joints, sequences.size(), names_text(parts));
}

}  // namespace

void add_drop_invalid(const Command& command, bool& drop_invalid) {
  command.add_flag("--drop-invalid", drop_invalid,
                   "Skip sequences with NaN or infinite poses for more than half a second instead "
                   "of stopping; shorter gaps are interpolated");
}

data::Dataset read_input(const std::string& path, bool drop_invalid, bool force, bool keep_root) {
  data::ReadReport report;
  data::Dataset dataset = data::read_dataset(path, {drop_invalid}, &report);
  data::note_bridged(dataset, report);
  say_bridged(path, report);
  if (!report.dropped.empty()) {
    fmt::print(stderr, "{}: dropped {} invalid sequences: {}\n", shown(path), report.dropped.size(),
               names_text(report.dropped));
  }
  if (!force && !keep_root) subtract_roots(dataset, path);
  guard(dataset, path, force);
  return dataset;
}

void check_estimate(const data::Sequence& sequence, const std::string& path) {
  if (sequence.noisy_3d) return;
  fail("{}: sequence {} has no noisy_3d; make it with `posetape lift` or your own estimator", path,
       sequence.name);
}

TensorFile read_checkpoint(const std::string& path) {
  data::expect_kind(path, {data::FileKind::safetensors}, "a network's checkpoint (.safetensors)");
  return read_safetensors(path);
}

}  // namespace posetape::tools
