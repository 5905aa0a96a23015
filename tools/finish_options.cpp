#include "tools/finish_options.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/commands.hpp"

namespace posetape::tools {

void FinishOptions::add_to(const Command& command, const std::string& otherwise) {
  add_choice(command, "--filter", kind,
             "Over time, after the network (default: savitzky-golay; none " + otherwise + ")");
  add_choice(command, "--bone-lengths", bone_lengths,
             "After that (default: constant; free " + otherwise + ")");
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

nlohmann::ordered_json finish(data::Dataset& dataset, const FinishOptions& options, double fps) {
  const bool constant = options.bone_lengths == data::BoneLengths::constant;
  for (data::Sequence& s : dataset.sequences) {
    const double own = s.fps_known || fps == 0 ? s.fps : fps;
    s.refined_3d = options.filter(*s.refined_3d, own);
    if (constant) s.refined_3d = data::with_constant_bones(*s.refined_3d);
  }
  nlohmann::ordered_json made = nlohmann::ordered_json::object();
  if (options.filter.kind != data::FilterKind::none) made["filter"] = name(options.filter.kind);
  made.update(options.filter.provenance());
  if (constant) made["bone_lengths"] = name(*options.bone_lengths);
  return made;
}

}  // namespace posetape::tools
