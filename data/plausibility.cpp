#include "data/plausibility.hpp"

#include <fmt/ranges.h>

#include <Eigen/LU>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "data/figures.hpp"
#include "data/joint_orders.hpp"
#include "data/protocol.hpp"
#include "data/skeleton.hpp"
#include "kernels/base/parallel.hpp"

namespace posetape::data {
namespace {

using Eigen::Matrix3d;

// A person's thigh or shin, metres; a child's and a giant's.
constexpr double kLeg = 0.42;
constexpr double kShortLeg = 0.2;
constexpr double kLongLeg = 0.6;

struct Unit {
  const char* name;
  double metres;
};
constexpr std::array<Unit, 4> kUnits{
    {{"millimetres", 0.001}, {"centimetres", 0.01}, {"inches", 0.0254}, {"feet", 0.3048}}};

// What `metres` has to be multiplied by with all other units; the last one for none of them.
std::string unit_text(double leg) {
  for (const Unit& unit : kUnits) {
    const double metres = leg * unit.metres;
    if (metres > kLeg / 1.5 && metres < kLeg * 1.5) {
      return fmt::format("they look like {}", unit.name);
    }
  }
  return "they look like no unit of length, as poses scaled to an image are";
}

double factor_to_metres(double leg) {
  for (const Unit& unit : kUnits) {
    const double metres = leg * unit.metres;
    if (metres > kLeg / 1.5 && metres < kLeg * 1.5) return unit.metres;
  }
  return kLeg / leg;
}

// Doubts of one sequence, until the first refusal: others follow from it.
class Examination {
 public:
  Examination(const Sequence& sequence, const OwnFields& own)
      : s_(sequence),
        some_(sequence.frames() >= 16),
        long_(sequence.frames() >= std::clamp(static_cast<int>(sequence.fps), 16, 60)) {
    rate() && image() && orders() && bodies(own) && matches(own) && pair(own) && upright();
  }
  std::vector<Doubt> take() {
    std::ranges::stable_sort(
        doubts_, [](const Doubt& a, const Doubt& b) { return a.severity > b.severity; });
    return std::move(doubts_);
  }

 private:
  // Each of these returns whether to go on.
  bool add(Severity severity, Check check, const char* field, double figure, std::string found,
           std::string mend) {
    doubts_.push_back({severity, check, field, figure, std::move(found), std::move(mend)});
    return severity != Severity::refusal;
  }

  bool rate() {
    const double fps = s_.fps;
    if (fps >= 8 && fps <= 500) return true;
    return add(fps < 1 || fps > 5000 ? Severity::refusal : Severity::warning, Check::rate, "fps",
               fps, fmt::format("expected frames a second, found {:g}", fps),
               "store the camera's rate, 25 to 120 as a rule");
  }

  bool image() {
    image_ = image_figures(s_);
    const double width = s_.image_size[0];
    const double height = s_.image_size[1];
    const double longer = std::max(width, height);
    const bool none_seen =
        s_.confidence && std::ranges::all_of(*s_.confidence, [](float c) { return c <= 0; });
    if (none_seen) return true;
    if (longer >= 16 && image_.low > -2.5 && image_.high < 2.5) {
      const bool from_zero = image_.low > -0.02;
      return add(
          Severity::refusal, Check::image, "pose_2d", image_.high,
          fmt::format("expected pixels of an image of {} x {}, found {:.2f} to {:.2f}: they are "
                      "normalised to {}",
                      width, height, image_.low, image_.high, from_zero ? "0..1" : "-1..1"),
          from_zero
              ? fmt::format("numpy: pose_2d * [{}, {}]", width, height)
              : fmt::format("numpy: pose_2d * {} + [{}, {}]", width / 2, width / 2, height / 2));
    }
    if (image_.person < 8) {
      return add(Severity::warning, Check::image, "pose_2d", image_.person,
                 fmt::format("expected pixels, found a person of {:.1f}", image_.person),
                 "scale it to pixels");
    }
    if (image_.outside < (long_ ? 0.3 : 0.5)) return true;
    const bool turned = swapped_size_holds();
    return add(image_.outside > 0.5 ? Severity::refusal : Severity::warning, Check::image,
               "image_size", image_.outside,
               fmt::format("expected pose_2d within the image of {} x {} pixels, found {:.0f} % of "
                           "the joints far outside of it (they lie between {:.0f} and {:.0f})",
                           width, height, 100 * image_.outside, image_.low, image_.high),
               turned ? fmt::format("store [{}, {}]", height, width)
                      : std::string("store the size of the image that pose_2d was found in"));
  }

  bool swapped_size_holds() const {
    Sequence turned;
    turned.pose_2d = s_.pose_2d;
    turned.confidence = s_.confidence;
    turned.image_size = {s_.image_size[1], s_.image_size[0]};
    return image_figures(turned).outside < 0.02;
  }

  // Another program's order, which shows in each array alone.
  bool orders() {
    return order("pose_2d", s_.pose_2d) && (!s_.pose_3d || order("pose_3d", *s_.pose_3d));
  }

  bool order(const char* field, const PoseArray& poses) {
    if (const JointOrderRule* rule = other_order_of(poses)) {
      const double ratio = tree_ratio(poses) / tree_ratio(from_order(poses, *rule));
      return add(
          Severity::refusal, Check::order, field, ratio,
          fmt::format("expected the joint order of Human3.6M, found the skeleton {:.2f} times "
                      "as long as in the order of {}",
                      ratio, rule->name),
          advice(*rule, field));
    }
    const double tree = tree_ratio(poses);
    if (tree < (poses.channels == 3 ? 1.6 : 2.6)) return true;
    return add(
        poses.channels == 3 && tree > 1.9 ? Severity::refusal : Severity::warning, Check::order,
        field, tree,
        fmt::format("expected the joint order of Human3.6M, found bones {:.2f} times as long "
                    "as the shortest way to join the joints (at most 1.4 in a person)",
                    tree),
        "look at the order of the joints (data/README.md)");
  }

  bool bodies(const OwnFields& own) {
    return (!s_.pose_3d || body("pose_3d", *s_.pose_3d, false)) &&
           (!s_.noisy_3d || own.noisy_3d ||
            (order("noisy_3d", *s_.noisy_3d) && body("noisy_3d", *s_.noisy_3d, true))) &&
           (!s_.refined_3d || own.refined_3d || body("refined_3d", *s_.refined_3d, true));
  }

  bool body(const char* field, const PoseArray& poses, bool root_relative) {
    const BodyFigures figures = body_figures(poses, s_.fps);
    if (!unit(field, figures.leg)) return false;
    if (root_relative && figures.root > kRootLimit) {
      return add(
          Severity::refusal, Check::root, field, figures.root,
          fmt::format("expected poses relative to joint 0, found it {:.2f} m from the origin",
                      figures.root),
          fmt::format("subtract joint 0 from every joint; numpy: {0} - {0}[:, :1]", field));
    }
    if (!root_relative && figures.root < kRootNoise) {
      add(Severity::warning, Check::root, field, figures.root,
          "expected absolute poses in camera space, found them relative to joint 0",
          "scores are the same; store the root's path where it is known");
    }
    if (figures.speed > 40) {
      add(Severity::warning, Check::rate, "fps", figures.speed,
          fmt::format("found joints of {} at {:.0f} m/s and more at {:g} frames a second", field,
                      figures.speed, s_.fps),
          "look at fps");
    }
    return true;
  }

  bool unit(const char* field, double leg) {
    if (leg >= kShortLeg && leg <= kLongLeg) return true;
    const bool clear = leg < kShortLeg / 2 || leg > kLongLeg * 2;
    if (leg == 0) {
      return add(Severity::refusal, Check::scale, field, leg,
                 "expected metres, found thighs and shins without length", "look at the joints");
    }
    return add(
        clear ? Severity::refusal : Severity::warning, clear ? Check::unit : Check::scale, field,
        leg,
        fmt::format("expected metres, found thighs and shins of {:.3g} (a person's are {}): {}",
                    leg, kLeg, unit_text(leg)),
        fmt::format("multiply {} by {:.3g}", field, factor_to_metres(leg)));
  }

  bool matches(const OwnFields& own) {
    return (!s_.pose_3d || match("pose_3d", *s_.pose_3d)) && projection() &&
           (!s_.noisy_3d || own.noisy_3d || match("noisy_3d", *s_.noisy_3d));
  }

  // 3D poses beside pose_2d.
  bool match(const char* field, const PoseArray& poses) {
    const FitFigures fit = fit_figures(s_, poses);
    if (const JointOrderRule* rule = order_that_fits(poses, fit)) {
      return add(Severity::refusal, Check::order, "pose_2d", fit.misfit,
                 fmt::format("expected the joint order of Human3.6M, found that it goes with {} in "
                             "the order of {}",
                             field, rule->name),
                 advice(*rule, "pose_2d"));
    }
    if (const auto [lag, there] = better_lag(poses, fit); lag != 0) {
      return add(
          Severity::warning, Check::match, field, lag,
          fmt::format("fits pose_2d of {} frames {} better ({:.2f} of the body's size instead "
                      "of {:.2f})",
                      std::abs(lag), lag > 0 ? "later" : "before", there, fit.misfit),
          "look at where both begin");
    }
    const BodyFigures body = body_figures(poses, s_.fps);
    const bool knees_known = some_ && body.bends >= 16;
    const bool mirrored = knees_known && body.knees < -0.4;
    const double swapped = misfit(s_, poses, kMirror);
    // Each explanation has to fit much better than no change, and than the others.
    if (some_ && swapped < 0.6 * fit.misfit && fit.sides < -0.3 &&
        !(fit.turned_misfit < 0.8 * swapped)) {
      const char* which = mirrored ? field : knees_known && body.knees > 0.3 ? "pose_2d" : field;
      return add(
          Severity::refusal, Check::sides, which, fit.sides,
          fmt::format("left and right of {} are swapped against {} (their likeness is {:.2f}, "
                      "-1 to 1)",
                      which, which == field ? "pose_2d" : field, fit.sides),
          fmt::format("numpy: {}[:, [{}]]", which, fmt::join(kMirror, ", ")));
    }
    const bool far =
        fit.angle > (long_ ? 35 : 60) && fit.misfit > 0.15 && fit.turned_misfit < 0.65 * fit.misfit;
    const bool near =
        long_ && fit.angle > 12 && fit.misfit > 0.22 && fit.turned_misfit < 0.5 * fit.misfit;
    if (far || near) {
      const bool pixels_point_up = image_.upright < -0.3 && std::fabs(body.lean) < 60;
      return pixels_point_up ? pixels_up(field, fit) : axes(field, fit, mirrored);
    }
    // Of a weak estimate, whose knees hardly bend, less is certain.
    if (mirrored || (long_ && knees_known && body.knees < -0.15)) {
      return add(mirrored ? Severity::refusal : Severity::warning, Check::axes, field, body.knees,
                 fmt::format("its knees bend backwards ({:.2f}, -1 to 1): z points towards the "
                             "camera, or left and right are swapped, also in pose_2d",
                             body.knees),
                 fmt::format("numpy: {} * [1, 1, -1]", field));
    }
    return joint_by_joint(field, poses, fit) && together(field, fit);
  }

  // The other order in which pose_2d fits the poses; nullptr where none does much better.
  const JointOrderRule* order_that_fits(const PoseArray& poses, const FitFigures& fit) const {
    const double plain = std::min(fit.misfit, fit.turned_misfit);
    if (plain < 0.3) return nullptr;
    Sequence ordered;
    for (const JointOrderRule& rule : other_joint_orders()) {
      ordered.pose_2d = from_order(s_.pose_2d, rule);
      if (misfit(ordered, poses, kSameOrder) < 0.5 * plain) return &rule;
    }
    return nullptr;
  }

  Lag better_lag(const PoseArray& poses, const FitFigures& fit) const {
    if (!some_ || fit.misfit < 0.12 || fit.turned_misfit < 0.5 * fit.misfit) return {};
    const Lag best = best_lag(s_, poses);
    return best.misfit < 0.75 * std::min(fit.misfit, fit.turned_misfit) ? best : Lag{};
  }

  // The 3D poses stand, those of the image on their heads.
  bool pixels_up(const char* field, const FitFigures& fit) {
    return add(Severity::refusal, Check::axes, "pose_2d", fit.angle,
               fmt::format("its y points up: the head is below the feet, while {} stands", field),
               turned_pixels());
  }

  std::string turned_pixels() const {
    return fmt::format("numpy: [0, {}] + pose_2d * [1, -1]", s_.image_size[1]);
  }

  bool axes(const char* field, const FitFigures& fit, bool mirrored) {
    Matrix3d turn = fit.rotation;
    if (mirrored) turn.row(2) *= -1;
    const bool clear = fit.angle > 60;
    std::string found = fmt::format(
        "its axes are not the camera's (x right, y down, z away): against pose_2d it "
        "lies {:.0f} degrees off",
        fit.angle);
    return add(clear ? Severity::refusal : Severity::warning, Check::axes, field, fit.angle,
               std::move(found), turn_text(field, turn));
  }

  // Numpy's for a turn: with whole axes where it is close to such, else the matrix.
  static std::string turn_text(const char* field, const Matrix3d& turn) {
    std::array<int, 3> source{};
    std::array<int, 3> sign{};
    std::array<bool, 3> taken{};
    double whole = 1;
    for (int row = 0; row < 3; ++row) {
      Eigen::Index column = 0;
      const double most = turn.row(row).cwiseAbs().maxCoeff(&column);
      source[std::size_t(row)] = static_cast<int>(column);
      sign[std::size_t(row)] = turn(row, column) < 0 ? -1 : 1;
      if (taken[std::size_t(column)]) whole = 0;
      taken[std::size_t(column)] = true;
      whole = std::min(whole, most);
    }
    constexpr std::array<int, 3> kSame{0, 1, 2};
    const bool nothing = source == kSame && sign == std::array<int, 3>{1, 1, 1};
    if (whole > 0.85 && !nothing) {
      const std::string picked =
          source == kSame ? "" : fmt::format("[..., [{}]]", fmt::join(source, ", "));
      return fmt::format("numpy: {}{} * [{}]", field, picked, fmt::join(sign, ", "));
    }
    std::string matrix;
    for (int row = 0; row < 3; ++row) {
      matrix += fmt::format("{}[{:.2f}, {:.2f}, {:.2f}]", row == 0 ? "" : ", ", turn(0, row),
                            turn(1, row), turn(2, row));
    }
    return fmt::format("numpy: {} @ [{}]", field, matrix);
  }

  bool joint_by_joint(const char* field, const PoseArray& poses, const FitFigures& fit) {
    std::vector<int> astray;
    for (int j = 0; j < kJoints; ++j) {
      if (fit.joints[std::size_t(j)] > 0.55 && fit.joints[std::size_t(j)] > 4 * fit.misfit)
        astray.push_back(j);
    }
    if (!some_ || astray.empty() || astray.size() > kJoints / 2) return true;
    const JointOrder order = nearest_order(s_, poses);
    const double ordered = misfit_of_joints(order, poses, astray);
    const double plain = misfit_of_joints(kSameOrder, poses, astray);
    bool better = ordered < 0.5 * plain;
    for (int j = 0; j < kJoints; ++j) {
      if ((order[std::size_t(j)] != j) != std::ranges::binary_search(astray, j)) better = false;
    }
    if (!better && !long_) return true;
    std::vector<std::string> names;
    for (const int j : astray)
      names.push_back(fmt::format("{} ({})", j, kJointNames[std::size_t(j)]));
    return add(better ? Severity::refusal : Severity::warning, Check::order, field, plain,
               fmt::format("joint{} {} lie{} far from where pose_2d has {} ({:.2f} of the body's "
                           "size, the others {:.2f})",
                           names.size() == 1 ? "" : "s", fmt::join(names, ", "),
                           names.size() == 1 ? "s" : "", names.size() == 1 ? "it" : "them", plain,
                           fit.misfit),
               better ? fmt::format("numpy: {}[:, [{}]]", field, fmt::join(order, ", "))
                      : "look at their order and at the detector");
  }

  double misfit_of_joints(const JointOrder& order, const PoseArray& poses,
                          const std::vector<int>& joints) const {
    const std::array<double, kJoints> all = joint_misfits(s_, poses, order);
    std::vector<double> chosen;
    for (const int j : joints) chosen.push_back(all[std::size_t(j)]);
    return median(std::move(chosen));
  }

  bool together(const char* field, const FitFigures& fit) {
    if (fit.misfit < (long_ ? 0.3 : 0.5)) return true;
    return add(fit.misfit > 0.5 ? Severity::refusal : Severity::warning, Check::match, field,
               fit.misfit,
               fmt::format("does not show what pose_2d does: joints lie {:.2f} of the body's size "
                           "from their places (at most 0.2 in good clips)",
                           fit.misfit),
               "look at the order of the joints, the axes, and whether both are of one clip");
  }

  // Absolute truth and the camera.
  bool projection() {
    if (!s_.pose_3d || body_figures(*s_.pose_3d, s_.fps).root < kRootLimit) return true;
    const auto found = projection_figures(s_, *s_.pose_3d);
    if (!found) return true;
    if (found->misfit > 0.15) {
      return add(Severity::warning, Check::match, "pose_3d", found->misfit,
                 fmt::format("no camera sees it where pose_2d is: joints lie {:.2f} of a person's "
                             "size away",
                             found->misfit),
                 "store poses in camera space, absolute");
    }
    const double longer = std::max(s_.image_size[0], s_.image_size[1]);
    double off = 0;
    for (std::size_t i = 0; i < 2; ++i) {
      off = std::max(off, std::fabs(found->centre[i] - s_.image_size[i] / 2.0) / longer);
    }
    if (off < 0.15 || found->misfit > 0.05) return true;
    return add(Severity::warning, Check::image, "image_size", off,
               fmt::format("the camera's axis meets the image of {} x {} pixels at {:.0f}, {:.0f}, "
                           "far from its middle",
                           s_.image_size[0], s_.image_size[1], found->centre[0], found->centre[1]),
               "store the size of the image that pose_2d was found in");
  }

  // The estimate and the truth.
  bool pair(const OwnFields& own) {
    if (!s_.pose_3d || !s_.noisy_3d || own.noisy_3d) return true;
    const PairFigures found = pair_figures(*s_.noisy_3d, *s_.pose_3d);
    if (found.scale < 0.67 || found.scale > 1.5) {
      const bool clear = found.scale < 0.55 || found.scale > 1.8;
      return add(
          clear ? Severity::refusal : Severity::warning, Check::scale, "noisy_3d", found.scale,
          fmt::format("expected the size of pose_3d, found it {:.2f} times as large", found.scale),
          fmt::format("multiply noisy_3d by {:.3g}", 1 / found.scale));
    }
    if (found.turned_misfit > 0.65 * found.misfit || found.misfit < 0.2) return true;
    if (!found.mirrored && found.angle < 40) return true;
    return add(found.mirrored || found.angle > 60 ? Severity::refusal : Severity::warning,
               Check::axes, "noisy_3d", found.angle,
               found.mirrored ? std::string("it is the mirror image of pose_3d")
                              : fmt::format("it lies {:.0f} degrees off pose_3d", found.angle),
               "bring both into the camera's axes (x right, y down, z away)");
  }

  // Of 2D poses alone no more can be said: people do stand on their hands.
  bool upright() {
    if (!long_ || image_.upright > -0.3 || !doubts_.empty()) return true;
    return add(Severity::warning, Check::axes, "pose_2d", image_.upright,
               "shows a person whose head is below the feet", "if y points up, " + turned_pixels());
  }

  const Sequence& s_;
  // Enough frames for what a detector's swap of left and right, or a moment on all fours, does not
  // fake; and for doubts.
  const bool some_;
  const bool long_;
  ImageFigures image_;
  std::vector<Doubt> doubts_;
};

bool same_matter(const Doubt& a, const Doubt& b) {
  return a.severity == b.severity && a.check == b.check && a.field == b.field;
}

}  // namespace

OwnFields own_fields(const Dataset& dataset) {
  return {!provenance(dataset, "noisy_3d").is_null(), !provenance(dataset, "refined_3d").is_null()};
}

std::vector<Doubt> examine(const Sequence& sequence, const OwnFields& own) {
  return Examination(sequence, own).take();
}

std::vector<SharedDoubt> examine(const Dataset& dataset) {
  const OwnFields own = own_fields(dataset);
  const auto count = static_cast<Index>(dataset.sequences.size());
  std::vector<std::vector<Doubt>> each(dataset.sequences.size());
  parallel_for(count, 1, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      each[std::size_t(i)] = examine(dataset.sequences[std::size_t(i)], own);
    }
  });
  std::vector<SharedDoubt> shared;
  for (std::size_t i = 0; i < each.size(); ++i) {
    for (Doubt& doubt : each[i]) {
      const auto same = std::ranges::find_if(
          shared, [&](const SharedDoubt& s) { return same_matter(s.doubt, doubt); });
      if (same == shared.end()) {
        shared.push_back({std::move(doubt), {dataset.sequences[i].name}});
      } else {
        same->sequences.push_back(dataset.sequences[i].name);
      }
    }
  }
  std::ranges::stable_sort(shared, [](const SharedDoubt& a, const SharedDoubt& b) {
    return a.doubt.severity > b.doubt.severity;
  });
  return shared;
}

std::string doubt_text(const SharedDoubt& shared) {
  const std::size_t more = shared.sequences.size() - 1;
  return fmt::format("array '{}/{}'{}: {}; {}", shared.sequences[0], shared.doubt.field,
                     more > 0 ? fmt::format(" (and {} more)", more) : "", shared.doubt.found,
                     shared.doubt.mend);
}

double subtract_root(Sequence& sequence, const OwnFields& own) {
  if (!sequence.noisy_3d || own.noisy_3d) return 0;
  PoseArray& poses = *sequence.noisy_3d;
  double sum = 0;
  for (int f = 0; f < poses.frames(); ++f) {
    const float* root = poses.frame(f);
    sum += std::hypot(root[0], root[1], root[2]);
  }
  const double mean = sum / poses.frames();
  if (!(mean > kRootNoise && mean <= kRootLimit)) return 0;
  for (int f = 0; f < poses.frames(); ++f) {
    float* p = poses.frame(f);
    const std::array<float, 3> root{p[0], p[1], p[2]};
    for (int i = 0; i < 3 * kJoints; ++i) p[i] -= root[std::size_t(i % 3)];
  }
  return mean;
}

}  // namespace posetape::data
