#include "tools/quality.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "data/planted_feet.hpp"
#include "data/quality.hpp"
#include "data/text_table.hpp"

namespace posetape::tools {
namespace {

// "before -> after", or the one that there is.
std::string from_to(const std::optional<data::Quality>& base,
                    const std::optional<data::Quality>& refined, double data::Quality::*figure,
                    int digits) {
  std::string text = base ? fmt::format("{:.{}f}", *base.*figure, digits) : "";
  if (base && refined) text += " -> ";
  return refined ? text + fmt::format("{:.{}f}", *refined.*figure, digits) : text;
}

std::optional<data::Quality> quality_of(const std::optional<data::PoseArray>& poses, double fps) {
  if (!poses) return std::nullopt;
  return data::quality(*poses, fps);
}

// Of a clip with planted feet, the base on the same way, and as refined.
std::string slide(const data::Sequence& s) {
  if (!s.refined_root || !s.feet_down) return "-";
  const double refined = data::foot_slide(*s.refined_3d, *s.refined_root, *s.feet_down);
  if (!s.noisy_3d) return fmt::format("{:.2f}", refined);
  return fmt::format("{:.2f} -> {:.2f}",
                     data::foot_slide(*s.noisy_3d, *s.refined_root, *s.feet_down), refined);
}

}  // namespace

std::string quality_table(const data::Dataset& dataset, std::size_t most) {
  std::vector<std::vector<std::string>> rows{{"Clip", "frames", "guessed joints",
                                              "jitter (mm/frame^2)", "peak speed (m/s)",
                                              "bones vary by"}};
  const bool feet = std::ranges::any_of(
      dataset.sequences, [](const data::Sequence& s) { return s.feet_down.has_value(); });
  if (feet) rows[0].push_back("feet slide (mm/frame)");
  std::string doubts;
  std::size_t clips = 0;
  for (const data::Sequence& s : dataset.sequences) {
    const auto base = quality_of(s.noisy_3d, s.fps);
    const auto refined = quality_of(s.refined_3d, s.fps);
    if (!base && !refined) continue;
    ++clips;
    const int turns = (refined ? refined : base)->turn_rounds;
    if (turns > 0) {
      doubts += fmt::format(
          "{}: turns round within 0.2 s {} times: look there whether left and right, or front and "
          "back, were mistaken for each other\n",
          s.name, turns);
    }
    if (rows.size() > most) continue;
    const double guessed = data::guessed_share(s);
    rows.push_back({s.name, fmt::format("{}", s.frames()),
                    guessed < 0 ? "-" : fmt::format("{:.1f} %", guessed),
                    from_to(base, refined, &data::Quality::jitter, 1),
                    from_to(base, refined, &data::Quality::peak_speed, 2),
                    from_to(base, refined, &data::Quality::bone_spread, 1) + " %"});
    if (feet) rows.back().push_back(slide(s));
  }
  std::string text = data::text_table(rows);
  if (clips > most) text += fmt::format("... and {} clips more\n", clips - most);
  return text + doubts;
}

}  // namespace posetape::tools
