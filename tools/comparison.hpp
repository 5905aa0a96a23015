// A file's poses scored against the truth, as `evaluate` and `report` do it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/report_table.hpp"

namespace posetape::tools {

// Indices of the sequences of "test" or "train" subjects or "all"; all of them in a file that names
// no test subjects.
std::vector<int> chosen_sequences(const data::Dataset& dataset, const std::string& subjects);

struct ScoringOptions {
  std::string protocol = "sequence";
  int frames = 0;  // T of the windows; 0: as the file says
  std::uint64_t seed = 1;
};

// The base estimates against the truth, and the refined ones where there are any. Throws Error,
// with the path, where sequences lack poses.
data::Comparison compare(const data::Dataset& dataset, const std::string& path,
                         std::span<const int> sequences, const ScoringOptions& options);

}  // namespace posetape::tools
