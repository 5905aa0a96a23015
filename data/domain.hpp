// What a network was trained on, in a few figures that can be read: kept in its checkpoint, so that
// `lift` and `refine` say when a clip is another matter (another camera, scale or estimator).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace posetape::data {

// A figure of one clip; a person's are medians over its frames.
struct DomainFigure {
  const char* name;  // its key in the checkpoint
  const char* text;  // "the person's size in half image widths"
  double value = 0;
};

// Of pose_2d, image and rate; with `estimate`, also of noisy_3d, which must be there then.
std::vector<DomainFigure> domain_figures(const Sequence& sequence, bool estimate);

// {"person": [low, middle, high], ...}: of the clips that trained, all but 2 % lie between low and
// high. A JSON object, empty where there are no clips.
nlohmann::ordered_json fit_domain(const Dataset& dataset, std::span<const int> sequences,
                                  bool estimate);

// Which clips lie outside, and by which figure, in one line; empty where at most a tenth of them
// does. A figure is outside beyond half of the range to either side of it, and 10 % of its middle.
// `domain` is fit_domain's; of another shape, or null, as checkpoints of earlier versions have it,
// it says nothing.
std::string outside_domain(const Dataset& dataset, const nlohmann::ordered_json& domain,
                           bool estimate);

}  // namespace posetape::data
