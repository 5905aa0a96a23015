// The report's training section: logs of `posetape train`.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace posetape::tools::report {

// The runs of a log of JSON lines, in the order in which they begin, each
// {"label", "epochs": {key: [a value for each epoch]}, "norms": {block: [...]}}. Lines that are not
// of an epoch are left out, and of an epoch that is logged twice (a resumed run) the last counts.
// Throws Error, with the line, on one that is not JSON, and where there is no epoch.
nlohmann::ordered_json training_json(const std::string& path);

}  // namespace posetape::tools::report
