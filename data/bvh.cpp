#include "data/bvh.hpp"

#include <fmt/format.h>

#include <Eigen/Geometry>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <numbers>

#include "data/joint_names.hpp"
#include "data/motion_format.hpp"
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

// Keywords in whatever case.
bool is(std::string_view word, std::string_view keyword) {
  return std::ranges::equal(word, keyword, [](unsigned char a, unsigned char b) {
    return std::tolower(a) == std::tolower(b);
  });
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
    if (!is(found, word)) bad("'{}'", found, word);
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
    const auto found = std::ranges::find_if(
        kChannels, [&](std::string_view channel) { return is(word, channel); });
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
    if (is(word, "OFFSET")) {
      joint.offset = words.triple("OFFSET");
    } else if (is(word, "CHANNELS") && joint.channels.empty() && !joint.name.empty()) {
      parse_channels(words, joint);
    } else if (is(word, "JOINT") && !joint.name.empty()) {
      joints.push_back({words.name(), open, Vec3::Zero(), {}});
      open = static_cast<int>(joints.size()) - 1;
    } else if (is(word, "End") && !joint.name.empty()) {
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

bool begins(std::string_view start) {
  start.remove_prefix(std::min(start.find_first_not_of(" \t\r\n"), start.size()));
  return is(start.substr(0, 9), "HIERARCHY");
}

// The joints at rest. Of those whose bones are in position channels alone, as some programs write
// them, the first frame is taken.
std::vector<NamedPoint> named_points(const Bvh& bvh) {
  std::vector<NamedPoint> points;
  const double* value = bvh.values.data();
  for (const BvhJoint& joint : bvh.joints) {
    Vec3 position = Vec3::Zero();
    for (const BvhChannel c : joint.channels) {
      if (!is_rotation(c)) position[axis_of(c)] = *value;
      ++value;
    }
    const bool moved = joint.parent >= 0 && joint.offset.isZero(0);
    points.push_back({joint.name, joint.parent, moved ? position : joint.offset});
  }
  return points;
}

Pose3 pose_of(const std::vector<Vec3>& points, const JointPoints& joints) {
  Pose3 pose;
  for (std::size_t j = 0; j < kJoints; ++j) {
    Vec3 sum = Vec3::Zero();
    for (const int point : joints[j]) sum += points[static_cast<std::size_t>(point)];
    pose[j] = sum / static_cast<double>(joints[j].size());
  }
  return pose;
}

// Nothing turned and nothing moved.
std::vector<Vec3> rest_points(const std::vector<NamedPoint>& joints) {
  std::vector<Vec3> points;
  for (const NamedPoint& joint : joints) {
    points.push_back(joint.parent < 0
                         ? Vec3(Vec3::Zero())
                         : Vec3(points[static_cast<std::size_t>(joint.parent)] + joint.offset));
  }
  return points;
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
        const bool add = bvh.added_positions && joint.parent >= 0;
        offset[axis_of(c)] = *value + (add ? joint.offset[axis_of(c)] : 0);
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

bool positions_add(const Bvh& bvh) {
  double offsets = 0;
  double positions = 0;
  std::size_t first = 0;  // of the joint's values in a frame
  const std::size_t width = bvh.channels();
  for (const BvhJoint& joint : bvh.joints) {
    Vec3 squares = Vec3::Zero();
    int given = 0;
    for (std::size_t c = 0; c < joint.channels.size(); ++c) {
      if (is_rotation(joint.channels[c])) continue;
      ++given;
      for (std::size_t f = 0; f < bvh.frames(); ++f) {
        const double value = bvh.values[f * width + first + c];
        squares[axis_of(joint.channels[c])] += value * value;
      }
    }
    first += joint.channels.size();
    if (joint.parent < 0 || given < 3) continue;
    offsets += joint.offset.norm();
    positions += std::sqrt(squares.sum() / static_cast<double>(bvh.frames()));
  }
  return positions < 0.2 * offsets;
}

Motion bvh_motion(const Bvh& given, const MotionOptions& options) {
  const std::vector<NamedPoint> named = named_points(given);
  const JointPoints joints = joints_of_skeleton(given.file, named, options.joints, "--joints-map");
  Bvh changed;
  const bool add = positions_add(given);
  if (add) {
    changed = given;
    changed.added_positions = true;
  }
  const Bvh& bvh = add ? changed : given;
  Motion motion;
  if (add) {
    motion.notes.emplace_back(
        "position channels below the root are added to OFFSET: taken in its place, as is usual, "
        "the "
        "bones would have hardly any length");
  }
  motion.name = std::filesystem::path(bvh.file).stem().string();
  const double fps = 1 / bvh.frame_time;
  motion.fps = std::abs(fps / std::round(fps) - 1) < 5e-4 ? std::round(fps) : fps;
  std::vector<Vec3> points;
  for (std::size_t f = 0; f < bvh.frames(); ++f) {
    joint_positions(bvh, f, points);
    motion.frames.push_back(pose_of(points, joints));
  }
  const Pose3 rest = pose_of(rest_points(named), joints);
  const WorldClues clues{.given_unit = options.metres_per_unit,
                         .given_up = options.up,
                         .usual_unit = 0.01,
                         .usual_up = UpAxis::y,
                         .rest = &rest};
  motion.world = find_world(bvh.file, motion.frames, clues, motion.notes);
  to_world(motion.frames, *motion.world);
  if (options.hip == HipRoot::midpoint) hip_to_midpoint(motion.frames);
  return motion;
}

Motion read_bvh_motion(const std::filesystem::path& file, const MotionOptions& options) {
  return bvh_motion(read_bvh(file), options);
}

// ---- The format ----

namespace {

std::vector<Motion> read(const std::filesystem::path& file, const MotionOptions& options) {
  return {read_bvh_motion(file, options)};
}

void parse(std::string_view bytes) {
  bvh_motion(parse_bvh(bytes, "file.bvh"), {});
}

void write(std::span<const PoseClip> clips, const ExportOptions& options, const Sink& sink) {
  for (const PoseClip& clip : clips) {
    sink(format_bvh(bvh_of_poses(*clip.poses, clip.fps, options.bones)));
  }
}

}  // namespace

const FormatRule bvh_format{
    .name = "bvh",
    .title = "motion in BVH",
    .endings = {".bvh"},
    .begins = begins,
    .reader = FormatReader{.help = "From motion capture in BVH files",
                           .files = ".bvh files, or a folder of them for each subject",
                           .example = "posetape prepare bvh lafan1/ -o data.npz --test-subjects "
                                      "subject5",
                           .hip = true,
                           .map = "--joints-map",
                           .read = read,
                           .parse = parse},
    .writer = FormatWriter{.help = "skeletons with rotations",
                           .all_in_one = false,
                           .pixels = false,
                           .certainty = false,
                           .unit = Unit::cm,
                           .up = Axes::y,
                           .fixed = true,
                           .bones = true,
                           .write = write}};

}  // namespace posetape::data
