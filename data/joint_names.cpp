#include "data/joint_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>

#include "data/printable.hpp"
#include "data/skeleton.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

enum class Part {
  hip,
  thorax,
  head,
  head_top,
  nose,
  spine,  // on the middle line
  eye,
  ear,
  hip_joint,
  knee,
  foot,
  shoulder,
  elbow,
  wrist
};

struct PartNames {
  Part part;
  bool sided;
  std::vector<std::string_view> names;  // the preferred one first
};

const std::vector<PartNames>& part_names() {
  static const std::vector<PartNames> kNames{
      {Part::hip, false, {"hips", "hip", "midhip", "chip", "pelvis"}},
      {Part::thorax, false, {"neck", "necklower", "lowerneck", "necktwist"}},
      {Part::head, false, {"head"}},
      {Part::head_top,
       false,
       {"headtopend", "headtop", "topofhead", "headend", "headnub", "headsite", "skulltop"}},
      {Part::nose, false, {"nose"}},
      {Part::spine, false, {"spine"}},
      {Part::eye, true, {"eye"}},
      {Part::ear, true, {"ear"}},
      {Part::hip_joint,
       true,
       {"upleg", "upperleg", "thigh", "thighbend", "upperthigh", "femur", "hip"}},
      {Part::knee, true, {"lowerleg", "loleg", "shin", "calf", "tibia", "knee", "leg"}},
      {Part::foot, true, {"ankle", "foot"}},
      {Part::shoulder,
       true,
       {"upperarm", "uparm", "uarm", "shldr", "shldrbend", "humerus", "arm", "shoulder"}},
      {Part::elbow,
       true,
       {"forearm", "lowerarm", "loarm", "farm", "forearmbend", "radius", "elbow"}},
      {Part::wrist, true, {"wrist", "hand"}},
  };
  return kNames;
}

bool is_lower(char c) {
  return std::islower(static_cast<unsigned char>(c)) != 0;
}
bool is_upper(char c) {
  return std::isupper(static_cast<unsigned char>(c)) != 0;
}

// "LUArm" is l u arm, "Bip01 L Hand" bip l hand: numbers are left out.
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words;
  bool open = false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (!is_lower(c) && !is_upper(c)) {
      open = false;
      continue;
    }
    const bool capital = is_upper(c) && i > 0 &&
                         (is_lower(name[i - 1]) || (i + 1 < name.size() && is_lower(name[i + 1])));
    if (!open || capital) words.emplace_back();
    words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    open = true;
  }
  return words;
}

enum class Side { none, left, right };

std::optional<Side> side_of(std::string_view word) {
  if (word == "l" || word == "left") return Side::left;
  if (word == "r" || word == "right") return Side::right;
  return std::nullopt;
}

struct Known {
  Part part;
  Side side;
  std::size_t rank;  // among the part's names
};

std::optional<Known> look_up(std::string_view core, Side side) {
  for (const PartNames& part : part_names()) {
    if (part.sided != (side != Side::none)) continue;
    const auto found = std::ranges::find(part.names, core);
    if (found == part.names.end()) continue;
    return Known{part.part, side, static_cast<std::size_t>(found - part.names.begin())};
  }
  return std::nullopt;
}

// "lfemur", "leftupleg", "upperlegr": a side that nothing sets apart.
std::optional<Known> look_up_joined(std::string_view word) {
  for (const std::string_view side : {"left", "right", "l", "r"}) {
    if (word.size() <= side.size()) continue;
    std::optional<Known> known;
    if (word.starts_with(side)) known = look_up(word.substr(side.size()), *side_of(side));
    if (!known && word.ends_with(side)) {
      known = look_up(word.substr(0, word.size() - side.size()), *side_of(side));
    }
    if (known) return known;
  }
  return std::nullopt;
}

// The longest end of the words that is a known name.
std::optional<Known> look_up_end(std::span<const std::string> words, Side side) {
  for (std::size_t first = 0; first < words.size(); ++first) {
    std::string core;
    for (const std::string& word : words.subspan(first)) core += word;
    if (const auto known = look_up(core, side)) return known;
    if (side != Side::none) continue;
    if (const auto known = look_up_joined(core)) return known;
  }
  return std::nullopt;
}

std::optional<Known> known_name(std::string_view name) {
  std::vector<std::string> words = words_of(name);
  // "LUArm" has l and u in one run of capitals.
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i].size() == 2 && side_of(words[i].substr(0, 1)) && i + 1 < words.size()) {
      const std::string both = words[i];
      std::vector<std::string> split = words;
      split[i] = both.substr(0, 1);
      split.insert(split.begin() + static_cast<std::ptrdiff_t>(i) + 1, both.substr(1));
      const std::span<const std::string> rest(split.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                              split.end());
      if (const auto known = look_up_end(rest, *side_of(split[i]))) return known;
    }
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::optional<Side> side = side_of(words[i]);
    if (!side) continue;
    words.erase(words.begin() + static_cast<std::ptrdiff_t>(i));
    return look_up_end(words, *side);
  }
  return look_up_end(words, Side::none);
}

class Finder {
 public:
  Finder(const std::string& file, std::span<const NamedPoint> points, const JointsMap& map,
         const char* option)
      : file_(file), points_(points), map_(map), option_(option) {
    for (const NamedPoint& point : points) known_.push_back(known_name(point.name));
  }

  bool is(int point, Part part) const {
    const auto& known = known_[static_cast<std::size_t>(point)];
    return known && known->part == part;
  }

  // The 17 names of ours, if the file has all of them.
  std::optional<JointPoints> own() const {
    JointPoints found;
    for (std::size_t j = 0; j < kJoints; ++j) {
      const auto at = std::ranges::find(points_, kJointNames[j], &NamedPoint::name);
      if (at == points_.end()) return std::nullopt;
      found[j] = {static_cast<int>(at - points_.begin())};
    }
    return found;
  }

  // The point that is a part of the body; -1 where there is none.
  int find(Part part, Side side = Side::none) const {
    int best = -1;
    for (std::size_t i = 0; i < known_.size(); ++i) {
      if (!known_[i] || known_[i]->part != part || known_[i]->side != side) continue;
      if (best < 0 || known_[i]->rank < known_[static_cast<std::size_t>(best)]->rank) {
        best = static_cast<int>(i);
      }
    }
    return best;
  }

  // All but the spine, the neck and the head.
  JointPoints find_limbs() const {
    namespace j = joint;
    JointPoints found;
    const auto put = [&](int to, Part part, Side side) {
      if (const int point = find(part, side); point >= 0) found[to] = {point};
    };
    put(j::hip, Part::hip, Side::none);
    constexpr std::pair<Part, std::array<int, 2>> kLimbs[] = {
        {Part::hip_joint, {j::left_hip, j::right_hip}},
        {Part::knee, {j::left_knee, j::right_knee}},
        {Part::foot, {j::left_foot, j::right_foot}},
        {Part::shoulder, {j::left_shoulder, j::right_shoulder}},
        {Part::elbow, {j::left_elbow, j::right_elbow}},
        {Part::wrist, {j::left_wrist, j::right_wrist}}};
    for (const auto& [part, joints] : kLimbs) {
      put(joints[0], part, Side::left);
      put(joints[1], part, Side::right);
    }
    return found;
  }

  // What the user says comes in the place of what was found.
  void apply_map(JointPoints& found) const {
    for (std::size_t j = 0; j < kJoints; ++j) {
      if (map_.names[j].empty()) continue;
      found[j].clear();
      for (const std::string& name : map_.names[j]) found[j].push_back(mapped(name));
    }
  }

  // Throws where a joint is missing.
  void check(const JointPoints& found) const {
    std::vector<std::string_view> missing;
    for (std::size_t j = 0; j < kJoints; ++j) {
      if (found[j].empty()) missing.push_back(kJointNames[j]);
    }
    if (missing.empty()) return;
    fail(
        "{}: expected a joint for {}, and none has a name that is known; found {}; say which they "
        "are in a text file, a line '{} = name' each, and give it with {}",
        file_, fmt::join(missing, ", "), names(), missing.front(), option_);
  }

 private:
  int mapped(const std::string& name) const {
    const auto is = [&](const NamedPoint& point) { return point.name == name; };
    auto at = std::ranges::find_if(points_, is);
    if (at == points_.end()) {  // "Subject:LASI" by "LASI"
      const auto ends = [&](const NamedPoint& point) { return point.name.ends_with(":" + name); };
      at = std::ranges::find_if(points_, ends);
      if (at != points_.end()) check_subject(name, at->name);
    }
    if (at == points_.end()) {
      fail("{}: '{}' of {} is not in {}, which has {}", map_.file, printable(name), map_.file,
           file_, names());
    }
    return static_cast<int>(at - points_.begin());
  }

  // Throws where points of several subjects end in names of the map: they are not one body.
  void check_subject(const std::string& name, const std::string& found) const {
    const std::string subject = found.substr(0, found.size() - name.size());
    for (const NamedPoint& point : points_) {
      const std::string own = point.name.substr(0, point.name.rfind(':') + 1);
      if (own.empty() || own == subject) continue;
      fail("{}: '{}' of {} may be of several subjects, '{}' and '{}'; give whole names in the map",
           file_, printable(name), map_.file, printable(subject), printable(own));
    }
  }

  std::string names() const {
    constexpr std::size_t kMost = 60;
    std::string text;
    std::size_t count = 0;
    for (const NamedPoint& point : points_) {
      if (point.name.empty()) continue;
      if (++count > kMost) continue;
      text += (text.empty() ? "" : ", ") + printable(point.name);
    }
    if (count > kMost) text += fmt::format(" and {} more", count - kMost);
    return text.empty() ? "no names" : text;
  }

  const std::string& file_;
  std::span<const NamedPoint> points_;
  const JointsMap& map_;
  const char* option_;
  std::vector<std::optional<Known>> known_;
};

// ---- Skeletons ----

class Tree {
 public:
  explicit Tree(std::span<const NamedPoint> joints) : joints_(joints) {
    for (std::size_t j = 0; j < joints.size(); ++j) {
      const int parent = joints[j].parent;
      rest_.push_back(parent < 0
                          ? Vec3(Vec3::Zero())
                          : Vec3(rest_[static_cast<std::size_t>(parent)] + joints[j].offset));
    }
  }

  int parent(int j) const { return joints_[static_cast<std::size_t>(j)].parent; }
  bool is_above(int above, int j) const {
    while (j >= 0 && j != above) j = parent(j);
    return j == above;
  }
  int common(int a, int b) const {
    while (a >= 0 && !is_above(a, b)) a = parent(a);
    return a;
  }
  // The first joint that hangs on this one and of which `wanted` is true; -1 where there is none.
  template <class F>
  int child(int of, F wanted) const {
    for (std::size_t j = 0; j < joints_.size(); ++j) {
      if (joints_[j].parent == of && wanted(static_cast<int>(j))) return static_cast<int>(j);
    }
    return -1;
  }
  // The joint on the way from `above` to `j` that hangs on `above`.
  int towards(int above, int j) const {
    while (parent(j) != above) j = parent(j);
    return j;
  }

  // The top of the head: named so, an End Site, or the joint below that is farthest up.
  int head_top(int head, int named) const {
    if (named >= 0) return named;
    const Vec3 up = joints_[static_cast<std::size_t>(head)].offset;
    int best = -1;
    for (std::size_t j = 0; j < joints_.size(); ++j) {
      if (joints_[j].parent != head) continue;
      if (joints_[j].name.empty()) return static_cast<int>(j);
      const auto far = [&](std::size_t k) { return joints_[k].offset.dot(up); };
      if (best < 0 || far(j) > far(static_cast<std::size_t>(best))) best = static_cast<int>(j);
    }
    return best;
  }

  // Of the joints between the hip and the thorax, the one that is nearest to half of the way at
  // rest; -1 where there is none. `last` is the lowest joint that may be the thorax's.
  int half_way(int hip, int thorax, bool with_thorax) const {
    std::vector<int> chain;
    std::vector<double> lengths;  // from each of the chain up to the thorax
    double length = 0;
    int j = thorax;
    for (; j >= 0 && j != hip; j = parent(j)) {
      chain.push_back(j);
      lengths.push_back(length);
      length += joints_[static_cast<std::size_t>(j)].offset.norm();
    }
    const std::size_t first = with_thorax ? 0 : 1;
    if (j != hip || chain.size() <= first) return -1;
    std::size_t best = first;
    for (std::size_t i = first; i < chain.size(); ++i) {
      const auto off = [&](std::size_t k) { return std::abs(lengths[k] - 0.5 * length); };
      if (off(i) < off(best)) best = i;
    }
    return chain[best];
  }

 private:
  std::span<const NamedPoint> joints_;
  std::vector<Vec3> rest_;
};

// Where both shoulders hang on the spine; -1 where they don't.
int chest_of(const Tree& tree, const JointPoints& found) {
  const auto& left = found[joint::left_shoulder];
  const auto& right = found[joint::right_shoulder];
  if (left.empty() || right.empty()) return -1;
  const int chest = tree.common(left[0], right[0]);
  return chest == left[0] || chest == right[0] ? -1 : chest;
}

struct Neck {
  int base = -1, head = -1;
};

// By their names; else (Rigify) joints named spine that go on above the chest, the last of which is
// the head.
Neck neck_of(const Finder& finder, const Tree& tree, int chest) {
  Neck neck{finder.find(Part::thorax), finder.find(Part::head)};
  if (neck.head >= 0 || chest < 0) return neck;
  const auto is_spine = [&](int j) { return finder.is(j, Part::spine); };
  for (int j = tree.child(chest, is_spine); j >= 0; j = tree.child(j, is_spine)) {
    if (neck.base < 0) neck.base = j;
    neck.head = j;
  }
  return neck;
}

// The middle of the body, which names say less of than the tree.
void find_middle(const Finder& finder, const Tree& tree, JointPoints& found) {
  namespace j = joint;
  if (found[j::hip].empty() && !found[j::left_hip].empty() && !found[j::right_hip].empty()) {
    const int hip = tree.common(found[j::left_hip][0], found[j::right_hip][0]);
    if (hip >= 0) found[j::hip] = {hip};
  }
  const int chest = chest_of(tree, found);
  const Neck neck = neck_of(finder, tree, chest);
  if (neck.head >= 0) {
    found[j::neck] = {neck.head};
    const int top = tree.head_top(neck.head, finder.find(Part::head_top));
    if (top >= 0) found[j::head] = {top};
  }
  if (neck.base >= 0) {
    found[j::thorax] = {neck.base};
  } else if (chest >= 0) {
    found[j::thorax] = {tree.towards(chest, found[j::left_shoulder][0]),
                        tree.towards(chest, found[j::right_shoulder][0])};
  }
  if (found[j::hip].empty() || found[j::thorax].empty()) return;
  const int spine = neck.base >= 0 ? tree.half_way(found[j::hip][0], neck.base, false)
                                   : tree.half_way(found[j::hip][0], chest, true);
  if (spine >= 0) found[j::spine] = {spine};
}

void midway(JointPoints& found, int to, int a, int b) {
  if (!found[to].empty() || found[a].empty() || found[b].empty()) return;
  // The mean of two means, as one: each has to have as many points.
  for (std::size_t i = 0; i < found[a].size() * found[b].size(); ++i) {
    found[to].push_back(found[a][i % found[a].size()]);
    found[to].push_back(found[b][i % found[b].size()]);
  }
}

}  // namespace

JointPoints joints_of_skeleton(const std::string& file, std::span<const NamedPoint> joints,
                               const JointsMap& map, const char* option) {
  const Finder finder(file, joints, map, option);
  if (auto own = finder.own()) {
    finder.apply_map(*own);
    return *own;
  }
  JointPoints found = finder.find_limbs();
  finder.apply_map(found);
  find_middle(finder, Tree(joints), found);
  finder.apply_map(found);
  midway(found, joint::spine, joint::hip, joint::thorax);
  finder.check(found);
  return found;
}

MarkerJoints joints_of_markers(const std::string& file, std::span<const NamedPoint> markers,
                               const JointsMap& map, const char* option) {
  namespace j = joint;
  const Finder finder(file, markers, map, option);
  if (auto own = finder.own()) {
    finder.apply_map(*own);
    return {*own};
  }
  JointPoints found = finder.find_limbs();
  const auto put = [&](int to, std::initializer_list<int> points) {
    if (found[to].empty() && std::min(points) >= 0) found[to] = points;
  };
  put(j::thorax, {finder.find(Part::thorax)});
  const int nose = finder.find(Part::nose);
  const std::vector<int> eyes{finder.find(Part::eye, Side::left),
                              finder.find(Part::eye, Side::right)};
  put(j::neck, {nose});
  put(j::head, {finder.find(Part::head)});
  put(j::head, {finder.find(Part::head_top)});
  put(j::head, {eyes[0], eyes[1]});
  put(j::head, {finder.find(Part::ear, Side::left), finder.find(Part::ear, Side::right)});
  finder.apply_map(found);
  midway(found, j::hip, j::left_hip, j::right_hip);
  midway(found, j::thorax, j::left_shoulder, j::right_shoulder);
  midway(found, j::spine, j::hip, j::thorax);
  finder.check(found);
  MarkerJoints result{found};
  if (found[j::neck] != std::vector{nose}) return result;
  const std::vector<int>& head = found[j::head];
  // Beside a nose "Head" is the head's top, as Halpe and BODY_25B have it.
  const bool top = head.size() == 1 &&
                   (head[0] == finder.find(Part::head) || head[0] == finder.find(Part::head_top));
  result.head = head == eyes ? HeadPoints::nose_and_eyes
                : top        ? HeadPoints::nose_and_top
                             : HeadPoints::nose;
  return result;
}

}  // namespace posetape::data
