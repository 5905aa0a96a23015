#include "data/bvh.hpp"

#include <fmt/format.h>

#include <Eigen/Geometry>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <initializer_list>
#include <numbers>

#include "data/printable.hpp"
#include "data/skeleton.hpp"
#include "data/text_lines.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr std::array<std::string_view, 6> kChannels{"Xposition", "Yposition", "Zposition",
                                                    "Xrotation", "Yrotation", "Zrotation"};

bool is_rotation(BvhChannel channel) {
  return channel >= BvhChannel::x_rotation;
}

int axis_of(BvhChannel channel) {
  return static_cast<int>(channel) % 3;
}

// The words of a file, wherever its lines end.
class Words {
 public:
  Words(std::string_view text, const std::string& file) : lines_(text, file) { lines_.next(); }

  // The next word; empty at the end of the file.
  std::string_view next() {
    for (;;) {
      const std::string_view word = lines_.word();
      if (!word.empty() || !lines_.next()) return word;
    }
  }
  void expect(std::string_view word) {
    const std::string_view found = next();
    if (found != word) bad("'{}'", found, word);
  }
  double number(std::string_view of) { return number(of, next()); }
  double number(std::string_view of, std::string_view word) const {
    if (word.empty()) bad("a number for {}", word, of);
    return lines_.number(of, word);
  }
  int whole(std::string_view of, int least, int most) {
    const std::string_view text = next();
    const double value = number(of, text);
    if (value != std::floor(value) || value < least || value > most) {
      bad("a whole number from {} to {} for {}", text, least, most, of);
    }
    return static_cast<int>(value);
  }
  Vec3 triple(std::string_view of) {
    const double x = number(of);
    const double y = number(of);
    return {x, y, number(of)};
  }
  // The words up to '{', which is taken as well.
  std::string name() {
    std::string name;
    for (std::string_view word = next(); word != "{"; word = next()) {
      if (word.empty()) lines_.bad("'{{' after a joint's name, found the end of the file");
      name += (name.empty() ? "" : " ") + std::string(word);
    }
    if (name.empty()) lines_.bad("a joint's name before '{{'");
    return name;
  }

  template <class... Args>
  [[noreturn]] void bad(fmt::format_string<Args...> expected, std::string_view found,
                        Args&&... args) const {
    const std::string what = fmt::format(expected, std::forward<Args>(args)...);
    if (found.empty()) lines_.bad("{}, found the end of the file", what);
    lines_.bad("{}, found '{}'", what, printable(found));
  }

 private:
  TextLines lines_;
};

void parse_channels(Words& words, BvhJoint& joint) {
  const int count = words.whole("the number of channels", 0, 6);
  for (int i = 0; i < count; ++i) {
    const std::string_view word = words.next();
    const auto found = std::ranges::find(kChannels, word);
    const auto channel = static_cast<BvhChannel>(found - kChannels.begin());
    if (found == kChannels.end() || std::ranges::count(joint.channels, channel) > 0) {
      words.bad("{} of Xposition ... Zrotation, each once", word, count);
    }
    joint.channels.push_back(channel);
  }
}

void parse_hierarchy(Words& words, std::vector<BvhJoint>& joints) {
  words.expect("HIERARCHY");
  words.expect("ROOT");
  joints.push_back({words.name(), -1, Vec3::Zero(), {}});
  for (int open = 0; open >= 0;) {  // the joint whose block this is
    const std::string_view word = words.next();
    BvhJoint& joint = joints[static_cast<std::size_t>(open)];
    if (word == "OFFSET") {
      joint.offset = words.triple("OFFSET");
    } else if (word == "CHANNELS" && joint.channels.empty() && !joint.name.empty()) {
      parse_channels(words, joint);
    } else if (word == "JOINT" && !joint.name.empty()) {
      joints.push_back({words.name(), open, Vec3::Zero(), {}});
      open = static_cast<int>(joints.size()) - 1;
    } else if (word == "End" && !joint.name.empty()) {
      words.expect("Site");
      words.expect("{");
      joints.push_back({"", open, Vec3::Zero(), {}});
      open = static_cast<int>(joints.size()) - 1;
    } else if (word == "}") {
      open = joint.parent;
    } else {
      words.bad("OFFSET, CHANNELS, JOINT, End Site or '}}'", word);
    }
  }
}

// Letters and digits in lower case.
std::string plain(std::string_view name) {
  std::string result;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0) result += static_cast<char>(std::tolower(byte));
  }
  return result;
}

// The plain names of the joints without the prefix that all of them have; End Sites have none.
std::vector<std::string> plain_names(const Bvh& bvh) {
  std::vector<std::string> names;
  for (const BvhJoint& joint : bvh.joints) names.push_back(plain(joint.name));
  std::size_t prefix = names[0].size();
  for (std::size_t j = 0; j < names.size(); ++j) {
    if (bvh.joints[j].name.empty()) continue;
    const auto [end, other] = std::ranges::mismatch(names[0], names[j]);
    prefix = std::min(prefix, static_cast<std::size_t>(end - names[0].begin()));
  }
  for (std::string& name : names) name.erase(0, std::min(prefix, name.size()));
  return names;
}

class JointFinder {
 public:
  explicit JointFinder(const Bvh& bvh) : bvh_(bvh), names_(plain_names(bvh)) {}

  // The joint of the first of these names that there is; -1 where there is none.
  int find(std::initializer_list<std::string_view> candidates) const {
    for (const std::string_view name : candidates) {
      const auto found = std::ranges::find(names_, name);
      if (found != names_.end()) return static_cast<int>(found - names_.begin());
    }
    return -1;
  }
  int need(int joint, std::initializer_list<std::string_view> candidates) const {
    const int found = find(candidates);
    if (found < 0) {
      fail(
          "{}: expected a joint for {}, named {} or the like; rename the file's joint, or see "
          "data/bvh.hpp for the names that are known",
          bvh_.file, kJointNames[static_cast<std::size_t>(joint)], fmt::join(candidates, ", "));
    }
    return found;
  }

  int head_top(int head) const {
    for (std::size_t j = 0; j < bvh_.joints.size(); ++j) {
      if (bvh_.joints[j].parent == head) return static_cast<int>(j);
    }
    fail("{}: expected an End Site or a joint below '{}', the top of the head", bvh_.file,
         printable(bvh_.joints[static_cast<std::size_t>(head)].name));
  }

  // Of the joints between two, the one that is nearest to half of the way at rest.
  int half_way(int hip, int thorax) const {
    std::vector<int> chain;
    std::vector<double> lengths;  // from each of the chain up to the thorax
    double length = 0;
    int j = thorax;
    for (; j >= 0 && j != hip; j = parent(j)) {
      chain.push_back(j);
      lengths.push_back(length);
      length += bvh_.joints[static_cast<std::size_t>(j)].offset.norm();
    }
    if (j != hip || chain.size() < 2) {
      fail("{}: expected a joint of the spine between '{}' and '{}'", bvh_.file,
           printable(bvh_.joints[static_cast<std::size_t>(hip)].name),
           printable(bvh_.joints[static_cast<std::size_t>(thorax)].name));
    }
    std::size_t best = 1;
    for (std::size_t i = 1; i < chain.size(); ++i) {
      const auto off = [&](std::size_t k) { return std::abs(lengths[k] - 0.5 * length); };
      if (off(i) < off(best)) best = i;
    }
    return chain[best];
  }

 private:
  int parent(int joint) const { return bvh_.joints[static_cast<std::size_t>(joint)].parent; }

  const Bvh& bvh_;
  std::vector<std::string> names_;
};

// The extent of the skeleton at rest along its longest axis.
double rest_size(const Bvh& bvh) {
  Eigen::AlignedBox3d box;
  std::vector<Vec3> points;
  for (const BvhJoint& joint : bvh.joints) {
    const Vec3 start =
        joint.parent < 0 ? Vec3(Vec3::Zero()) : points[static_cast<std::size_t>(joint.parent)];
    points.push_back(joint.parent < 0 ? start : Vec3(start + joint.offset));
    box.extend(points.back());
  }
  return box.sizes().maxCoeff();
}

}  // namespace

std::size_t Bvh::channels() const {
  std::size_t count = 0;
  for (const BvhJoint& joint : joints) count += joint.channels.size();
  return count;
}

std::size_t Bvh::frames() const {
  return channels() == 0 ? 0 : values.size() / channels();
}

int Bvh::find(std::string_view joint) const {
  const auto found = std::ranges::find(joints, joint, &BvhJoint::name);
  return found == joints.end() ? -1 : static_cast<int>(found - joints.begin());
}

Bvh parse_bvh(std::string_view text, const std::string& file) {
  Bvh bvh;
  bvh.file = file;
  Words words(text, bvh.file);
  parse_hierarchy(words, bvh.joints);
  const std::size_t channels = bvh.channels();
  words.expect("MOTION");
  if (channels == 0) fail("{}: expected CHANNELS in the joints, found none", file);
  words.expect("Frames:");
  const int frames = words.whole("Frames:", 1, 100'000'000);
  words.expect("Frame");
  words.expect("Time:");
  bvh.frame_time = words.number("Frame Time:");
  if (!(bvh.frame_time >= 1e-5 && bvh.frame_time <= 1e3)) {
    fail("{}: expected seconds from 0.00001 to 1000 as Frame Time, found {}", file, bvh.frame_time);
  }
  // Not what the header claims: every value is at least a digit and a space.
  bvh.values.reserve(std::min(static_cast<std::size_t>(frames) * channels, text.size() / 2));
  for (int f = 0; f < frames; ++f) {
    for (std::size_t c = 0; c < channels; ++c) {
      const std::string_view word = words.next();
      if (word.empty()) words.bad("{} channels in frame {} of {}", word, channels, f + 1, frames);
      bvh.values.push_back(words.number("a channel", word));
    }
  }
  if (const std::string_view more = words.next(); !more.empty()) {
    words.bad("the end of the file after {} frames of {} channels", more, frames, channels);
  }
  return bvh;
}

Bvh read_bvh(const std::filesystem::path& file) {
  return parse_bvh(read_text(file), file.string());
}

std::string format_bvh(const Bvh& bvh) {
  std::string text = "HIERARCHY\n";
  std::vector<int> open;
  const auto close_down_to = [&](int parent) {
    while (!open.empty() && open.back() != parent) {
      open.pop_back();
      text += fmt::format("{:>{}}}}\n", "", open.size());
    }
  };
  for (std::size_t j = 0; j < bvh.joints.size(); ++j) {
    const BvhJoint& joint = bvh.joints[j];
    close_down_to(joint.parent);
    const std::size_t depth = open.size();
    const std::string head = joint.name.empty() ? "End Site"
                             : depth == 0       ? "ROOT " + joint.name
                                                : "JOINT " + joint.name;
    text += fmt::format("{0:>{1}}{2}\n{0:>{1}}{{\n{0:>{1}} OFFSET {3:.6f} {4:.6f} {5:.6f}\n", "",
                        depth, head, joint.offset.x(), joint.offset.y(), joint.offset.z());
    if (!joint.name.empty()) {
      text += fmt::format("{:>{}} CHANNELS {}", "", depth, joint.channels.size());
      for (const BvhChannel c : joint.channels) {
        text += fmt::format(" {}", kChannels[static_cast<std::size_t>(c)]);
      }
      text += '\n';
    }
    open.push_back(static_cast<int>(j));
  }
  close_down_to(-1);
  text += fmt::format("MOTION\nFrames: {}\nFrame Time: {:.9g}\n", bvh.frames(), bvh.frame_time);
  std::size_t v = 0;
  for (std::size_t f = 0; f < bvh.frames(); ++f) {
    for (const BvhJoint& joint : bvh.joints) {
      for (const BvhChannel c : joint.channels) {
        text += fmt::format("{:.{}f} ", bvh.values[v++], is_rotation(c) ? 7 : 6);
      }
    }
    text.back() = '\n';
  }
  return text;
}

void joint_positions(const Bvh& bvh, std::size_t frame, std::vector<Vec3>& points) {
  const double* value = bvh.values.data() + frame * bvh.channels();
  std::vector<Eigen::Matrix3d> turns(bvh.joints.size());
  points.resize(bvh.joints.size());
  for (std::size_t j = 0; j < bvh.joints.size(); ++j) {
    const BvhJoint& joint = bvh.joints[j];
    Vec3 offset = joint.offset;
    Eigen::Matrix3d turn = Eigen::Matrix3d::Identity();
    for (const BvhChannel c : joint.channels) {
      if (is_rotation(c)) {
        turn *= Eigen::AngleAxisd(*value * std::numbers::pi / 180, Vec3::Unit(axis_of(c)))
                    .toRotationMatrix();
      } else {
        offset[axis_of(c)] = *value;
      }
      ++value;
    }
    if (joint.parent < 0) {
      points[j] = offset;
      turns[j] = turn;
    } else {
      const auto parent = static_cast<std::size_t>(joint.parent);
      points[j] = points[parent] + turns[parent] * offset;
      turns[j] = turns[parent] * turn;
    }
  }
}

std::array<int, kJoints> bvh_joints(const Bvh& bvh) {
  std::array<int, kJoints> own{};
  std::ranges::transform(kJointNames, own.begin(), [&](auto name) { return bvh.find(name); });
  if (std::ranges::min(own) >= 0) return own;

  namespace j = joint;
  const JointFinder finder(bvh);
  std::array<int, kJoints> found{};
  const auto put = [&](int joint, std::initializer_list<std::string_view> names) {
    found[static_cast<std::size_t>(joint)] = finder.need(joint, names);
  };
  put(j::hip, {"hips", "hip", "pelvis"});
  put(j::right_hip, {"rightupleg", "righthip", "upperlegr", "rightupperleg", "rightthigh", "rhip"});
  put(j::left_hip, {"leftupleg", "lefthip", "upperlegl", "leftupperleg", "leftthigh", "lhip"});
  put(j::right_knee, {"rightleg", "rightknee", "lowerlegr", "rightlowerleg", "rightshin", "rknee"});
  put(j::left_knee, {"leftleg", "leftknee", "lowerlegl", "leftlowerleg", "leftshin", "lknee"});
  put(j::right_foot, {"rightfoot", "rightankle", "footr", "rfoot", "rankle"});
  put(j::left_foot, {"leftfoot", "leftankle", "footl", "lfoot", "lankle"});
  put(j::thorax, {"neck"});
  put(j::neck, {"head"});
  put(j::right_shoulder,
      {"rightarm", "rightupperarm", "upperarmr", "rightuparm", "rightshoulder", "rshoulder"});
  put(j::left_shoulder,
      {"leftarm", "leftupperarm", "upperarml", "leftuparm", "leftshoulder", "lshoulder"});
  put(j::right_elbow, {"rightforearm", "rightelbow", "lowerarmr", "rightlowerarm", "relbow"});
  put(j::left_elbow, {"leftforearm", "leftelbow", "lowerarml", "leftlowerarm", "lelbow"});
  put(j::right_wrist, {"righthand", "rightwrist", "handr", "rhand", "rwrist"});
  put(j::left_wrist, {"lefthand", "leftwrist", "handl", "lhand", "lwrist"});
  found[j::head] = finder.head_top(found[j::neck]);
  found[j::spine] = finder.half_way(found[j::hip], found[j::thorax]);
  return found;
}

Motion bvh_motion(const Bvh& bvh, const BvhOptions& options) {
  const std::array<int, kJoints> joints = bvh_joints(bvh);
  const double size = rest_size(bvh) * options.metres_per_unit;
  if (!(size >= 0.5 && size <= 3.5)) {
    fail(
        "{}: the skeleton at rest is {:.3g} m tall with {:g} m to the file's unit of length; give "
        "the unit (--unit)",
        bvh.file, size, options.metres_per_unit);
  }
  Motion motion;
  motion.name = std::filesystem::path(bvh.file).stem().string();
  const double fps = 1 / bvh.frame_time;
  motion.fps = std::abs(fps / std::round(fps) - 1) < 5e-4 ? std::round(fps) : fps;
  motion.frames.resize(bvh.frames());
  std::vector<Vec3> points;
  for (std::size_t f = 0; f < motion.frames.size(); ++f) {
    joint_positions(bvh, f, points);
    for (std::size_t j = 0; j < kJoints; ++j) {
      const Vec3 p = points[static_cast<std::size_t>(joints[j])] * options.metres_per_unit;
      motion.frames[f][j] = options.up == UpAxis::z ? p : y_up_to_z_up(p);
    }
    if (options.hip == HipRoot::midpoint) {
      Pose3& pose = motion.frames[f];
      pose[joint::hip] = 0.5 * (pose[joint::right_hip] + pose[joint::left_hip]);
    }
  }
  return motion;
}

Motion read_bvh_motion(const std::filesystem::path& file, const BvhOptions& options) {
  return bvh_motion(read_bvh(file), options);
}

}  // namespace posetape::data
