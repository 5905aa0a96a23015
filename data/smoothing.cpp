#include "data/smoothing.hpp"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "engine/error.hpp"

namespace posetape::data {
namespace {

// [window][window]: row k has the weights of a window's frames in the value at its frame k of the
// polynomial that fits them. It is Q Q' of the polynomials' orthonormal basis Q.
Eigen::MatrixXd fit_weights(int window, int degree) {
  Eigen::MatrixXd powers(window, degree + 1);
  for (int k = 0; k < window; ++k) {
    // Within [-1, 1], where powers are well conditioned.
    const double x = window == 1 ? 0 : 2.0 * k / (window - 1) - 1;
    for (int d = 0; d <= degree; ++d) powers(k, d) = std::pow(x, d);
  }
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(powers);
  const Eigen::MatrixXd basis = qr.householderQ() * Eigen::MatrixXd::Identity(window, degree + 1);
  return basis * basis.transpose();
}

double smoothing_factor(double cutoff, double fps) {
  return 1 / (1 + fps / (2 * std::numbers::pi * cutoff));
}

}  // namespace

PoseArray savitzky_golay(const PoseArray& poses, int window, int degree) {
  if (window < 1 || window % 2 == 0 || degree < 0 || degree >= window) {
    fail(
        "a Savitzky-Golay filter of {} frames and degree {}; take an odd number of frames and a "
        "degree below it",
        window, degree);
  }
  const int frames = poses.frames();
  window = std::min(window, frames);
  const Eigen::MatrixXd weights = fit_weights(window, std::min(degree, window - 1));
  const int values = kJoints * poses.channels;
  PoseArray result = poses;
  for (int f = 0; f < frames; ++f) {
    const int start = std::clamp(f - window / 2, 0, frames - window);
    for (int i = 0; i < values; ++i) {
      double sum = 0;
      for (int k = 0; k < window; ++k) sum += weights(f - start, k) * poses.frame(start + k)[i];
      result.frame(f)[i] = static_cast<float>(sum);
    }
  }
  return result;
}

std::vector<double> savitzky_golay_weights(int before, int after, int degree) {
  if (before < 0 || after < 0 || degree < 0) {
    fail("a Savitzky-Golay filter of {} frames before, {} after and degree {}; none is negative",
         before, after, degree);
  }
  const int window = before + 1 + after;
  const Eigen::MatrixXd weights = fit_weights(window, std::min(degree, window - 1));
  std::vector<double> row(std::size_t(window), 0);
  for (int k = 0; k < window; ++k) row[std::size_t(k)] = weights(before, k);
  return row;
}

OneEuroFilter::OneEuroFilter(const OneEuro& filter, double fps)
    : filter_(filter),
      fps_(fps),
      derivative_factor_(smoothing_factor(filter.derivative_cutoff, fps)) {
  if (!(fps > 0 && filter.min_cutoff > 0 && filter.derivative_cutoff > 0 && filter.beta >= 0)) {
    fail(
        "a 1 Euro filter at {} fps with cut-offs of {} and {} Hz and beta {}; all must be above "
        "zero, beta may be zero",
        fps, filter.min_cutoff, filter.derivative_cutoff, filter.beta);
  }
}

void OneEuroFilter::operator()(std::span<float> frame) {
  if (y_.empty()) {
    y_.assign(frame.begin(), frame.end());
    v_.assign(frame.size(), 0);
    return;
  }
  for (std::size_t i = 0; i < frame.size(); ++i) {
    const double step = frame[i] - y_[i];
    v_[i] += derivative_factor_ * (step * fps_ - v_[i]);
    y_[i] += smoothing_factor(filter_.min_cutoff + filter_.beta * std::abs(v_[i]), fps_) * step;
    frame[i] = static_cast<float>(y_[i]);
  }
}

PoseArray one_euro(const PoseArray& poses, double fps, const OneEuro& filter) {
  PoseArray result = poses;
  OneEuroFilter next(filter, fps);
  for (int f = 0; f < poses.frames(); ++f) {
    next({result.frame(f), std::size_t(kJoints * poses.channels)});
  }
  return result;
}

int Filter::window_at(double fps) const {
  const int nearest = 2 * static_cast<int>(std::lround((kSeconds * fps - 1) / 2)) + 1;
  const int least = degree + 2 + (degree + 1) % 2;
  return window.value_or(std::max(nearest, least));
}

PoseArray Filter::operator()(const PoseArray& poses, double fps) const {
  switch (kind) {
    case FilterKind::none:
      break;
    case FilterKind::savitzky_golay:
      return data::savitzky_golay(poses, window_at(fps), degree);
    case FilterKind::one_euro:
      return data::one_euro(poses, fps, one_euro);
  }
  return poses;
}

nlohmann::ordered_json Filter::provenance() const {
  nlohmann::ordered_json made = nlohmann::ordered_json::object();
  if (kind == FilterKind::savitzky_golay) {
    if (window) {
      made["smoothing_window"] = *window;
    } else {
      made["smoothing_seconds"] = kSeconds;
    }
    made["smoothing_degree"] = degree;
  } else if (kind == FilterKind::one_euro) {
    made["min_cutoff_hz"] = one_euro.min_cutoff;
    made["beta"] = one_euro.beta;
    made["derivative_cutoff_hz"] = one_euro.derivative_cutoff;
  }
  return made;
}

}  // namespace posetape::data
