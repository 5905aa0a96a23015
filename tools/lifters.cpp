#include "tools/lifters.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

namespace posetape::tools {
namespace {

constexpr const char* kFormat = "posetape lifter 1";

// Throws where the configuration claims what the file has no weights for, before memory is taken
// for it.
void check_claims(const LifterSet& set, const TensorFile& file) {
  double held = 0;
  for (const auto& [name, tensor] : file.tensors) held += static_cast<double>(tensor.size());
  std::visit(
      [&](const auto& c) {
        for (const Index size :
             {c.width, c.depth, c.heads, c.mlp_ratio, Index{set.frames}, Index{set.step}}) {
          if (size < 1 || size > 100000) fail("a size of {}", size);
        }
        // Of each block the linear layers.
        const double claimed = static_cast<double>(c.depth) * static_cast<double>(c.width) *
                               static_cast<double>(c.width) *
                               static_cast<double>(4 + 2 * c.mlp_ratio);
        if (claimed > held) {
          fail("{:.0f} weights of {} blocks {} wide, where the file has {:.0f}", claimed, c.depth,
               c.width, held);
        }
      },
      set.config);
}

}  // namespace

const Lifter& LifterSet::for_subject(std::string_view subject) const {
  for (const Lifter& lifter : lifters) {
    if (std::find(lifter.held_out.begin(), lifter.held_out.end(), subject) !=
        lifter.held_out.end()) {
      return lifter;
    }
  }
  return lifters.front();
}

LifterSet make_lifters(const model::LifterConfig& config, int frames, int step, int folds,
                       const data::Dataset& dataset, const std::vector<int>& train,
                       std::uint64_t seed) {
  LifterSet set{config, frames, step, {}};
  set.lifters.push_back({"full", {}, model::LifterNetwork(config, DType::f32, seed)});
  std::map<std::string, std::int64_t> frames_of;
  for (const int i : train) {
    const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(i)];
    frames_of[std::string(s.subject())] += s.frames();
  }
  folds = std::min(folds, static_cast<int>(frames_of.size()));
  if (folds < 2) return set;

  // The largest subject first, each to the fold that has the fewest frames so far.
  std::vector<std::pair<std::int64_t, std::string>> subjects;
  for (const auto& [name, count] : frames_of) subjects.emplace_back(-count, name);
  std::sort(subjects.begin(), subjects.end());
  std::vector<std::int64_t> filled(static_cast<std::size_t>(folds));
  std::vector<std::vector<std::string>> held_out(static_cast<std::size_t>(folds));
  for (const auto& [count, name] : subjects) {
    const auto least = std::min_element(filled.begin(), filled.end());
    held_out[static_cast<std::size_t>(least - filled.begin())].push_back(name);
    *least -= count;
  }
  for (int f = 0; f < folds; ++f) {
    set.lifters.push_back(
        {fmt::format("fold{}", f + 1), held_out[static_cast<std::size_t>(f)],
         model::LifterNetwork(config, DType::f32, seed + 1 + static_cast<std::uint64_t>(f))});
  }
  return set;
}

void save(const LifterSet& set, TensorFile& file) {
  nlohmann::ordered_json lifters;
  for (const Lifter& lifter : set.lifters) {
    lifters.push_back({{"name", lifter.name}, {"held_out", lifter.held_out}});
    for (const auto& entry : lifter.network.parameters().entries()) {
      file.tensors.emplace_back(lifter.name + "." + entry.name, entry.master);
    }
  }
  file.metadata["format"] = kFormat;
  file.metadata["config"] = std::visit(
      [&](const auto& c) {
        return nlohmann::ordered_json{{"model", model::lifter_name(set.config)},
                                      {"width", c.width},
                                      {"depth", c.depth},
                                      {"heads", c.heads},
                                      {"mlp_ratio", c.mlp_ratio},
                                      {"frames", set.frames},
                                      {"step", set.step},
                                      {"lifters", lifters}}
            .dump();
      },
      set.config);
}

LifterSet load_lifters(const TensorFile& file, const std::string& path, Device device,
                       DType dtype) {
  const auto format = file.metadata.find("format");
  const std::string found = format == file.metadata.end() ? "none" : format->second;
  if (!found.starts_with("posetape lifter")) {
    fail(
        "{}: not a lifter checkpoint (its format is \"{}\"); make one with `posetape train lifter`",
        path, found);
  }
  if (found != kFormat) {
    fail("{}: written by another version ({}); this one reads \"{}\"", path, found, kFormat);
  }
  LifterSet set;
  try {
    const auto j = nlohmann::json::parse(file.metadata.at("config"));
    set.frames = j.at("frames").get<int>();
    set.step = j.value("step", 1);
    set.config = model::lifter_config(j.at("model").get<std::string>());
    std::visit(
        [&](auto& c) {
          c.width = j.at("width").get<Index>();
          c.depth = j.at("depth").get<Index>();
          c.heads = j.at("heads").get<Index>();
          c.mlp_ratio = j.at("mlp_ratio").get<Index>();
        },
        set.config);
    model::set_frames(set.config, set.frames);
    check_claims(set, file);
    for (const auto& lifter : j.at("lifters")) {
      set.lifters.push_back({lifter.at("name").get<std::string>(),
                             lifter.at("held_out").get<std::vector<std::string>>(),
                             model::LifterNetwork(set.config, dtype, 0, device)});
    }
  } catch (const std::exception& error) {
    fail("{}: the lifter's configuration is not readable ({}); was it written by another version?",
         path, error.what());
  }
  if (set.lifters.empty()) fail("{}: holds no lifter", path);
  file.check_finite(path);
  for (Lifter& lifter : set.lifters) {
    lifter.network.parameters().load(
        [&](const std::string& name) {
          const std::string full = lifter.name + "." + name;
          return file.contains(full) ? file.at(full) : Tensor();
        },
        path);
  }
  return set;
}

}  // namespace posetape::tools
