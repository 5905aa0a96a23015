#include "data/keypoint_layouts.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <tuple>
#include <utility>

#include "data/skeleton.hpp"

namespace posetape::data {
namespace {

// What keypoints are called here. The first 17 are COCO's, in COCO's order, with which many layouts
// begin. "Upper neck" is where the neck meets the skull, "neck" where it meets the shoulders,
// "skull" SMPL's joint between neck and head.
enum Landmark : std::size_t {
  nose,
  left_eye,
  right_eye,
  left_ear,
  right_ear,
  left_shoulder,
  right_shoulder,
  left_elbow,
  right_elbow,
  left_wrist,
  right_wrist,
  left_hip,
  right_hip,
  left_knee,
  right_knee,
  left_ankle,
  right_ankle,
  head_top,
  upper_neck,
  skull,
  neck,
  spine,
  mid_hip,
  left_heel,
  right_heel,
  kLandmarks
};
constexpr int kCoco = 17;

// ---- Layouts: where each landmark is ----

struct Layout {
  int keypoints;
  std::array<int, 5> longer;  // files that hold more behind them: so many in all
  std::array<int, kLandmarks> index;
};

constexpr Layout layout(int keypoints, std::initializer_list<int> longer, bool like_coco,
                        std::initializer_list<std::pair<Landmark, int>> places) {
  Layout result{keypoints, {}, {}};
  std::ranges::copy(longer, result.longer.begin());
  result.index.fill(-1);
  for (int k = 0; like_coco && k < kCoco; ++k) result.index[static_cast<std::size_t>(k)] = k;
  for (const auto& [landmark, k] : places) result.index[landmark] = k;
  return result;
}

// By KeypointLayout. The numbers are those of
//   h36m            VideoPose3D's 17 of Human3.6M's 32 joints (common/h36m_dataset.py); joint 9 is
//                   called neck or nose, and lies where detectors see the nose
//   coco            COCO's 17 keypoints (the annotations' "keypoints"): also MMPose, RTMPose,
//   ViTPose,
//                   HRNet, AlphaPose, Detectron2, YOLO
//   coco_18         OpenPose --model_pose COCO (POSE_COCO_BODY_PARTS), AlphaPose --format open or
//   cmu coco_wholebody  COCO-WholeBody: COCO's 17, 6 of the feet, 68 of the face, 42 of the hands
//   halpe           Halpe full body: COCO's 17, head, neck, hip, 6 of the feet; 136 with face and
//                   hands (RTMLib's body with feet, Pose2Sim's default, AlphaPose's halpe models)
//   openpose        OpenPose --model_pose BODY_25 (POSE_BODY_25_BODY_PARTS)
//   body_25b        OpenPose --model_pose BODY_25B: COCO's 17, upper neck, head top, 6 of the feet
//   mpi_inf_3dhp    the 17 joints of P-STMO's data_test_3dhp.npz
//   mediapipe       MediaPipe's pose landmarks; 543 with hands and face (Holistic), 553 in
//   FreeMoCap's smpl            SMPL's joints; 22 without hands, 45 with vertices, 52 SMPL-H, 55
//   SMPL-X
constexpr std::array<Layout, kChoices<KeypointLayout>.list.size()> kLayouts{{
    layout(17, {}, false,
           {{mid_hip, 0},
            {right_hip, 1},
            {right_knee, 2},
            {right_ankle, 3},
            {left_hip, 4},
            {left_knee, 5},
            {left_ankle, 6},
            {spine, 7},
            {neck, 8},
            {nose, 9},
            {head_top, 10},
            {left_shoulder, 11},
            {left_elbow, 12},
            {left_wrist, 13},
            {right_shoulder, 14},
            {right_elbow, 15},
            {right_wrist, 16}}),
    layout(17, {}, true, {}),
    layout(18, {}, false,
           {{nose, 0},
            {neck, 1},
            {right_shoulder, 2},
            {right_elbow, 3},
            {right_wrist, 4},
            {left_shoulder, 5},
            {left_elbow, 6},
            {left_wrist, 7},
            {right_hip, 8},
            {right_knee, 9},
            {right_ankle, 10},
            {left_hip, 11},
            {left_knee, 12},
            {left_ankle, 13},
            {right_eye, 14},
            {left_eye, 15},
            {right_ear, 16},
            {left_ear, 17}}),
    layout(133, {}, true, {{left_heel, 19}, {right_heel, 22}}),
    layout(26, {136}, true,
           {{head_top, 17}, {neck, 18}, {mid_hip, 19}, {left_heel, 24}, {right_heel, 25}}),
    layout(25, {}, false,
           {{nose, 0},        {neck, 1},          {right_shoulder, 2}, {right_elbow, 3},
            {right_wrist, 4}, {left_shoulder, 5}, {left_elbow, 6},     {left_wrist, 7},
            {mid_hip, 8},     {right_hip, 9},     {right_knee, 10},    {right_ankle, 11},
            {left_hip, 12},   {left_knee, 13},    {left_ankle, 14},    {right_eye, 15},
            {left_eye, 16},   {right_ear, 17},    {left_ear, 18},      {left_heel, 21},
            {right_heel, 24}}),
    layout(25, {}, true, {{upper_neck, 17}, {head_top, 18}, {left_heel, 21}, {right_heel, 24}}),
    layout(17, {}, false,
           {{head_top, 0},
            {neck, 1},
            {right_shoulder, 2},
            {right_elbow, 3},
            {right_wrist, 4},
            {left_shoulder, 5},
            {left_elbow, 6},
            {left_wrist, 7},
            {right_hip, 8},
            {right_knee, 9},
            {right_ankle, 10},
            {left_hip, 11},
            {left_knee, 12},
            {left_ankle, 13},
            {mid_hip, 14},
            {spine, 15},
            {nose, 16}}),
    layout(33, {75, 543, 553}, false,
           {{nose, 0},
            {left_eye, 2},
            {right_eye, 5},
            {left_ear, 7},
            {right_ear, 8},
            {left_shoulder, 11},
            {right_shoulder, 12},
            {left_elbow, 13},
            {right_elbow, 14},
            {left_wrist, 15},
            {right_wrist, 16},
            {left_hip, 23},
            {right_hip, 24},
            {left_knee, 25},
            {right_knee, 26},
            {left_ankle, 27},
            {right_ankle, 28},
            {left_heel, 29},
            {right_heel, 30}}),
    layout(24, {22, 45, 52, 55}, false,
           {{mid_hip, 0},
            {left_hip, 1},
            {right_hip, 2},
            {left_knee, 4},
            {right_knee, 5},
            {spine, 6},
            {left_ankle, 7},
            {right_ankle, 8},
            {neck, 12},
            {skull, 15},
            {left_shoulder, 16},
            {right_shoulder, 17},
            {left_elbow, 18},
            {right_elbow, 19},
            {left_wrist, 20},
            {right_wrist, 21}}),
}};

const Layout& table(KeypointLayout which) {
  return kLayouts[static_cast<std::size_t>(which)];
}

// ---- Rules: how a joint comes from landmarks ----

struct Term {
  Landmark landmark = kLandmarks;  // none
  float weight = 0;
};
using Way = std::array<Term, 4>;

constexpr Way at(Landmark a) {
  return {Term{a, 1}};
}
constexpr Way middle(Landmark a, Landmark b) {
  return {Term{a, 0.5f}, Term{b, 0.5f}};
}
constexpr Way middle(Landmark a, Landmark b, Landmark c) {
  return {Term{a, 0.5f}, Term{b, 0.25f}, Term{c, 0.25f}};
}
constexpr Way middle(Landmark a, Landmark b, Landmark c, Landmark d) {
  return {Term{a, 0.25f}, Term{b, 0.25f}, Term{c, 0.25f}, Term{d, 0.25f}};
}
// Beyond b, seen from a: SMPL has no top of the head.
constexpr Way beyond(Landmark a, Landmark b, float times) {
  return {Term{b, 1 + times}, Term{a, -times}};
}

// The ways to place a joint, best first. A layout has those whose landmarks it has.
using Rule = std::vector<Way>;
const std::array<Rule, kJoints>& rules() {
  static const std::array<Rule, kJoints> all{
      Rule{at(mid_hip), middle(left_hip, right_hip)},
      Rule{at(right_hip)},
      Rule{at(right_knee)},
      Rule{at(right_ankle)},
      Rule{at(left_hip)},
      Rule{at(left_knee)},
      Rule{at(left_ankle)},
      Rule{at(spine), middle(mid_hip, neck), middle(neck, left_hip, right_hip),
           middle(mid_hip, left_shoulder, right_shoulder),
           middle(left_shoulder, right_shoulder, left_hip, right_hip)},
      Rule{at(neck), middle(left_shoulder, right_shoulder)},
      Rule{at(nose), at(skull), middle(left_ear, right_ear), at(upper_neck),
           middle(left_eye, right_eye)},
      Rule{at(head_top), beyond(neck, skull, 1.2f), middle(left_eye, right_eye),
           middle(left_ear, right_ear), at(left_eye), at(right_eye), at(left_ear), at(right_ear),
           at(nose)},
      Rule{at(left_shoulder)},
      Rule{at(left_elbow)},
      Rule{at(left_wrist)},
      Rule{at(right_shoulder)},
      Rule{at(right_elbow)},
      Rule{at(right_wrist)}};
  return all;
}

bool has(const Layout& layout, const Way& way) {
  return std::ranges::all_of(way, [&](const Term& t) {
    return t.landmark == kLandmarks || layout.index[t.landmark] >= 0;
  });
}

// By layout and joint.
using Ways = std::array<Rule, kJoints>;
const Ways& ways(KeypointLayout which) {
  static const auto all = [] {
    std::array<Ways, kLayouts.size()> found;
    for (std::size_t l = 0; l < kLayouts.size(); ++l) {
      for (std::size_t j = 0; j < kJoints; ++j) {
        std::ranges::copy_if(rules()[j], std::back_inserter(found[l][j]),
                             [&](const Way& way) { return has(kLayouts[l], way); });
      }
    }
    return found;
  }();
  return all[static_cast<std::size_t>(which)];
}

// Where a way puts a joint in a frame.
std::optional<PlacedJoint> placed(const Layout& layout, const KeypointTrack& track, int frame,
                                  const Way& way) {
  PlacedJoint result;
  result.confidence = 1;
  for (const Term& term : way) {
    if (term.landmark == kLandmarks) break;
    const int k = layout.index[term.landmark];
    const float* p = track.at(frame, k);
    const float sure = track.confidence[std::size_t(frame) * track.keypoints + k];
    if (sure <= 0) return std::nullopt;
    result.confidence = std::min(result.confidence, sure);
    for (int c = 0; c < track.channels; ++c) {
      if (!std::isfinite(p[c])) return std::nullopt;
      result.coordinates[c] += term.weight * p[c];
    }
  }
  return result;
}

// Lengths that hardly depend on how a person stands, in metres of an adult: thighs, shins, upper
// arms, forearms, trunk, neck, face and heels.
struct Length {
  Way from, to;
  double metres;
};
std::vector<Length> lengths_of(KeypointLayout which) {
  const Ways& joints = ways(which);
  std::vector<Length> lengths;
  for (const auto& [from, to, metres] : {std::tuple{joint::right_hip, joint::right_knee, 0.44},
                                         {joint::right_knee, joint::right_foot, 0.42},
                                         {joint::left_hip, joint::left_knee, 0.44},
                                         {joint::left_knee, joint::left_foot, 0.42},
                                         {joint::right_shoulder, joint::right_elbow, 0.28},
                                         {joint::right_elbow, joint::right_wrist, 0.25},
                                         {joint::left_shoulder, joint::left_elbow, 0.28},
                                         {joint::left_elbow, joint::left_wrist, 0.25},
                                         {joint::hip, joint::thorax, 0.5},
                                         {joint::thorax, joint::neck, 0.15}}) {
    lengths.push_back(
        {joints.at(std::size_t(from)).at(0), joints.at(std::size_t(to)).at(0), metres});
  }
  for (const auto& [from, to, metres] : {std::tuple{nose, left_eye, 0.05},
                                         {nose, right_eye, 0.05},
                                         {nose, left_ear, 0.12},
                                         {nose, right_ear, 0.12},
                                         {left_ankle, left_heel, 0.05},
                                         {right_ankle, right_heel, 0.05}}) {
    const Layout& known = table(which);
    if (has(known, at(from)) && has(known, at(to))) lengths.push_back({at(from), at(to), metres});
  }
  return lengths;
}

// Over frames, the median of a length; nothing where it is never seen.
std::optional<double> median_length(const Layout& layout, const KeypointTrack& track,
                                    const Length& length) {
  constexpr int kFrames = 200;  // that are looked at
  const int step = std::max(1, track.frames() / kFrames);
  std::vector<double> found;
  for (int f = 0; f < track.frames(); f += step) {
    const auto from = placed(layout, track, f, length.from);
    const auto to = placed(layout, track, f, length.to);
    if (!from || !to) continue;
    const auto& p = from->coordinates;
    const auto& q = to->coordinates;
    found.push_back(std::hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]));
  }
  if (found.empty()) return std::nullopt;
  const auto middle = found.begin() + static_cast<std::ptrdiff_t>(found.size() / 2);
  std::ranges::nth_element(found, middle);
  return *middle;
}

// How far the lengths are from a body's, whatever its size: the mean of |log(ratio)|. Nothing where
// too few are seen.
std::optional<double> unlikeness(KeypointLayout layout, const KeypointTrack& track) {
  constexpr std::size_t kNeeded = 5;
  std::vector<double> logs;
  for (const Length& length : lengths_of(layout)) {
    const auto d = median_length(table(layout), track, length);
    if (d && *d > 0) logs.push_back(std::log(*d / length.metres));
  }
  if (logs.size() < kNeeded) return std::nullopt;
  std::ranges::sort(logs);
  const double size = logs[logs.size() / 2];
  double sum = 0;
  for (const double log : logs) sum += std::min(std::abs(log - size), 3.0);
  return sum / static_cast<double>(logs.size());
}

}  // namespace

int keypoint_count(KeypointLayout layout) {
  return table(layout).keypoints;
}

JointDefinitions definitions_of(KeypointLayout layout) {
  switch (layout) {
    case KeypointLayout::coco:
    case KeypointLayout::coco_18:
    case KeypointLayout::coco_wholebody:
    case KeypointLayout::openpose:
    case KeypointLayout::mediapipe:
      return JointDefinitions::keypoints;
    case KeypointLayout::halpe:
    case KeypointLayout::body_25b:
      return JointDefinitions::keypoints_top;
    default:
      return JointDefinitions::unknown;
  }
}

bool has_count(KeypointLayout layout, int keypoints) {
  const auto& longer = table(layout).longer;
  return keypoints > 0 && (keypoints == table(layout).keypoints ||
                           std::ranges::find(longer, keypoints) != longer.end());
}

std::vector<KeypointLayout> layouts_with(int keypoints) {
  std::vector<KeypointLayout> found;
  for (const auto& choice : kChoices<KeypointLayout>.list) {
    if (has_count(choice.value, keypoints)) found.push_back(choice.value);
  }
  return found;
}

std::optional<KeypointLayout> likeliest_layout(const std::vector<KeypointLayout>& layouts,
                                               const KeypointTrack& track) {
  if (layouts.size() == 1) return layouts[0];
  std::vector<std::pair<double, KeypointLayout>> found;
  for (const KeypointLayout l : layouts) {
    if (const auto far = unlikeness(l, track)) found.emplace_back(*far, l);
  }
  std::ranges::sort(found);
  constexpr double kBody = 0.5;
  constexpr double kClear = 0.2;
  if (found.size() < 2 || found[0].first > kBody) return std::nullopt;
  if (found[1].first - found[0].first < kClear) return std::nullopt;
  return found[0].second;
}

int ways_to_place(KeypointLayout layout, int joint) {
  return static_cast<int>(ways(layout).at(static_cast<std::size_t>(joint)).size());
}

std::optional<PlacedJoint> place_joint(KeypointLayout layout, const KeypointTrack& track, int frame,
                                       int joint, int way) {
  const Rule& known = ways(layout).at(static_cast<std::size_t>(joint));
  return placed(table(layout), track, frame, known.at(static_cast<std::size_t>(way)));
}

}  // namespace posetape::data
