// Who is who in a clip with several people: detections of frames become people over time.
#pragma once

#include <string>
#include <vector>

#include "data/keypoint_formats.hpp"

namespace posetape::data {

// One person: the detections by number, a frame at most once, in time.
struct Person {
  std::vector<std::size_t> detections;
  std::int64_t id = -1;  // the tool's own number, where it gives one
  double size = 0;       // the extent in the image, summed over the frames
};

// The people of a clip, the largest first (size and number of frames together); detections in which
// no keypoint is seen are nobody's. Where the format has one person, it is that one. Where the tool
// numbered them, its numbers count. Else a detection belongs to whom it lies nearest to among those
// seen in the last `gap` frames, within half a body's size; one who comes back later is taken for
// the same person where nobody else of that size was there.
std::vector<Person> find_people(const KeypointClip& clip, std::int64_t gap);

}  // namespace posetape::data
