#include "tools/report/training.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <vector>

#include "data/printable.hpp"
#include "engine/error.hpp"
#include "tools/report/encoding.hpp"

namespace posetape::tools::report {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array kKeys{"epoch", "loss", "validation_mm", "lr", "seconds", "best"};

struct Run {
  std::string label;
  std::map<int, Json> epochs;  // the log's own entries
};

Json value(const Json& entry, const std::string& key) {
  const auto found = entry.find(key);
  if (found == entry.end()) return nullptr;
  return found->is_number_float() ? Json(rounded(found->get<double>())) : *found;
}

Json run_json(const Run& run) {
  Json json{{"label", run.label}, {"epochs", Json::object()}, {"norms", Json::object()}};
  for (const char* key : kKeys) {
    for (const auto& [number, entry] : run.epochs) {
      json["epochs"][key].push_back(value(entry, key));
    }
  }
  std::size_t row = 0;
  for (const auto& [number, entry] : run.epochs) {
    if (const auto norms = entry.find("gradient_norms"); norms != entry.end()) {
      for (const auto& [block, norm] : norms->items()) {
        Json& list = json["norms"][block];
        while (list.size() < row) list.push_back(nullptr);
        list.push_back(value(*norms, block));
      }
    }
    ++row;
  }
  return json;
}

}  // namespace

Json training_json(const std::string& path) {
  std::ifstream file(path);
  if (!file) fail("{}: cannot be read; give the log that `posetape train` has written", path);
  std::vector<Run> runs;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.empty()) continue;
    const Json entry = Json::parse(line, nullptr, false);
    if (entry.is_discarded()) {
      fail("{}: line {} is not JSON: {}; give the log that `posetape train` has written", path,
           number, data::printable(line));
    }
    if (!entry.is_object() || !entry.contains("loss")) continue;
    const Json epoch = value(entry, "epoch");
    if (!epoch.is_number_integer()) continue;
    const Json model = value(entry, "model");
    const std::string label = model.is_string() ? model.get<std::string>() : "training";
    auto run = std::ranges::find(runs, label, &Run::label);
    if (run == runs.end()) run = runs.insert(run, {label, {}});
    run->epochs[epoch.get<int>()] = entry;
  }
  if (runs.empty()) {
    fail("{}: has no line of an epoch; give the log that `posetape train` has written", path);
  }
  Json list = Json::array();
  for (const Run& run : runs) list.push_back(run_json(run));
  return list;
}

}  // namespace posetape::tools::report
