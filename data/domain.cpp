#include "data/domain.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "data/figures.hpp"

namespace posetape::data {
namespace {

struct Range {
  double low, middle, high;
};

Range range_of(std::vector<double> values) {
  std::ranges::sort(values);
  const auto at = [&](double share) {
    const double place = share * static_cast<double>(values.size() - 1);
    return values[static_cast<std::size_t>(share < 0.5 ? place : std::ceil(place))];
  };
  return {at(0.02), at(0.5), at(0.98)};
}

bool inside(const Range& range, double value) {
  const double room = 0.5 * (range.high - range.low) + 0.1 * std::fabs(range.middle);
  return value >= range.low - room && value <= range.high + room;
}

std::vector<Range> ranges(const nlohmann::ordered_json& domain,
                          std::span<const DomainFigure> figures, std::vector<bool>& known) {
  std::vector<Range> all;
  for (const DomainFigure& figure : figures) {
    const auto found = domain.find(figure.name);
    const bool good = found != domain.end() && found->is_array() && found->size() == 3 &&
                      std::ranges::all_of(*found, [](const auto& v) { return v.is_number(); });
    known.push_back(good);
    all.push_back(good ? Range{(*found)[0], (*found)[1], (*found)[2]} : Range{});
  }
  return all;
}

}  // namespace

std::vector<DomainFigure> domain_figures(const Sequence& sequence, bool estimate) {
  const double half_width = sequence.image_size[0] / 2.0;
  const ImageFigures image = image_figures(sequence);
  std::vector<DomainFigure> figures{
      {"person", "the person's size in half image widths", image.person / half_width},
      {"aspect", "the image's width / height",
       double(sequence.image_size[0]) / double(sequence.image_size[1])},
      {"fps", "frames a second", sequence.fps},
      {"legs", "legs / torso in the image, which the camera's height changes", image.legs},
      {"hip", "joint 0 off the line of the hips, in torsos", image.hip},
      {"thorax", "the thorax off the line of the shoulders, in torsos", image.thorax}};
  if (!estimate) return figures;
  const BodyFigures body = body_figures(*sequence.noisy_3d, sequence.fps);
  figures.push_back({"lean", "how far the camera looks down, degrees", body.lean});
  figures.push_back({"leg", "thighs and shins of noisy_3d, metres", body.leg});
  figures.push_back({"jitter", "jitter of noisy_3d, mm/frame^2", 1000 * body.jitter});
  figures.push_back({"misfit", "noisy_3d off pose_2d, in body sizes",
                     misfit(sequence, *sequence.noisy_3d, kSameOrder)});
  return figures;
}

nlohmann::ordered_json fit_domain(const Dataset& dataset, std::span<const int> sequences,
                                  bool estimate) {
  std::vector<std::vector<DomainFigure>> clips;
  for (const int i : sequences) {
    clips.push_back(domain_figures(dataset.sequences[static_cast<std::size_t>(i)], estimate));
  }
  nlohmann::ordered_json domain = nlohmann::ordered_json::object();
  if (clips.empty()) return domain;
  for (std::size_t k = 0; k < clips[0].size(); ++k) {
    std::vector<double> values;
    for (const auto& clip : clips) values.push_back(clip[k].value);
    const Range range = range_of(std::move(values));
    domain[clips[0][k].name] = {range.low, range.middle, range.high};
  }
  return domain;
}

std::string outside_domain(const Dataset& dataset, const nlohmann::ordered_json& domain,
                           bool estimate) {
  if (!domain.is_object() || domain.empty()) return {};
  std::vector<std::string> clips;
  std::vector<std::string> figures;  // of the first clip that is outside
  for (const Sequence& sequence : dataset.sequences) {
    const std::vector<DomainFigure> found = domain_figures(sequence, estimate);
    std::vector<bool> known;
    const std::vector<Range> trained = ranges(domain, found, known);
    std::vector<std::string> outside;
    for (std::size_t k = 0; k < found.size(); ++k) {
      if (!known[k] || inside(trained[k], found[k].value)) continue;
      outside.push_back(fmt::format("{} {:.3g} (trained on {:.3g} to {:.3g})", found[k].text,
                                    found[k].value, trained[k].low, trained[k].high));
    }
    if (outside.empty()) continue;
    if (clips.empty()) figures = std::move(outside);
    clips.push_back(sequence.name);
  }
  // Some clips of the training's own kind lie at its borders.
  if (10 * clips.size() <= dataset.sequences.size()) return {};
  // What it cost where it was measured (data/README.md, "What is noticed").
  const char* cost = estimate
                         ? "another estimator's poses became 3 to 41 % worse"
                         : "a lifter's error under other cameras was 1.3 to 2.8 times as large";
  return fmt::format(
      "{} of {} sequences lie outside of what the network was trained on, and may come "
      "out worse ({}); {}: {}",
      clips.size(), dataset.sequences.size(), cost, clips[0], fmt::join(figures, ", "));
}

}  // namespace posetape::data
