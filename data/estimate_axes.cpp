#include "data/estimate_axes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "data/figures.hpp"
#include "data/person_world.hpp"
#include "data/skeleton.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

// Thigh and shin of people, metres: beyond it a unit is another, or the person no person.
constexpr double kShortestBone = 0.25;
constexpr double kLongestBone = 0.6;
constexpr double kUsualBone = 0.43;
// The height of a person over that of the skeleton from ankle to head, as joints are defined here.
constexpr double kHeightOverBones = 1.06;

double length(const PoseArray& poses, int f, int a, int b) {
  const float* p = poses.frame(f) + 3 * a;
  const float* q = poses.frame(f) + 3 * b;
  return std::hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]);
}

// The median over frames of the lengths of some bones.
double bone(const PoseArray& poses, std::initializer_list<std::pair<int, int>> bones) {
  std::vector<double> found;
  for (int f = 0; f < poses.frames(); ++f) {
    for (const auto& [a, b] : bones) found.push_back(length(poses, f, a, b));
  }
  return median(std::move(found));
}

double thigh(const PoseArray& poses) {
  return bone(poses, {{joint::right_hip, joint::right_knee}, {joint::left_hip, joint::left_knee}});
}
double shin(const PoseArray& poses) {
  return bone(poses,
              {{joint::right_knee, joint::right_foot}, {joint::left_knee, joint::left_foot}});
}

double tallness(const PoseArray& poses) {
  const double trunk = bone(poses, {{joint::hip, joint::spine}}) +
                       bone(poses, {{joint::spine, joint::thorax}}) +
                       bone(poses, {{joint::thorax, joint::head}});
  return (thigh(poses) + shin(poses) + trunk) * kHeightOverBones;
}

// ---- Units ----

// The unit in which thigh and shin are nearest to a person's, where they are a person's in one.
std::optional<LengthUnit> likely_unit(double thigh, double shin) {
  std::optional<LengthUnit> best;
  double nearest = 0;
  for (const LengthUnit& unit : kLengthUnits) {
    const double a = thigh * unit.metres;
    const double b = shin * unit.metres;
    if (std::min(a, b) < kShortestBone || std::max(a, b) > kLongestBone) continue;
    const double far = std::abs(std::log(std::sqrt(a * b) / kUsualBone));
    if (best && far >= nearest) continue;
    nearest = far;
    best = unit;
  }
  return best;
}

// ---- Axes ----

// The mean over frames of a measure of a pose.
template <class F>
double mean_over(const PoseArray& poses, F measure) {
  double sum = 0;
  for (int f = 0; f < poses.frames(); ++f) sum += measure(poses.frame(f));
  return sum / poses.frames();
}

// Whether a body is its mirror image: what is in front of it, to which its nose and its feet point
// and away from which its knees bend, is then behind. 1: surely right, -1: surely mirrored.
double handedness(const PoseArray& poses) {
  return mean_over(poses, [](const float* p) {
    const auto vector = [&](int from, int to) {
      return std::array<double, 3>{p[3 * to] - p[3 * from], p[3 * to + 1] - p[3 * from + 1],
                                   p[3 * to + 2] - p[3 * from + 2]};
    };
    const auto left = vector(joint::right_hip, joint::left_hip);
    const auto up = vector(joint::hip, joint::thorax);
    const std::array<double, 3> front{left[1] * up[2] - left[2] * up[1],
                                      left[2] * up[0] - left[0] * up[2],
                                      left[0] * up[1] - left[1] * up[0]};
    const auto along = [&](const std::array<double, 3>& v) {
      return v[0] * front[0] + v[1] * front[1] + v[2] * front[2];
    };
    // Knees: in front of the line from hip joint to ankle.
    double sum = along(vector(joint::thorax, joint::neck));
    for (const auto& [hip, knee, foot] :
         {std::array{joint::right_hip, joint::right_knee, joint::right_foot},
          std::array{joint::left_hip, joint::left_knee, joint::left_foot}}) {
      sum += along(vector(hip, knee)) - 0.5 * along(vector(hip, foot));
    }
    const double size = std::hypot(front[0], front[1], front[2]);
    return size > 0 ? sum / size : 0;
  });
}

// ---- Beside the 2D ----

// The correlation of x (0) or y (1) of the estimate with the 2D, over joints and frames.
double correlation(const PoseArray& poses, const PoseArray& pixels, int axis) {
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (int f = 0; f < poses.frames(); ++f) {
    double mean3 = 0;
    double mean2 = 0;
    for (int j = 0; j < kJoints; ++j) {
      mean3 += poses.frame(f)[3 * j + axis] / double{kJoints};
      mean2 += pixels.frame(f)[2 * j + axis] / double{kJoints};
    }
    for (int j = 0; j < kJoints; ++j) {
      const double a = poses.frame(f)[3 * j + axis] - mean3;
      const double b = pixels.frame(f)[2 * j + axis] - mean2;
      ab += a * b;
      aa += a * a;
      bb += b * b;
    }
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

// How much of the trunk points up where an axis is the vertical one, -1 to 1, mean over the frames.
double uprightness(const PoseArray& poses, EstimateUp up) {
  return mean_over(poses, [&](const float* p) {
    const float* t = p + 3 * joint::thorax;
    const double trunk = std::hypot(t[0] - p[0], t[1] - p[1], t[2] - p[2]);
    const double rise = up == EstimateUp::z         ? t[2] - p[2]
                        : up == EstimateUp::minus_y ? p[1] - t[1]
                                                    : t[1] - p[1];
    return trunk > 0 ? rise / trunk : 0;
  });
}

}  // namespace

double find_scale(const PoseArray& poses, std::optional<double> height,
                  std::optional<double> metres_per_unit, const std::string& where,
                  std::vector<std::string>& notes) {
  if (height) {
    const double tall = tallness(poses);
    if (!(tall > 0)) fail("{}: the skeleton has no extent; look at --layout", where);
    notes.push_back(fmt::format("{}: {:.4g} units tall, made {:g} m", where, tall, *height));
    return *height / tall;
  }
  const double a = thigh(poses);
  const double b = shin(poses);
  if (metres_per_unit) {
    const double scale = *metres_per_unit;
    if (std::min(a, b) * scale < kShortestBone / 2 || std::max(a, b) * scale > kLongestBone * 2) {
      fail(
          "{}: thigh and shin would be {:.3g} and {:.3g} m long; give another --unit, or --height "
          "for estimates without one",
          where, a * scale, b * scale);
    }
    return scale;
  }
  const auto unit = likely_unit(a, b);
  if (!unit) {
    fail(
        "{}: thigh and shin are {:.3g} and {:.3g} units long, a person's in no unit; if it is "
        "normalised, as MotionBERT's is, say how tall the person is: --height 1.7",
        where, a, b);
  }
  notes.push_back(
      fmt::format("{}: thigh and shin of {:.3g} and {:.3g} {}", where, a, b, unit->name));
  return unit->metres;
}

void to_camera(PoseArray& poses, const EstimateAxes& axes, double scale) {
  const double angle = axes.turn * std::numbers::pi / 180;
  const double cosine = std::cos(angle);
  const double sine = std::sin(angle);
  for (int f = 0; f < poses.frames(); ++f) {
    for (int j = 0; j < kJoints; ++j) {
      float* p = poses.frame(f) + 3 * j;
      double x = p[0];
      double y = p[1];
      double z = p[2];
      if (axes.up == EstimateUp::y) {
        y = -y;
        z = -z;
      } else if (axes.up == EstimateUp::z) {
        std::swap(y, z);
        y = -y;
      }
      if (axes.mirror) x = -x;
      p[0] = static_cast<float>(scale * (cosine * x + sine * z));
      p[1] = static_cast<float>(scale * y);
      p[2] = static_cast<float>(scale * (cosine * z - sine * x));
    }
  }
}

// Joint 0 to the origin; returns how far it was from there at most.
double to_root(PoseArray& poses) {
  double far = 0;
  for (int f = 0; f < poses.frames(); ++f) {
    float* p = poses.frame(f);
    const std::array<float, 3> root{p[0], p[1], p[2]};
    far = std::max(far, double{std::hypot(root[0], root[1], root[2])});
    for (int j = 0; j < kJoints; ++j) {
      for (std::size_t c = 0; c < 3; ++c) p[3 * j + static_cast<int>(c)] -= root[c];
    }
  }
  return far;
}

void check_axes(const PoseArray& poses, const std::string& where) {
  const double down = mean_over(
      poses, [](const float* p) { return p[3 * joint::hip + 1] - p[3 * joint::thorax + 1]; });
  const double trunk = mean_over(poses, [](const float* p) {
    const float* t = p + 3 * joint::thorax;
    return std::hypot(t[0] - p[0], t[1] - p[1], t[2] - p[2]);
  });
  // Down is +y here. People lie and bend over, but not head down for a whole clip.
  if (down < -0.5 * trunk) {
    fail("{}: the shoulders are below the hips; give the vertical axis with --up", where);
  }
  if (handedness(poses) < -0.03) {
    fail(
        "{}: the knees bend and the nose points the wrong way for left and right; if the axes are "
        "left-handed, give --mirror (or --up or --layout, if those are others)",
        where);
  }
}

// How well x and y of a 3D pose turned about the vertical go with the 2D, by least squares of one
// scale and the image's centre a frame: the turn in degrees.
double best_turn(const PoseArray& poses, const PoseArray& pixels) {
  // x cos t + z sin t ~ u: sums over frames of centred products.
  double xu = 0;
  double zu = 0;
  double xx = 0;
  double zz = 0;
  double xz = 0;
  for (int f = 0; f < poses.frames(); ++f) {
    std::array<double, 3> mean{};
    for (int j = 0; j < kJoints; ++j) {
      mean[0] += poses.frame(f)[3 * j] / double{kJoints};
      mean[1] += poses.frame(f)[3 * j + 2] / double{kJoints};
      mean[2] += pixels.frame(f)[2 * j] / double{kJoints};
    }
    for (int j = 0; j < kJoints; ++j) {
      const double x = poses.frame(f)[3 * j] - mean[0];
      const double z = poses.frame(f)[3 * j + 2] - mean[1];
      const double u = pixels.frame(f)[2 * j] - mean[2];
      xu += x * u;
      zu += z * u;
      xx += x * x;
      zz += z * z;
      xz += x * z;
    }
  }
  const double determinant = xx * zz - xz * xz;
  if (!(std::abs(determinant) > 1e-12 * xx * zz)) return 0;
  const double a = (xu * zz - zu * xz) / determinant;
  const double b = (zu * xx - xu * xz) / determinant;
  return std::atan2(b, a) * 180 / std::numbers::pi;
}

void check_image(const PoseArray& poses, const PoseArray& pixels, const std::string& where) {
  const double x = correlation(poses, pixels, 0);
  const double y = correlation(poses, pixels, 1);
  if (y < 0.5) {
    fail(
        "{}: up and down of the estimate and of the 2D poses don't go together (correlation "
        "{:.2f}); "
        "look at --up, --layout, --person and whether both are of one video",
        where, y);
  }
  if (x < 0.3) {
    fail(
        "{}: left and right of the estimate and of the 2D poses don't go together (correlation "
        "{:.2f}); look at --mirror, --layout and --person, or turn it to the image: --turn image",
        where, x);
  }
}

// The vertical axis: `usual`, but where the person clearly stands along another one.
EstimateUp find_up(const PoseArray& poses, EstimateUp usual) {
  constexpr double kStands = 0.7;
  EstimateUp best = usual;
  for (const auto& choice : kChoices<EstimateUp>.list) {
    const double found = uprightness(poses, choice.value);
    if (found > kStands && found > uprightness(poses, best) + kStands / 2) best = choice.value;
  }
  return best;
}

}  // namespace posetape::data
