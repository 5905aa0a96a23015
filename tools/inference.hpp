// Trained networks at work on a dataset in memory: what `lift` and `refine` do between reading and
// writing, and `pose` one after the other. What doesn't fit is said on standard error.
#pragma once

#include <optional>
#include <string>

#include "data/dataset.hpp"
#include "tools/commands.hpp"
#include "tools/finish_options.hpp"
#include "tools/recipe.hpp"
#include "tools/view_options.hpp"
#include "tools/window_options.hpp"

namespace posetape::tools {

struct LiftOptions {
  Common common;
  DType precision = DType::f32;
  std::string checkpoint;
  std::string input;  // where the dataset came from, for messages
  WindowOptions windows;
  ViewOptions view;
  bool in_sample = false;      // training sequences by the full lifter, too
  bool with_estimate = false;  // the mean of it and the noisy_3d that is there
  bool quiet = false;
};
void add_with_estimate(const Command& command, bool& with_estimate);
// Makes noisy_3d of every sequence.
void lift(const LiftOptions& options, data::Dataset& dataset);

// Corrections without a network, to compare with.
enum class Control { bias, linear, savitzky_golay, one_euro };
constexpr auto choices(Control) {
  using enum Control;
  return make_choices<Control>("control", {{bias, "bias", "each joint's mean error is subtracted"},
                                           {linear, "linear", "x_noisy - mu(y, x_noisy)"},
                                           {savitzky_golay, "savitzky-golay", "no checkpoint"},
                                           {one_euro, "one-euro", "no checkpoint"}});
}

struct RefineOptions {
  Common common;
  DType precision = DType::f32;
  std::string checkpoint;
  std::string input;         // as above
  std::optional<int> steps;  // K of a network that has steps, else 2
  int frames = 0;            // what the checkpoint's windows are to have; 0: any
  std::optional<Control> control;
  double strength = 1;  // of the way from the estimate to what the network makes of it
  Recipe recipe = Recipe::best;
  FinishOptions finish;
  WindowOptions windows;
  ViewOptions view;
  std::optional<int>
      delay;  // D: each clip is refined as frames as they come (diffusion/stream.hpp)
  bool quiet = false;
};
// Makes refined_3d of every sequence, which needs noisy_3d.
void refine(const RefineOptions& options, data::Dataset& dataset);

}  // namespace posetape::tools
