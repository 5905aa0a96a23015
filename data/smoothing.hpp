// Filters over time that know nothing of bodies: what a refiner has to beat before its smoothness
// counts for something. Each coordinate of each joint is filtered alone.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <vector>

#include "data/dataset.hpp"
#include "engine/choices.hpp"

namespace posetape::data {

// Savitzky and Golay (Analytical Chemistry 36, 1964): frame f becomes the value at f of the
// polynomial p of this degree that fits the window of frames around it best,
//
//   p = argmin sum_{k = -h ... h} (p(f + k) - x(f + k))^2,   h = (window - 1) / 2.
//
// The first and the last h frames take theirs from the first and the last whole window, so that a
// polynomial of that degree stays as it is, at the ends too. In a clip shorter than the window the
// window is the clip, and the degree at most what its frames determine. Throws Error unless window
// is odd and 0 <= degree < window.
PoseArray savitzky_golay(const PoseArray& poses, int window, int degree);
// The same where fewer frames are there: the weights of the frames f - before ... f + after in the
// value at f of the polynomial that fits them best, of this degree or the highest that they
// determine. Throws Error unless none of the three is negative.
std::vector<double> savitzky_golay_weights(int before, int after, int degree);

// The 1 Euro filter (Casiez, Roussel and Vogel, CHI 2012), an exponential mean whose cut-off
// frequency rises with speed: little jitter at rest, little lag in motion. It looks at the past
// alone. With a(c) = 1 / (1 + fps / (2 pi c)), y(0) = x(0) and v(0) = 0,
//
//   v(f) = v(f-1) + a(derivative_cutoff) ((x(f) - y(f-1)) fps - v(f-1))
//   y(f) = y(f-1) + a(min_cutoff + beta |v(f)|) (x(f) - y(f-1)).
//
// Throws Error unless fps and both cut-offs are above zero and beta is not below.
struct OneEuro {
  double min_cutoff = 1;         // Hz
  double beta = 10;              // Hz for each m/s
  double derivative_cutoff = 1;  // Hz
};
PoseArray one_euro(const PoseArray& poses, double fps, const OneEuro& filter);
// The same, a frame at a time.
class OneEuroFilter {
 public:
  OneEuroFilter(const OneEuro& filter, double fps);
  // Filters the next frame in place; all frames have as many values.
  void operator()(std::span<float> frame);

 private:
  OneEuro filter_;
  double fps_;
  double derivative_factor_;
  std::vector<double> y_;  // of the frame before; empty where there was none
  std::vector<double> v_;
};

enum class FilterKind { none, savitzky_golay, one_euro };
constexpr auto choices(FilterKind) {
  using enum FilterKind;
  return make_choices<FilterKind>(
      "filter", {{none, "none"},
                 {savitzky_golay, "savitzky-golay", "a polynomial around each frame"},
                 {one_euro, "one-euro", "a mean of the past, quicker where motion is fast"}});
}

// One of them with its numbers. As it is by default it goes over what a refiner made, before bones
// get constant lengths (data/bone_lengths.hpp): the two take more than half of the acceleration
// error off, and leave the peak speed within 5 % of the truth's (diffusion/RESULTS.md).
struct Filter {
  FilterKind kind = FilterKind::savitzky_golay;
  std::optional<int> window{};  // savitzky_golay: frames, odd; by default those of kSeconds
  int degree = 2;               // savitzky_golay
  OneEuro one_euro{};

  static constexpr double kSeconds = 0.18;  // 9 frames at 50 a second
  // The frames of a window: where none is given the odd number nearest to kSeconds, and enough for
  // the polynomial not to go through all of them.
  int window_at(double fps) const;

  PoseArray operator()(const PoseArray& poses, double fps) const;
  // What is stored of it beside the poses (data/protocol.hpp); empty where it is none.
  nlohmann::ordered_json provenance() const;
};

}  // namespace posetape::data
