#include "tools/window_options.hpp"

#include <cstdint>

#include "engine/error.hpp"
#include "tools/commands.hpp"

namespace posetape::tools {

void WindowOptions::add_to(const Command& command) {
  add_choice(command, "--protocol", protocol, "How windows are made (data/README.md)");
  command
      .add_option("--stride", stride,
                  "Frames from window to window (default: half a window, which leaves no seam "
                  "and takes twice as long as a whole one; a whole window for the protocol "
                  "mixste-seq2seq)")
      .positive();
  add_choice(command, "--overlap", overlap,
             "Frames that are in several windows (default: smooth; average for mixste-seq2seq)");
  command
      .add_option(
          "--step", step,
          "Frames from one frame of a window to the next: STCFormer's tds (default: what the "
          "network was trained with)")
      .positive();
  command.add_flag(
      "--flip-average,!--no-flip-average", [this](bool on) { flip_average = on; },
      "Average with the result for the mirror image (default: the protocol's)");
  command.add_option("--batch", batch, "Windows at a time").positive().show_default();
}

WindowOptions::Choice WindowOptions::choose(int frames, int own_step) const {
  const data::Protocol chosen = data::protocol_of(protocol);
  const bool centre = chosen.windows == data::WindowRule::centre_frame;
  if (centre && stride) {
    fail("--stride {}: protocol {} has a window for every frame; leave --stride out", *stride,
         name(protocol));
  }
  const int apart = step.value_or(own_step);
  if (chosen.counting == data::Counting::each_window && apart != 1) {
    fail(
        "protocol {} has windows of consecutive frames, and these are {} apart; give --step 1, or "
        "choose another protocol",
        name(protocol), apart);
  }
  if (stride && *stride > frames) {
    fail("--stride {}: windows have {} frames; it must not exceed that", *stride, frames);
  }
  const bool seamless = protocol == data::ProtocolName::sequence;
  const int own_stride = seamless ? data::seamless_stride(frames) : frames;
  const data::WindowCut cut{
      chosen.windows, frames, centre ? 1 : stride.value_or(own_stride), apart,
      overlap.value_or(seamless ? data::Overlap::smooth : data::Overlap::average)};
  return {chosen,
          {.windows = cut,
           .flip_average = flip_average.value_or(chosen.flip_average),
           .root = chosen.root,
           .batch = batch,
           .last_windows = data::keeps_last_windows(chosen, cut)}};
}

}  // namespace posetape::tools
