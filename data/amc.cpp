// Format and kinematics: the CMU database's own description of ASF/AMC (Acclaim), checked against
// its files. A triple of angles (x, y, z) is R = Rz Ry Rx on column vectors.
#include "data/amc.hpp"

#include <Eigen/Geometry>

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <map>
#include <numbers>
#include <optional>
#include <utility>

#include "data/motion_format.hpp"
#include "data/skeleton.hpp"
#include "data/text_lines.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

// Lengths in the files are inches times the `length` entry under :units.
constexpr double kMetresPerInch = 0.0254;

// The bone whose end is the joint; the hip is the root.
constexpr std::array<std::string_view, kJoints> kJointBones{
    "root",     "rhipjoint", "rfemur",    "rtibia",    "lhipjoint", "lfemur",
    "ltibia",   "lowerback", "thorax",    "upperneck", "head",      "lclavicle",
    "lhumerus", "lwrist",    "rclavicle", "rhumerus",  "rwrist"};

Vec3 triple(TextLines& lines, std::string_view of) {
  const double x = lines.number(of);
  const double y = lines.number(of);
  return {x, y, lines.number(of)};
}

Eigen::Matrix3d rotation(const Vec3& degrees) {
  const Vec3 a = degrees * (std::numbers::pi / 180);
  const double cx = std::cos(a.x()), sx = std::sin(a.x());
  const double cy = std::cos(a.y()), sy = std::sin(a.y());
  const double cz = std::cos(a.z()), sz = std::sin(a.z());
  Eigen::Matrix3d r;
  r << cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx,  //
      sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx,   //
      -sy, cy * sx, cy * cx;
  return r;
}

// One begin ... end block of :bonedata; `lines` stands on its begin.
AsfBone parse_bone(TextLines& lines) {
  AsfBone bone;
  std::optional<Vec3> direction;
  std::optional<double> length;
  bool has_axis = false;
  for (;;) {
    if (!lines.next()) lines.bad("'end' of bone '{}', found the end of the file", bone.name);
    const std::string_view key = lines.word();
    if (key == "end") break;
    if (key.starts_with(':')) lines.bad("'end' of bone '{}', found '{}'", bone.name, key);
    if (key == "name") {
      bone.name = lines.word();
    } else if (key == "direction") {
      direction = triple(lines, "direction");
    } else if (key == "length") {
      length = lines.number("length");
    } else if (key == "axis") {
      bone.axis = rotation(triple(lines, "axis"));
      has_axis = true;
      if (lines.word() != "XYZ") lines.bad("axis order XYZ, found '{}'", lines.line());
    } else if (key == "dof") {
      for (auto word = lines.word(); !word.empty(); word = lines.word()) {
        if (word != "rx" && word != "ry" && word != "rz") {
          lines.bad("dof rx, ry or rz, found '{}'", word);
        }
        const int slot = word[1] - 'x';
        if (std::ranges::count(bone.dof, slot) > 0) lines.bad("'{}' once", word);
        bone.dof.push_back(slot);
      }
    }  // id and limits are of no use here
  }
  if (bone.name.empty()) lines.bad("'name' in the bone that ends here");
  if (!direction) lines.bad("'direction' in bone '{}'", bone.name);
  if (!length) lines.bad("'length' in bone '{}'", bone.name);
  if (!has_axis) lines.bad("'axis' in bone '{}'", bone.name);
  bone.offset = *direction * *length;
  return bone;
}

// What the file holds, before the bones are put in order.
struct AsfFile {
  double length_unit = 0;
  std::optional<std::array<int, 6>> root_order;
  std::vector<AsfBone> bones;
  std::map<std::string, std::vector<std::string>, std::less<>> children;
};

std::array<int, 6> parse_root_order(TextLines& lines) {
  constexpr std::array<std::string_view, 6> kSlots{"TX", "TY", "TZ", "RX", "RY", "RZ"};
  std::array<int, 6> order{};
  std::array<bool, 6> seen{};
  for (int& slot : order) {
    const auto found = std::ranges::find(kSlots, lines.word());
    slot = static_cast<int>(found - kSlots.begin());
    if (slot == 6 || seen[slot]) {
      lines.bad("the six of TX TY TZ RX RY RZ as root order, found '{}'", lines.line());
    }
    seen[slot] = true;
  }
  return order;
}

// A line of :root. The motion gives the root's place, so one in the skeleton has to be zero.
void parse_root_line(TextLines& lines, AsfFile& asf) {
  const std::string_view key = lines.word();
  if (key == "order") {
    asf.root_order = parse_root_order(lines);
  } else if (key == "axis") {
    if (lines.word() != "XYZ") lines.bad("root axis XYZ, found '{}'", lines.line());
  } else if (key == "position" || key == "orientation") {
    if (!triple(lines, key).isZero()) lines.bad("root {} 0 0 0, found '{}'", key, lines.line());
  }
}

void parse_hierarchy_line(TextLines& lines, AsfFile& asf) {
  const std::string_view parent = lines.word();
  if (parent == "begin" || parent == "end") return;
  auto& children = asf.children[std::string(parent)];
  for (auto child = lines.word(); !child.empty(); child = lines.word()) {
    children.emplace_back(child);
  }
}

void parse_unit_line(TextLines& lines, AsfFile& asf) {
  const std::string_view key = lines.word();
  if (key == "length") {
    asf.length_unit = lines.number("length unit");
    if (asf.length_unit <= 0) lines.bad("a length unit above 0, found '{}'", lines.line());
  } else if (key == "angle") {
    if (lines.word() != "deg") lines.bad("angle unit deg, found '{}'", lines.line());
  }
}

// Adds the children of `parent` (an index into skeleton.bones, -1 for the root) and theirs.
void add_children(AsfFile& asf, std::string_view name, int parent, AsfSkeleton& skeleton) {
  const auto found = asf.children.find(name);
  if (found == asf.children.end()) return;
  for (const std::string& child : found->second) {
    const auto bone = std::ranges::find(asf.bones, child, &AsfBone::name);
    if (bone == asf.bones.end()) {
      fail("{}: expected bone '{}' of :hierarchy in :bonedata", skeleton.file, child);
    }
    if (skeleton.find(child) >= 0) {
      fail("{}: expected bone '{}' once in :hierarchy", skeleton.file, child);
    }
    bone->parent = parent;
    bone->first_value = skeleton.values_per_frame;
    bone->offset *= skeleton.metres_per_unit;
    skeleton.values_per_frame += static_cast<int>(bone->dof.size());
    skeleton.bones.push_back(*bone);
    add_children(asf, child, static_cast<int>(skeleton.bones.size()) - 1, skeleton);
  }
}

// Reads frame after frame. Bones may come in any order, each exactly once; they come in the same
// order in every frame of real files, so the order of the frame before is the first guess.
class FrameReader {
 public:
  FrameReader(const AsfSkeleton& skeleton, TextLines& lines)
      : skeleton_(skeleton),
        lines_(lines),
        root_(static_cast<int>(skeleton.bones.size())),
        seen_in_(skeleton.bones.size() + 1, -1) {
    for (int b = 0; b < root_; ++b) {
      if (!skeleton.bones[b].dof.empty()) order_.push_back(b);
    }
    order_.push_back(root_);
  }

  // The lines after a frame's number, into values_per_frame numbers.
  void read(long long frame, double* out) {
    ++count_;
    for (std::size_t i = 0; i < order_.size(); ++i) {
      const std::size_t left = order_.size() - i;
      if (!lines_.next()) {
        lines_.bad("{} more bones in frame {}, found the end of the file", left, frame);
      }
      const std::string_view name = lines_.word();
      if (name_of(order_[i]) != name) order_[i] = find(name, frame, left);
      const int bone = order_[i];
      if (seen_in_[bone] == count_) lines_.bad("'{}' once in frame {}", name, frame);
      seen_in_[bone] = count_;
      read_values(bone, out);
    }
  }

 private:
  std::string_view name_of(int bone) const {
    return bone == root_ ? std::string_view("root") : skeleton_.bones[bone].name;
  }

  int find(std::string_view name, long long frame, std::size_t left) const {
    if (name == "root") return root_;
    const int bone = skeleton_.find(name);
    if (bone >= 0 && !skeleton_.bones[bone].dof.empty()) return bone;
    if (bone >= 0) lines_.bad("no values for '{}', which has no dof in {}", name, skeleton_.file);
    if (name.find_first_not_of("0123456789") == std::string_view::npos) {
      lines_.bad("{} more bones in frame {}, found '{}'", left, frame, name);
    }
    lines_.bad("a bone of {}, found '{}'", skeleton_.file, name);
  }

  void read_values(int bone, double* out) {
    const std::string_view name = name_of(bone);
    std::size_t count = 6;
    if (bone == root_) {
      for (const int slot : skeleton_.root_order) out[slot] = lines_.number(name);
    } else {
      const AsfBone& b = skeleton_.bones[bone];
      count = b.dof.size();
      for (std::size_t d = 0; d < count; ++d) out[b.first_value + d] = lines_.number(name);
    }
    if (const auto more = lines_.word(); !more.empty()) {
      lines_.bad("{} value(s) for '{}', found more: '{}'", count, name, more);
    }
  }

  const AsfSkeleton& skeleton_;
  TextLines& lines_;
  int root_;                  // stands for the root after all bones
  int count_ = 0;             // frames begun
  std::vector<int> seen_in_;  // by bone: the last frame that had it
  std::vector<int> order_;
};

}  // namespace

int AsfSkeleton::find(std::string_view bone) const {
  const auto found = std::ranges::find(bones, bone, &AsfBone::name);
  return found == bones.end() ? -1 : static_cast<int>(found - bones.begin());
}

AsfSkeleton parse_asf(std::string_view text, const std::string& file) {
  AsfFile asf;
  TextLines lines(text, file);
  std::string_view section;
  while (lines.next()) {
    if (lines.line().starts_with(':')) {
      section = lines.word();
    } else if (section == ":units") {
      parse_unit_line(lines, asf);
    } else if (section == ":root") {
      parse_root_line(lines, asf);
    } else if (section == ":bonedata") {
      if (lines.word() != "begin") lines.bad("'begin' of a bone, found '{}'", lines.line());
      asf.bones.push_back(parse_bone(lines));
    } else if (section == ":hierarchy") {
      parse_hierarchy_line(lines, asf);
    }
  }
  if (asf.length_unit == 0) fail("{}: expected 'length' in a section :units", file);
  if (!asf.root_order) fail("{}: expected 'order' in a section :root", file);
  if (asf.bones.empty()) fail("{}: expected bones in a section :bonedata", file);
  if (!asf.children.contains("root")) fail("{}: expected 'root' in a section :hierarchy", file);

  AsfSkeleton skeleton;
  skeleton.file = file;
  skeleton.metres_per_unit = kMetresPerInch / asf.length_unit;
  skeleton.root_order = *asf.root_order;
  add_children(asf, "root", -1, skeleton);
  if (skeleton.bones.size() != asf.bones.size()) {
    const auto lost = std::ranges::find_if(
        asf.bones, [&](const AsfBone& bone) { return skeleton.find(bone.name) < 0; });
    if (lost != asf.bones.end()) {
      fail("{}: expected bone '{}' of :bonedata below root in :hierarchy", file, lost->name);
    }
    fail("{}: expected every bone once in :bonedata", file);
  }
  std::vector<std::string> missing;
  for (int j = 0; j < kJoints; ++j) {
    skeleton.joints[j] = j == joint::hip ? -1 : skeleton.find(kJointBones[j]);
    if (skeleton.joints[j] < 0 && j != joint::hip) {
      missing.push_back(fmt::format("bone '{}', the joint {}", kJointBones[j], kJointNames[j]));
    }
  }
  if (!missing.empty()) fail("{}: expected {}", file, fmt::join(missing, "; "));
  return skeleton;
}

std::vector<double> parse_amc(const AsfSkeleton& skeleton, std::string_view text,
                              const std::string& file) {
  TextLines lines(text, file);
  bool degrees = false;
  bool more = lines.next();
  for (; more && lines.line().starts_with(':'); more = lines.next()) {
    degrees |= lines.line().starts_with(":DEGREES");
  }
  if (!degrees) lines.bad("':DEGREES' before the first frame");
  if (!more) fail("{}: expected at least one frame after ':DEGREES'", file);

  FrameReader reader(skeleton, lines);
  std::vector<double> values;
  values.reserve(text.size() / 10);
  const double printed = lines.number("the frame number");
  if (printed != std::floor(printed) || std::abs(printed) > 1e9) {
    lines.bad("the number of a frame, found '{}'", lines.line());
  }
  const auto first = static_cast<long long>(printed);
  for (long long number = first; more; more = lines.next(), ++number) {
    if (number != first && lines.number("the frame number") != static_cast<double>(number)) {
      lines.bad("frame {}, found '{}'", number, lines.line());
    }
    if (!lines.word().empty()) lines.bad("the number of a frame, found '{}'", lines.line());
    values.resize(values.size() + static_cast<std::size_t>(skeleton.values_per_frame));
    reader.read(number, values.data() + values.size() - skeleton.values_per_frame);
  }
  return values;
}

AsfSkeleton read_asf(const std::filesystem::path& file) {
  return parse_asf(read_text(file), file.string());
}

std::vector<double> read_amc(const AsfSkeleton& skeleton, const std::filesystem::path& file) {
  return parse_amc(skeleton, read_text(file), file.string());
}

// G(root) = R(root angles); G(bone) = G(parent) C M C^T with C = R(axis), M = R(dof values);
// end(bone) = end(parent) + G(bone) offset.
void bone_ends(const AsfSkeleton& skeleton, const double* values, std::vector<Vec3>& ends) {
  const std::size_t root = skeleton.bones.size();
  ends.resize(root + 1);
  ends[root] = Vec3(values[0], values[1], values[2]) * skeleton.metres_per_unit;
  const Eigen::Matrix3d root_turn = rotation({values[3], values[4], values[5]});
  std::vector<Eigen::Matrix3d> turns(root);
  for (std::size_t b = 0; b < root; ++b) {
    const AsfBone& bone = skeleton.bones[b];
    const Eigen::Matrix3d& parent = bone.parent < 0 ? root_turn : turns[bone.parent];
    if (bone.dof.empty()) {
      turns[b] = parent;
    } else {
      Vec3 angles = Vec3::Zero();
      for (std::size_t d = 0; d < bone.dof.size(); ++d) {
        angles[bone.dof[d]] = values[bone.first_value + d];
      }
      turns[b].noalias() = parent * (bone.axis * rotation(angles) * bone.axis.transpose());
    }
    const Vec3& start = ends[bone.parent < 0 ? root : static_cast<std::size_t>(bone.parent)];
    ends[b] = start + turns[b] * bone.offset;
  }
}

std::vector<Pose3> forward_kinematics(const AsfSkeleton& skeleton,
                                      const std::vector<double>& values, HipRoot hip) {
  const std::size_t width = static_cast<std::size_t>(skeleton.values_per_frame);
  std::vector<Pose3> frames(values.size() / width);
  std::vector<Vec3> ends;
  for (std::size_t f = 0; f < frames.size(); ++f) {
    bone_ends(skeleton, values.data() + f * width, ends);
    Pose3& pose = frames[f];
    for (int j = 0; j < kJoints; ++j) {
      pose[j] = skeleton.joints[j] < 0 ? ends.back() : ends[skeleton.joints[j]];
    }
    if (hip == HipRoot::midpoint) {
      pose[joint::hip] = 0.5 * (pose[joint::right_hip] + pose[joint::left_hip]);
    }
  }
  return frames;
}

namespace {

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

Motion motion_of(const AsfSkeleton& skeleton, const std::vector<double>& values,
                 const MotionOptions& options) {
  Motion motion;
  motion.fps = kAmcFps;
  motion.mid_head = 1;
  motion.frames = forward_kinematics(skeleton, values, options.hip);
  const double stated = skeleton.metres_per_unit;
  std::vector<Pose3> as_in_file = motion.frames;
  for (Pose3& pose : as_in_file) {
    for (Vec3& p : pose) p /= stated;
  }
  const WorldClues clues{.given_unit = options.metres_per_unit,
                         .stated_unit = stated,
                         .given_up = options.up,
                         .usual_up = UpAxis::y};
  World world = find_world(skeleton.file, as_in_file, clues, motion.notes);
  world.metres_per_unit /= stated;  // frames are in the stated unit's metres: 1 where it is right
  to_world(motion.frames, world);
  return motion;
}

}  // namespace

std::filesystem::path find_asf(const std::filesystem::path& amc) {
  const std::filesystem::path folder = amc.parent_path();
  const std::string subject = lower(std::filesystem::absolute(amc).parent_path().filename());
  const std::string trial = lower(amc.stem());
  std::vector<std::filesystem::path> found;
  std::error_code error;
  const std::filesystem::path here = folder.empty() ? "." : folder;
  for (std::filesystem::directory_iterator it(here, error), end; !error && it != end;
       it.increment(error)) {
    constexpr std::string_view kEnding[] = {".asf"};
    if (has_ending(it->path(), kEnding)) found.push_back(it->path());
  }
  std::ranges::sort(found);
  const auto stem = [](const std::filesystem::path& file) { return lower(file.stem()); };
  for (const auto& file : found) {
    if (stem(file) == subject) return file;
  }
  for (const auto& file : found) {
    if (trial.starts_with(stem(file))) return file;
  }
  if (found.size() == 1) return found[0];
  fail("{}: expected a skeleton beside it, {} or one whose name the motion's begins with; found {}",
       amc.string(), (folder / (subject + ".asf")).string(),
       found.empty() ? "none" : fmt::format("{} others", found.size()));
}

Motion read_cmu_motion(const AsfSkeleton& skeleton, const std::filesystem::path& amc,
                       const MotionOptions& options) {
  Motion motion = motion_of(skeleton, read_amc(skeleton, amc), options);
  motion.subject = std::filesystem::path(skeleton.file).stem().string();
  motion.name = amc.stem().string();
  return motion;
}

// ---- The format ----

namespace {

std::vector<Motion> read(const std::filesystem::path& amc, const MotionOptions& options) {
  return {read_cmu_motion(read_asf(find_asf(amc)), amc, options)};
}

// A skeleton, and after a line "====" a motion.
void parse(std::string_view bytes) {
  const std::size_t end = bytes.find("\n====\n");
  const AsfSkeleton skeleton = parse_asf(bytes.substr(0, end), "file.asf");
  if (end == std::string_view::npos) return;
  motion_of(skeleton, parse_amc(skeleton, bytes.substr(end + 6), "file.amc"), {});
}

bool begins(std::string_view start) {
  return start.starts_with("#!OML:ASF") || start.starts_with(":FULLY-SPECIFIED") ||
         (start.starts_with("# AST/ASF") || start.find("\n:bonedata") != std::string_view::npos);
}

}  // namespace

const FormatRule amc_format{
    .name = "cmu",
    .title = "motion in ASF/AMC",
    .endings = {".amc"},
    .beside = {".asf"},
    .begins = begins,
    .reader = FormatReader{
        .help = "From ASF/AMC files of the CMU database",
        .files = "a folder for each subject with <subject>.asf and .amc files",
        .example = "posetape prepare cmu cmu/ -o data.npz --test-subjects 17,127,131",
        .hip = true,
        .map = nullptr,
        .read = read,
        .parse = parse,
        .fps = kAmcFps,
        .acknowledgement = "The data used in this project was obtained from mocap.cs.cmu.edu. The "
                           "database was created with funding from NSF EIA-0196217.",
        .test_subjects = {"127", "131", "17"}}};

}  // namespace posetape::data
