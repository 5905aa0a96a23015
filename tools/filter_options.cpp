#include "tools/filter_options.hpp"

#include <fmt/format.h>

#include "tools/commands.hpp"

namespace posetape::tools {

void FilterOptions::add_to(const Command& command, const std::string& otherwise) {
  add_choice(command, "--filter", kind,
             "Over time, after the network (default: " + otherwise + ")");
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

void filter_refined(data::Dataset& dataset, const data::Filter& filter, double fps) {
  for (data::Sequence& s : dataset.sequences) {
    const double own = s.fps_known || fps == 0 ? s.fps : fps;
    s.refined_3d = filter(*s.refined_3d, own);
  }
}

}  // namespace posetape::tools
