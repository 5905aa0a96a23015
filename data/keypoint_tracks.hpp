// From what a tool saw in a clip to one person's keypoints in frames one after another.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/keypoint_formats.hpp"

namespace posetape::data {

// What coordinates of 2D keypoints are.
enum class ImageCoordinates { pixels, fractions, screen, range };
constexpr auto choices(ImageCoordinates) {
  using enum ImageCoordinates;
  return make_choices<ImageCoordinates>("coordinates",
                                        {{pixels, "pixels"},
                                         {fractions, "fractions", "0 to 1 of width and height"},
                                         {screen, "screen", "VideoPose3D's: -1 to 1 of the width"},
                                         {range, "range", "-1 to 1 of width and of height"}});
}

struct TrackOptions {
  std::optional<KeypointFormat> format;          // none: told from the content
  std::optional<KeypointLayout> layout;          // none: as the file says, or looks
  std::optional<double> fps;                     // none: as the file says, else 50
  std::array<std::int32_t, 2> image_size{0, 0};  // where the file does not say it; 0: it must
  std::optional<ImageCoordinates> coordinates;   // none: as the format has them
  int person = 0;             // 1: the largest, 2: the next ...; 0: the largest; -1: all
  double min_confidence = 0;  // below it a keypoint counts as not seen
};

// One person in frames [first_frame, first_frame + track.frames()) of a clip, in which nobody was
// seen for half a second at most.
struct TrackPiece {
  std::string
      name;  // of the sequence; of the second piece of a clip "<subject>/<action>_2/<camera>"
  KeypointLayout layout = KeypointLayout::h36m;
  std::int64_t first_frame = 0;
  KeypointTrack track;  // pixels, or an estimate's units
  std::array<std::int32_t, 2> image_size{0, 0};
  double fps = 0;
};

// The pieces of a clip. What a user should know goes to `notes`, a line each: who is followed,
// where a clip is split, which layout was found. `where` starts the message of an Error: no such
// person, a layout with other keypoints, none that is known, no image size, coordinates that are no
// pixels, confidences below 0.
std::vector<TrackPiece> track_pieces(const KeypointClip& clip, const TrackOptions& options,
                                     const std::string& where, std::vector<std::string>& notes);

}  // namespace posetape::data
