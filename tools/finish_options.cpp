#include "tools/finish_options.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "engine/error.hpp"
#include "tools/commands.hpp"
#include "tools/files.hpp"

namespace posetape::tools {
namespace {

void plant(data::Sequence& s, double fps) {
  data::PlantedFeet result = data::plant_feet(s, *s.refined_3d, fps);
  s.refined_3d = std::move(result.poses);
  s.refined_root.emplace();
  s.feet_down.emplace();
  for (std::size_t f = 0; f < result.root.size(); ++f) {
    for (const double v : result.root[f]) s.refined_root->push_back(static_cast<float>(v));
    for (const auto& down : result.down) s.feet_down->push_back(down[f] ? 1.0F : 0.0F);
  }
}

}  // namespace

void FinishOptions::add_to(const Command& command, const std::string& otherwise) {
  add_choice(command, "--filter", kind,
             "Over time, after the network (default: savitzky-golay; none " + otherwise + ")");
  add_choice(command, "--bone-lengths", bone_lengths,
             "After that (default: constant; free " + otherwise + ")");
  add_choice(command, "--feet", feet, "At last");
  command
      .add_option("--smoothing-window", filter.window,
                  fmt::format("savitzky-golay: frames, odd (default: those of {} s)",
                              data::Filter::kSeconds))
      .positive();
  command.add_option("--smoothing-degree", filter.degree, "savitzky-golay: of the polynomial")
      .show_default();
  command.add_option("--min-cutoff", filter.one_euro.min_cutoff, "one-euro: Hz at rest")
      .show_default();
  command.add_option("--beta", filter.one_euro.beta, "one-euro: Hz more for each m/s")
      .show_default();
  command
      .add_option("--derivative-cutoff", filter.one_euro.derivative_cutoff,
                  "one-euro: Hz, of the speed")
      .show_default();
}

void FinishOptions::choose(bool by_default) {
  filter.kind = kind.value_or(by_default ? filter.kind : data::FilterKind::none);
  if (!bone_lengths) {
    bone_lengths = by_default ? data::BoneLengths::constant : data::BoneLengths::free;
  }
}

void check_lenses(const data::Dataset& dataset, const FinishOptions& options,
                  const std::string& path) {
  if (options.feet == data::Feet::free) return;
  for (const data::Sequence& s : dataset.sequences) {
    if (s.intrinsics) continue;
    fail(
        "{}: sequence {} has no lens, without which nobody knows whether a foot slides; give "
        "--intrinsics fx,fy,cx,cy or --camera FILE, or leave --feet planted out",
        shown(path), s.name);
  }
}

nlohmann::ordered_json finish(data::Dataset& dataset, const FinishOptions& options, double fps) {
  const bool constant = options.bone_lengths == data::BoneLengths::constant;
  const bool planted = options.feet == data::Feet::planted;
  for (data::Sequence& s : dataset.sequences) {
    const double own = s.fps_known || fps == 0 ? s.fps : fps;
    s.refined_3d = options.filter(*s.refined_3d, own);
    if (constant) s.refined_3d = data::with_constant_bones(*s.refined_3d);
    if (planted) plant(s, own);
  }
  nlohmann::ordered_json made = nlohmann::ordered_json::object();
  if (options.filter.kind != data::FilterKind::none) made["filter"] = name(options.filter.kind);
  made.update(options.filter.provenance());
  if (constant) made["bone_lengths"] = name(*options.bone_lengths);
  if (planted) made["feet"] = name(options.feet);
  return made;
}

}  // namespace posetape::tools
