#include "data/people.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

namespace posetape::data {
namespace {

bool seen(const Detection& d, std::size_t keypoint, int channels) {
  const float* p = d.values.data() + keypoint * std::size_t(channels);
  return std::isfinite(p[0]) && std::isfinite(p[1]) && (p[0] != 0 || p[1] != 0) &&
         (d.confidence.empty() || d.confidence[keypoint] > 0);
}

// Whether any keypoint was seen. One of a confidence below 0 counts: who reads it refuses it.
bool anybody(const KeypointClip& clip, std::size_t detection) {
  const Detection& d = clip.detections[detection];
  for (std::size_t k = 0; k < std::size_t(clip.keypoints); ++k) {
    const float* p = d.values.data() + k * std::size_t(clip.channels);
    const float sure = d.confidence.empty() ? 1 : d.confidence[k];
    const bool placed =
        std::all_of(p, p + clip.channels, [](float v) { return std::isfinite(v); }) &&
        std::any_of(p, p + clip.channels, [](float v) { return v != 0; });
    if (placed && sure != 0 && !std::isnan(sure)) return true;
  }
  return false;
}

// The diagonal of the box around the keypoints that were seen.
double extent(const Detection& d, int keypoints, int channels) {
  float low[2] = {std::numeric_limits<float>::max(), std::numeric_limits<float>::max()};
  float high[2] = {std::numeric_limits<float>::lowest(), std::numeric_limits<float>::lowest()};
  bool any = false;
  for (int k = 0; k < keypoints; ++k) {
    if (!seen(d, std::size_t(k), channels)) continue;
    any = true;
    for (int c = 0; c < 2; ++c) {
      const float v = d.values[std::size_t(k * channels + c)];
      low[c] = std::min(low[c], v);
      high[c] = std::max(high[c], v);
    }
  }
  return any ? std::hypot(high[0] - low[0], high[1] - low[1]) : 0;
}

// The mean distance of the keypoints that both have; infinite where they share none.
double distance(const Detection& a, const Detection& b, int keypoints, int channels) {
  double sum = 0;
  int shared = 0;
  for (int k = 0; k < keypoints; ++k) {
    if (!seen(a, std::size_t(k), channels) || !seen(b, std::size_t(k), channels)) continue;
    const std::size_t at = std::size_t(k) * std::size_t(channels);
    sum += std::hypot(a.values[at] - b.values[at], a.values[at + 1] - b.values[at + 1]);
    ++shared;
  }
  return shared == 0 ? std::numeric_limits<double>::infinity() : sum / shared;
}

// Whether the tool gave each person in each frame a number of their own.
bool numbered(const KeypointClip& clip) {
  std::set<std::pair<std::int64_t, std::int64_t>> found;
  return std::ranges::all_of(clip.detections, [&](const Detection& d) {
    return d.id >= 0 && found.emplace(d.frame, d.id).second;
  });
}

std::vector<Person> one_person(const KeypointClip& clip) {
  Person person;
  for (std::size_t i = 0; i < clip.detections.size(); ++i) {
    if (anybody(clip, i)) person.detections.push_back(i);
  }
  if (person.detections.empty()) return {};
  return {person};
}

std::vector<Person> by_number(const KeypointClip& clip) {
  std::map<std::int64_t, Person> people;
  for (std::size_t i = 0; i < clip.detections.size(); ++i) {
    if (!anybody(clip, i)) continue;
    Person& person = people[clip.detections[i].id];
    person.id = clip.detections[i].id;
    person.detections.push_back(i);
  }
  std::vector<Person> result;
  for (auto& [id, person] : people) result.push_back(std::move(person));
  return result;
}

class Linker {
 public:
  Linker(const KeypointClip& clip, std::int64_t gap) : clip_(clip), gap_(gap) {
    for (const Detection& d : clip.detections) {
      sizes_.push_back(extent(d, clip.keypoints, clip.channels));
    }
  }

  std::vector<Person> link() {
    for (std::size_t begin = 0; begin < clip_.detections.size();) {
      std::size_t end = begin;
      while (end < clip_.detections.size() && frame(end) == frame(begin)) ++end;
      link_frame(begin, end);
      begin = end;
    }
    return std::move(people_);
  }

 private:
  std::int64_t frame(std::size_t i) const { return clip_.detections[i].frame; }
  std::size_t last(std::size_t person) const { return people_[person].detections.back(); }

  struct Pair {
    double distance;
    std::size_t person, detection;
    auto operator<=>(const Pair&) const = default;
  };

  // Gives the detections of one frame to people, the nearest pairs first: to those who were there
  // lately, then to those who were lost.
  void link_frame(std::size_t begin, std::size_t end) {
    std::erase_if(present_, [&](std::size_t person) {
      const bool gone = frame(begin) - frame(last(person)) > gap_ + 1;
      if (gone) lost_.push_back(person);
      return gone;
    });
    // Who was lost long ago, and many others since, does not come back.
    constexpr std::size_t kMostLost = 100;
    if (lost_.size() > kMostLost) lost_.erase(lost_.begin(), lost_.end() - kMostLost);
    taken_.clear();
    for (std::size_t i = begin; i < end; ++i) taken_.push_back(!anybody(clip_, i));
    assign(begin, end, present_, true);
    for (const std::size_t person : assign(begin, end, lost_, false)) {
      std::erase(lost_, person);
      present_.push_back(person);
    }
    for (std::size_t i = begin; i < end; ++i) {
      if (taken_[i - begin]) continue;
      present_.push_back(people_.size());
      people_.push_back({{i}});
    }
  }

  // Returns who was given one.
  std::vector<std::size_t> assign(std::size_t begin, std::size_t end,
                                  const std::vector<std::size_t>& people, bool lately) {
    std::vector<Pair> pairs;
    for (std::size_t i = begin; i < end; ++i) {
      if (taken_[i - begin]) continue;
      for (const std::size_t person : people) {
        if (const auto d = distance_between(last(person), i, lately)) {
          pairs.push_back({*d, person, i});
        }
      }
    }
    std::ranges::sort(pairs);
    std::vector<std::size_t> found;
    for (const Pair& pair : pairs) {
      if (taken_[pair.detection - begin] || frame(last(pair.person)) == frame(begin)) continue;
      taken_[pair.detection - begin] = true;
      people_[pair.person].detections.push_back(pair.detection);
      found.push_back(pair.person);
    }
    return found;
  }

  // How far two detections are in bodies; nothing where they can't be of one person.
  std::optional<double> distance_between(std::size_t a, std::size_t b, bool lately) const {
    const double body = std::max(sizes_[a], sizes_[b]);
    if (!(body > 0)) return std::nullopt;
    if (!lately && std::min(sizes_[a], sizes_[b]) < 0.6 * body) return std::nullopt;
    const double d =
        distance(clip_.detections[a], clip_.detections[b], clip_.keypoints, clip_.channels) / body;
    if (lately && !(d <= 0.5)) return std::nullopt;
    return std::isfinite(d) ? d : 1e6;
  }

  const KeypointClip& clip_;
  std::int64_t gap_;
  std::vector<double> sizes_;
  std::vector<Person> people_;
  std::vector<std::size_t> present_, lost_;
  std::vector<bool> taken_;
};

}  // namespace

std::vector<Person> find_people(const KeypointClip& clip, std::int64_t gap) {
  std::vector<Person> people = clip.one_person  ? one_person(clip)
                               : numbered(clip) ? by_number(clip)
                                                : Linker(clip, gap).link();
  for (Person& person : people) {
    for (const std::size_t i : person.detections) {
      person.size += extent(clip.detections[i], clip.keypoints, clip.channels);
    }
  }
  std::ranges::stable_sort(people, std::ranges::greater(), &Person::size);
  return people;
}

}  // namespace posetape::data
