// A file's poses scored against the truth, as `evaluate` and `report` do it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/report_table.hpp"

namespace posetape::tools {

enum class Subjects { test, train, all };
constexpr auto choices(Subjects) {
  using enum Subjects;
  return make_choices<Subjects>("subjects", {{test, "test"}, {train, "train"}, {all, "all"}});
}

// Indices of the sequences of these subjects; all of them in a file that names no test subjects.
std::vector<int> chosen_sequences(const data::Dataset& dataset, Subjects subjects);

struct ScoringOptions {
  data::ProtocolName protocol = data::ProtocolName::sequence;
  int frames = 0;  // T of the windows; 0: as the file says
  std::uint64_t seed = 1;
};

// The base estimates against the truth, and the refined ones where there are any. Throws Error,
// with the path, where sequences lack poses.
data::Comparison compare(const data::Dataset& dataset, const std::string& path,
                         std::span<const int> sequences, const ScoringOptions& options);

// "base 118.05 mm, refined 77.01 mm (-34.8 %)"
std::string gain_text(double base_mm, double refined_mm);
// Of a dataset with the truth, that of all sequences, with the warning below; "" without it, or
// without refined poses. `what` they are.
std::string gain_of(const data::Dataset& dataset, const std::string& what);
// Says so in a warning where poses became worse; `what` they are, and what may help.
void warn_if_worse(const std::string& what, double base_mm, double refined_mm,
                   const std::string& advice);

}  // namespace posetape::tools
