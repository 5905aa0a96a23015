#include "data/keypoint_tracks.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/gaps.hpp"
#include "data/missing_joints.hpp"
#include "data/people.hpp"
#include "data/printable.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr double kUsualFps = 50;
constexpr int kFewestKeypoints = 3;  // of a person who is there
constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

std::string frames_text(std::int64_t begin, std::int64_t end) {
  return end - begin == 1 ? fmt::format("frame {}", begin)
                          : fmt::format("frames {} to {} ({})", begin, end - 1, end - begin);
}

// ---- One person's keypoints ----

// Makes missing keypoints NaN with confidence 0, and all confidences numbers from 0 to 1.
class Cleaner {
 public:
  Cleaner(const KeypointClip& clip, const TrackOptions& options, const std::string& where)
      : clip_(clip), options_(options), where_(where) {}

  // How many keypoints are there.
  int clean(Detection& d) {
    const auto keypoints = static_cast<std::size_t>(clip_.keypoints);
    const auto channels = static_cast<std::size_t>(clip_.channels);
    if (d.values.size() != keypoints * channels) {
      fail("{}: frame {} has {} numbers for {} keypoints", where_, d.frame, d.values.size(),
           keypoints);
    }
    if (d.confidence.empty()) d.confidence.assign(keypoints, 1);
    // 3D may have a keypoint at the origin, but not all of them.
    const bool nowhere =
        std::ranges::all_of(d.values, [](float v) { return v == 0 || !std::isfinite(v); });
    int there = 0;
    for (std::size_t k = 0; k < keypoints; ++k) {
      float* p = d.values.data() + k * channels;
      float& sure = d.confidence[k];
      check(sure, d.frame, k);
      const bool missing = nowhere || !(sure > 0) || sure < options_.min_confidence ||
                           (channels == 2 && p[0] == 0 && p[1] == 0) ||
                           !std::all_of(p, p + channels, [](float v) { return std::isfinite(v); });
      if (missing) {
        std::fill(p, p + channels, kNone);
        sure = 0;
      } else {
        ++there;
        above_ += sure > 1 ? 1 : 0;
        sure = std::min(sure, 1.0f);
      }
    }
    return there;
  }

  std::int64_t above() const { return above_; }

 private:
  void check(float sure, std::int64_t frame, std::size_t keypoint) const {
    if (!(sure < -1e-3f || sure > 100)) return;
    fail("{}: frame {}, keypoint {}: the confidence is {}; {}", where_, frame, keypoint, sure,
         clip_.channels == 2
             ? "if the third column is a depth, `posetape prepare estimates` reads it"
             : "expected numbers from 0 to 1");
  }

  const KeypointClip& clip_;
  const TrackOptions& options_;
  const std::string& where_;
  std::int64_t above_ = 0;
};

// Detections of one person that are there, in time.
std::vector<Detection> cleaned(const KeypointClip& clip, const Person& person,
                               const TrackOptions& options, const std::string& where,
                               std::vector<std::string>& notes) {
  Cleaner cleaner(clip, options, where);
  std::vector<Detection> result;
  const int needed = std::min(kFewestKeypoints, clip.keypoints);
  for (const std::size_t i : person.detections) {
    Detection detection = clip.detections[i];
    if (cleaner.clean(detection) >= needed) result.push_back(std::move(detection));
  }
  if (cleaner.above() > 0) {
    notes.push_back(
        fmt::format("{}: {} confidences above 1 count as 1", clip.name, cleaner.above()));
  }
  return result;
}

// A piece's frames one after another; those without a detection are missing.
KeypointTrack dense(const KeypointClip& clip, std::span<const Detection> detections,
                    std::int64_t begin, std::int64_t end) {
  const auto frames = static_cast<std::size_t>(end - begin);
  const auto keypoints = static_cast<std::size_t>(clip.keypoints);
  const auto channels = static_cast<std::size_t>(clip.channels);
  KeypointTrack track{clip.keypoints, clip.channels,
                      std::vector<float>(frames * keypoints * channels, kNone),
                      std::vector<float>(frames * keypoints)};
  for (const Detection& d : detections) {
    const auto f = static_cast<std::ptrdiff_t>(d.frame - begin);
    std::ranges::copy(d.values, track.values.begin() + f * std::ptrdiff_t(keypoints * channels));
    std::ranges::copy(d.confidence, track.confidence.begin() + f * std::ptrdiff_t(keypoints));
  }
  return track;
}

// ---- Layout ----

std::string layout_names(const std::vector<KeypointLayout>& layouts) {
  std::vector<std::string> names;
  for (const KeypointLayout l : layouts) names.emplace_back(name(l));
  return fmt::format("{}", fmt::join(names, ", "));
}

KeypointLayout find_layout(const KeypointClip& clip, const TrackOptions& options,
                           std::span<const Detection> detections, const std::string& where,
                           std::vector<std::string>& notes) {
  const std::optional<KeypointLayout> stated = options.layout ? options.layout : clip.layout;
  if (stated && !has_count(*stated, clip.keypoints)) {
    fail("{}: the layout '{}' has {} joints, found {}; give the detector's with --layout", where,
         name(*stated), keypoint_count(*stated), clip.keypoints);
  }
  const std::vector<KeypointLayout> possible = layouts_with(clip.keypoints);
  if (possible.empty()) {
    fail("{}: no layout that is known has {} keypoints; known are: {}", where, clip.keypoints,
         names_of<KeypointLayout>(kChoices<KeypointLayout>.list));
  }
  if (possible.size() == 1) return possible[0];
  // Some of the frames, which need not lie one after another here.
  constexpr std::size_t kLooked = 400;
  const std::size_t step = detections.size() / kLooked + 1;
  std::vector<Detection> looked;
  for (std::size_t i = 0; i < detections.size(); i += step) {
    looked.push_back(detections[i]);
    looked.back().frame = std::int64_t(looked.size()) - 1;
  }
  const auto found = likeliest_layout(possible, dense(clip, looked, 0, std::ssize(looked)));
  if (stated) {
    if (found && *found != *stated) {
      notes.push_back(fmt::format("{}: the skeleton looks like {} rather than {}; look at --layout",
                                  clip.name, name(*found), name(*stated)));
    }
    return *stated;
  }
  if (!found) {
    fail("{}: does not say its layout, and its {} keypoints may be {}; give it with --layout",
         where, clip.keypoints, layout_names(possible));
  }
  notes.push_back(fmt::format("{}: the skeleton looks like {}", clip.name, name(*found)));
  return *found;
}

// ---- Coordinates ----

// Pixels lie further apart.
bool look_normalised(std::span<const Detection> detections) {
  constexpr float kMost = 3;
  bool any = false;
  for (const Detection& d : detections) {
    for (const float v : d.values) {
      if (!std::isfinite(v)) continue;
      if (std::abs(v) > kMost) return false;
      any = true;
    }
  }
  return any;
}

void to_pixels(std::vector<Detection>& detections, ImageCoordinates coordinates,
               const std::array<std::int32_t, 2>& size) {
  const auto width = static_cast<float>(size[0]);
  const auto height = static_cast<float>(size[1]);
  for (Detection& d : detections) {
    for (std::size_t i = 0; i + 1 < d.values.size(); i += 2) {
      float& x = d.values[i];
      float& y = d.values[i + 1];
      if (coordinates == ImageCoordinates::fractions) {
        x *= width;
        y *= height;
      } else if (coordinates == ImageCoordinates::range) {
        x = (x + 1) / 2 * width;
        y = (y + 1) / 2 * height;
      } else if (coordinates == ImageCoordinates::screen) {
        x = (x + 1) / 2 * width;
        y = y / 2 * width + height / 2;
      }
    }
  }
}

void place_in_image(const KeypointClip& clip, const TrackOptions& options,
                    std::vector<Detection>& detections, std::array<std::int32_t, 2>& size,
                    const std::string& where) {
  if (options.image_size[0] > 0) size = options.image_size;
  if (clip.image_size[0] > 0) {
    if (options.image_size[0] > 0 && options.image_size != clip.image_size) {
      fail("{}: its images are {} x {}, as it says; leave --image-size {},{} out", where,
           clip.image_size[0], clip.image_size[1], size[0], size[1]);
    }
    size = clip.image_size;
  }
  if (size[0] == 0) {
    fail("{}: the file does not say how large the images are; give it with --image-size", where);
  }
  const auto usual = clip.fractions ? ImageCoordinates::fractions : ImageCoordinates::pixels;
  const ImageCoordinates coordinates = options.coordinates.value_or(usual);
  if (coordinates == ImageCoordinates::pixels && look_normalised(detections)) {
    fail(
        "{}: expected pixels, found coordinates that are all below 3, which are normalised; say "
        "how "
        "with --coordinates (fractions, screen or range)",
        where);
  }
  to_pixels(detections, coordinates, size);
}

// ---- Pieces ----

// "<subject>/<action><suffix>/<camera>".
std::string with_suffix(const std::string& name, const std::string& suffix) {
  const std::size_t slash = name.rfind('/');
  return slash == std::string::npos ? name + suffix
                                    : name.substr(0, slash) + suffix + name.substr(slash);
}

// Runs of detections between which nobody is missing for long.
std::vector<std::span<const Detection>> runs(std::span<const Detection> detections, int longest) {
  std::vector<std::span<const Detection>> result;
  std::size_t begin = 0;
  for (std::size_t i = 1; i <= detections.size(); ++i) {
    const bool end =
        i == detections.size() || detections[i].frame - detections[i - 1].frame - 1 > longest;
    if (!end) continue;
    result.push_back(detections.subspan(begin, i - begin));
    begin = i;
  }
  return result;
}

class Splitter {
 public:
  Splitter(const KeypointClip& clip, const TrackOptions& options, const std::string& where,
           std::vector<std::string>& notes)
      : clip_(clip), options_(options), where_(where), notes_(notes) {
    fps_ = options.fps.value_or(clip.fps > 0 ? clip.fps : kUsualFps);
    longest_ = std::min(longest_gap(fps_), 10'000);
  }

  std::vector<TrackPiece> split() {
    people_ = find_people(clip_, longest_);
    std::vector<TrackPiece> pieces;
    if (people_.empty()) fail_nobody();
    if (options_.person > int(people_.size())) {
      fail("{}: there is no person {}: {}", where_, options_.person, people_text(people_));
    }
    if (options_.person < 0) {
      for (std::size_t p = 0; p < people_.size(); ++p) {
        const auto suffix = people_.size() == 1 ? "" : fmt::format("_person{}", p + 1);
        add_person(people_[p], suffix, pieces);
      }
      return pieces;
    }
    const std::size_t chosen = static_cast<std::size_t>(std::max(options_.person, 1)) - 1;
    if (people_.size() > 1) {
      notes_.push_back(fmt::format("{}: {}; followed is person {} (--person N, or all)", clip_.name,
                                   people_text(people_), chosen + 1));
    }
    add_person(people_[chosen], "", pieces);
    return pieces;
  }

 private:
  [[noreturn]] void fail_nobody() const {
    fail("{}: no frame has {} keypoints or more{}", where_, kFewestKeypoints,
         options_.min_confidence > 0 ? "; lower --min-confidence"
                                     : "; look at what the detector saw");
  }

  // Whether somebody else is there in frames [begin, end).
  bool has_others(const Person& person, std::int64_t begin, std::int64_t end) const {
    const auto frame = [&](std::size_t i) { return clip_.detections[i].frame; };
    return std::ranges::any_of(people_, [&](const Person& other) {
      const auto found = std::ranges::lower_bound(other.detections, begin, {}, frame);
      return &other != &person && found != other.detections.end() && frame(*found) < end;
    });
  }

  // Why the person is not in frames [begin, end).
  std::string absence(const Person& person, std::int64_t begin, std::int64_t end) const {
    const std::string frames = frames_text(begin, end);
    return has_others(person, begin, end) ? frames + " left out: another person is followed"
                                          : fmt::format("nobody in {}, left out", frames);
  }

  static std::string people_text(const std::vector<Person>& people) {
    std::string text =
        fmt::format("{} {}", people.size(), people.size() == 1 ? "person" : "people");
    for (std::size_t p = 0; p < people.size() && p < 5; ++p) {
      const std::size_t frames = people[p].detections.size();
      text += fmt::format("{}{} in {} frame{}", p == 0 ? ": " : ", ", p + 1, frames,
                          frames == 1 ? "" : "s");
      if (people[p].id >= 0) text += fmt::format(" (the file's {})", people[p].id);
    }
    return people.size() > 5 ? text + ", ..." : text;
  }

  void add_person(const Person& person, const std::string& suffix,
                  std::vector<TrackPiece>& pieces) {
    std::vector<Detection> detections = cleaned(clip_, person, options_, where_, notes_);
    if (detections.empty()) fail_nobody();
    const KeypointLayout layout = find_layout(clip_, options_, detections, where_, notes_);
    std::array<std::int32_t, 2> size{0, 0};
    if (clip_.channels == 2) place_in_image(clip_, options_, detections, size, where_);
    const std::string base = with_suffix(clip_.name, suffix);
    const auto parts = runs(detections, longest_);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto [begin, end] = extent(person, parts, i);
      const std::string name = i == 0 ? base : with_suffix(base, fmt::format("_{}", i + 1));
      if (i > 0) {
        notes_.push_back(fmt::format(
            "{}: {}; what follows is {}", base,
            absence(person, parts[i - 1].back().frame + 1, parts[i].front().frame), name));
      }
      pieces.push_back({name, layout, begin, dense(clip_, parts[i], begin, end), size, fps_});
    }
  }

  // The frames of a run. At the clip's ends short gaps belong to it, so that frames stay where they
  // are; longer ones are left out, and said.
  std::pair<std::int64_t, std::int64_t> extent(const Person& person,
                                               const std::vector<std::span<const Detection>>& parts,
                                               std::size_t i) {
    std::int64_t begin = parts[i].front().frame;
    std::int64_t end = parts[i].back().frame + 1;
    if (i == 0 && begin > 0) {
      if (begin > longest_) {
        notes_.push_back(fmt::format("{}: {}", clip_.name, absence(person, 0, begin)));
      } else {
        begin = 0;
      }
    }
    if (i + 1 == parts.size() && end < clip_.frames) {
      if (clip_.frames - end > longest_) {
        notes_.push_back(fmt::format("{}: {}", clip_.name, absence(person, end, clip_.frames)));
      } else {
        end = clip_.frames;
      }
    }
    return {begin, end};
  }

  const KeypointClip& clip_;
  const TrackOptions& options_;
  const std::string& where_;
  std::vector<std::string>& notes_;
  std::vector<Person> people_;
  double fps_;
  int longest_;
};

}  // namespace

std::vector<TrackPiece> track_pieces(const KeypointClip& clip, const TrackOptions& options,
                                     const std::string& where, std::vector<std::string>& notes) {
  return Splitter(clip, options, where, notes).split();
}

}  // namespace posetape::data
