#include "tools/input.hpp"

#include <fmt/format.h>

namespace posetape::tools {

data::Dataset read_input(const std::string& path, bool drop_invalid) {
  data::ReadReport report;
  data::Dataset dataset = data::read_dataset(path, {drop_invalid}, &report);
  if (!report.dropped.empty()) {
    fmt::print(stderr, "{}: dropped {} invalid sequences: {}\n", path, report.dropped.size(),
               fmt::join(report.dropped, ", "));
  }
  return dataset;
}

}  // namespace posetape::tools
