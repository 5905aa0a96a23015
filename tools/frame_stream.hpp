// Frames through a network as they come: standard input to standard output (`refine --stream`).
#pragma once

#include <array>
#include <cstdint>
#include "tools/command_line.hpp"

#include "diffusion/resampled_stream.hpp"
#include "engine/choices.hpp"

namespace posetape::tools {

// How frames are written on standard input; data/README.md says more.
enum class FrameInput { json, raw, raw_confidence };
constexpr auto choices(FrameInput) {
  using enum FrameInput;
  return make_choices<FrameInput>(
      "input format", {{json, "json", "a line a frame"},
                       {raw, "raw", "float32: pose_2d, noisy_3d; 340 bytes a frame"},
                       {raw_confidence, "raw-confidence", "and confidence; 408 bytes"}});
}
enum class FrameOutput { json, raw };
constexpr auto choices(FrameOutput) {
  using enum FrameOutput;
  return make_choices<FrameOutput>(
      "output format",
      {{json, "json", "a line a frame"}, {raw, "raw", "float32: refined_3d; 204 bytes a frame"}});
}

struct StreamOptions {
  bool stream = false;
  std::array<std::int32_t, 2> image_size{0, 0};
  double fps = 0;  // 0: not known
  FrameInput input = FrameInput::json;
  FrameOutput output = FrameOutput::json;

  void add_to(const Command& command);
};

struct StreamFigures {
  std::int64_t frames = 0;
  double seconds = 0;  // at work, without what was waited for
};

// Pushes the frames of standard input until its end, and writes each result to standard output at
// once. Ends in silence where nobody reads that any longer. Throws Error with the line, or the
// frame, for what is no frame.
StreamFigures run(diffusion::ResampledStream& stream, const StreamOptions& options);

}  // namespace posetape::tools
