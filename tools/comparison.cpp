#include "tools/comparison.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "data/evaluation.hpp"
#include "data/protocol.hpp"
#include "data/windows.hpp"
#include "engine/error.hpp"
#include "tools/files.hpp"

namespace posetape::tools {
namespace {

// T of the windows: as asked for, else as the file says.
int window_frames(int asked, const nlohmann::ordered_json& made) {
  if (asked > 0 || made.is_null()) return asked;
  const auto found = made.find("window_frames");
  return found != made.end() && found->is_number_integer() ? found->get<int>() : 0;
}

// Whether the sequences have refined poses; all or none must.
bool is_refined(const data::Dataset& dataset, std::span<const int> sequences) {
  const data::Sequence* with = nullptr;
  const data::Sequence* without = nullptr;
  for (const int i : sequences) {
    const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(i)];
    (s.refined_3d ? with : without) = &s;
  }
  if (with != nullptr && without != nullptr) {
    fail("sequence '{}' has no 'refined_3d', '{}' has; refine all of them", without->name,
         with->name);
  }
  return with != nullptr;
}

data::Comparison compare_dataset(const data::Dataset& dataset, std::span<const int> sequences,
                                 const ScoringOptions& options) {
  const data::Protocol protocol = data::protocol_of(options.protocol);
  data::Comparison comparison;
  comparison.base_made = data::provenance(dataset, "noisy_3d");
  const int frames = window_frames(options.frames, comparison.base_made);
  comparison.scoring = data::scoring(protocol, frames);
  comparison.base = data::evaluate(dataset, sequences, &data::Sequence::noisy_3d, protocol, frames);
  if (is_refined(dataset, sequences)) {
    comparison.refined_made = data::provenance(dataset, "refined_3d");
    comparison.refined =
        data::evaluate(dataset, sequences, &data::Sequence::refined_3d, protocol, frames);
    if (data::knows_std(dataset, sequences)) {
      comparison.coverage = data::coverage(dataset, sequences, data::stored_regions(dataset));
    }
  }
  comparison.bootstrap = data::bootstrap(
      comparison.base, comparison.refined ? *comparison.refined : comparison.base, options.seed);
  return comparison;
}

}  // namespace

std::vector<int> chosen_sequences(const data::Dataset& dataset, Subjects subjects) {
  if (subjects == Subjects::all || dataset.test_subjects.empty())
    return data::all_sequences(dataset);
  return subjects == Subjects::train ? data::train_sequences(dataset)
                                     : data::test_sequences(dataset);
}

data::Comparison compare(const data::Dataset& dataset, const std::string& path,
                         std::span<const int> sequences, const ScoringOptions& options) {
  try {
    return compare_dataset(dataset, sequences, options);
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.starts_with(path)) throw;
    fail("{}: {}", path, message);
  }
}

std::string gain_text(double base_mm, double refined_mm) {
  const std::string change =
      base_mm > 0 ? fmt::format(" ({:+.1f} %)", 100 * (refined_mm / base_mm - 1)) : "";
  return fmt::format("base {:.2f} mm, refined {:.2f} mm{}", base_mm, refined_mm, change);
}

std::string gain_of(const data::Dataset& dataset, const std::string& what) {
  std::vector<data::PoseArray> refined;
  for (const data::Sequence& s : dataset.sequences) {
    if (!s.pose_3d || !s.refined_3d) return "";
    refined.push_back(*s.refined_3d);
  }
  const std::vector<int> all = data::all_sequences(dataset);
  const double base_mm = data::base_mpjpe(dataset, all);
  const double refined_mm = data::mpjpe(dataset, all, refined);
  warn_if_worse(what, base_mm, refined_mm, "`posetape evaluate` says where");
  return gain_text(base_mm, refined_mm);
}

void warn_if_worse(const std::string& what, double base_mm, double refined_mm,
                   const std::string& advice) {
  if (refined_mm <= base_mm) return;
  fmt::print(stderr, "posetape: warning: {}: refining made the poses worse: {}; {}\n", shown(what),
             gain_text(base_mm, refined_mm), advice);
}

}  // namespace posetape::tools
