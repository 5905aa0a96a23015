#include "data/amc.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "data/motion_format.hpp"
#include "data/skeleton.hpp"
#include "engine/error.hpp"
#include "tests/data/files.hpp"

namespace posetape::data {
namespace {

// A skeleton with every bone that a joint needs. length 2.54 under :units makes one unit a
// hundredth of a metre. Legs point down, arms sideways, the trunk up; the left arm's frame is
// turned by 90 degrees about z. Line 1 is a comment with a byte that is not UTF-8.
std::string small_asf() {
  std::string text =
      "# \xe9 comment\n:version 1.10\n:name TEST\n:units\n  mass 1.0\n  length 2.54\n  angle deg\n"
      ":documentation\n   begin with anything\n"
      ":root\n  order TX TY TZ RX RY RZ\n  axis XYZ\n  position 0 0 0\n  orientation 0 0 0\n"
      ":bonedata\n";
  const auto bone = [&](const std::string& name, const std::string& direction, int length,
                        const std::string& axis, const std::string& dof) {
    text += "  begin\n     id 1\n     name " + name + "\n     direction " + direction +
            "\n     length " + std::to_string(length) + "\n     axis " + axis + " XYZ\n";
    if (!dof.empty()) text += "    dof " + dof + "\n    limits (-1 1)\n           (-2 2)\n";
    text += "  end\n";
  };
  bone("lhipjoint", "1 0 0", 10, "0 0 0", "");
  bone("lfemur", "0 -1 0", 40, "0 0 0", "rx ry rz");
  bone("ltibia", "0 -1 0", 40, "0 0 0", "rx");
  bone("rhipjoint", "-1 0 0", 10, "0 0 0", "");
  bone("rfemur", "0 -1 0", 40, "0 0 0", "rx ry rz");
  bone("rtibia", "0 -1 0", 40, "0 0 0", "rx");
  bone("lowerback", "0 1 0", 20, "0 0 0", "rx ry rz");
  bone("thorax", "0 1 0", 20, "0 0 0", "");
  bone("upperneck", "0 1 0", 10, "0 0 0", "");
  bone("head", "0 1 0", 10, "0 0 0", "");
  bone("lclavicle", "1 0 0", 15, "0 0 0", "");
  bone("lhumerus", "1 0 0", 30, "0 0 90", "rz rx");
  bone("lwrist", "1 0 0", 25, "0 0 0", "");
  bone("rclavicle", "-1 0 0", 15, "0 0 0", "");
  bone("rhumerus", "-1 0 0", 30, "0 0 0", "");
  bone("rwrist", "-1 0 0", 25, "0 0 0", "");
  return text +
         ":hierarchy\n  begin\n    root lhipjoint rhipjoint lowerback\n    lhipjoint lfemur\n"
         "    lfemur ltibia\n    rhipjoint rfemur\n    rfemur rtibia\n    lowerback thorax\n"
         "    thorax upperneck lclavicle rclavicle\n    upperneck head\n"
         "    lclavicle lhumerus\n    lhumerus lwrist\n    rclavicle rhumerus\n"
         "    rhumerus rwrist\n  end\n";
}

// Frame 1 is the zero pose; frame 2 turns the root and bends knee and arm.
const std::string kAmc =
    "#!comment\r\n:FULLY-SPECIFIED\r\n:DEGREES\r\n1\r\nroot 0 90 0 0 0 0\nlowerback 0 0 0\n"
    "lhumerus 0 0\nlfemur 0 0 0\nltibia 0\nrfemur 0 0 0\nrtibia 0\n"
    "2\nroot 10 90 20 0 90 0\nlowerback 0 0 0\nlhumerus 90 9.5e-15\nlfemur -90 0 0\nltibia 90\n"
    "rfemur 0 0 30\nrtibia 0\n";

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const auto at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

void check_point(const Vec3& point, double x, double y, double z) {
  CAPTURE(point.transpose());
  CHECK((point - Vec3(x, y, z)).norm() < 1e-12);
}

TEST_CASE("amc: forward kinematics agrees with a skeleton worked out by hand") {
  using namespace joint;
  const AsfSkeleton skeleton = parse_asf(small_asf(), "small.asf");
  CHECK(skeleton.bones.size() == 16);
  CHECK(skeleton.values_per_frame == 6 + 3 + 3 + 1 + 3 + 1 + 2);
  const auto values = parse_amc(skeleton, kAmc, "small.amc");
  const auto frames = forward_kinematics(skeleton, values, HipRoot::root);
  REQUIRE(frames.size() == 2);

  const Pose3& zero = frames[0];
  check_point(zero[hip], 0, 0.9, 0);
  check_point(zero[left_foot], 0.1, 0.1, 0);
  check_point(zero[right_knee], -0.1, 0.5, 0);
  check_point(zero[head], 0, 1.5, 0);
  check_point(zero[left_wrist], 0.7, 1.3, 0);
  check_point(zero[right_wrist], -0.7, 1.3, 0);

  // The root's turn by 90 degrees about y takes x to -z and z to x. Before it: the left thigh
  // points to +z (Rx(-90) on -y) and the shin, turned back, down; the right leg swings about z by
  // 30 degrees; the left upper arm turns up about z, whatever its own frame, and the forearm
  // follows.
  const Pose3& pose = frames[1];
  check_point(pose[hip], 0.1, 0.9, 0.2);
  check_point(pose[left_hip], 0.1, 0.9, 0.1);
  check_point(pose[left_knee], 0.5, 0.9, 0.1);
  check_point(pose[left_foot], 0.5, 0.5, 0.1);
  check_point(pose[right_foot], 0.1, 0.9 - 0.8 * std::cos(std::acos(-1.0) / 6), 0.3 - 0.4);
  check_point(pose[left_shoulder], 0.1, 1.3, 0.05);
  check_point(pose[left_elbow], 0.1, 1.6, 0.05);
  check_point(pose[left_wrist], 0.1, 1.85, 0.05);
}

TEST_CASE("amc: a bone turns in its own frame") {
  // lhumerus has its x axis along the world's y (axis 0 0 90), so its rx turns +x to -z.
  const AsfSkeleton skeleton = parse_asf(small_asf(), "small.asf");
  const auto values =
      parse_amc(skeleton, replaced(kAmc, "lhumerus 90 9.5e-15", "lhumerus 0 90"), "small.amc");
  auto frames = forward_kinematics(skeleton, values, HipRoot::root);
  // In the turned root frame -z is -x.
  check_point(frames[1][joint::left_elbow] - frames[1][joint::left_shoulder], -0.3, 0, 0);

  frames = forward_kinematics(skeleton, values, HipRoot::midpoint);
  check_point(frames[1][joint::hip], 0.1, 0.9, 0.2);  // this skeleton's root is the midpoint
}

TEST_CASE("amc: the root's values may come in another order") {
  const AsfSkeleton skeleton = parse_asf(
      replaced(small_asf(), "order TX TY TZ RX RY RZ", "order RX RY RZ TX TY TZ"), "small.asf");
  const auto values = parse_amc(
      skeleton, replaced(kAmc, "root 10 90 20 0 90 0", "root 0 90 0 10 90 20"), "small.amc");
  check_point(forward_kinematics(skeleton, values, HipRoot::root)[1][joint::left_hip], 0.1, 0.9,
              0.1);
}

TEST_CASE("amc: a broken motion is refused with file, line and what was expected") {
  const AsfSkeleton skeleton = parse_asf(small_asf(), "small.asf");
  const auto complains = [&](const std::string& text, const char* about) {
    CHECK_THROWS_WITH_AS(parse_amc(skeleton, text, "bad.amc"), about, Error);
  };
  complains(replaced(kAmc, "lfemur -90 0 0", "tail -90 0 0"),
            "bad.amc:16: expected a bone of small.asf, found 'tail'");
  complains(replaced(kAmc, "lfemur -90 0 0", "lfemur -90 0"),
            "bad.amc:16: expected a number for lfemur");
  complains(replaced(kAmc, "lfemur -90 0 0", "lfemur -90 0 0 1"),
            "bad.amc:16: expected 3 value(s) for 'lfemur', found more: '1'");
  complains(replaced(kAmc, "lfemur -90 0 0", "lfemur -9O 0 0"),
            "bad.amc:16: expected a finite number for lfemur, found '-9O'");
  complains(replaced(kAmc, "lfemur -90 0 0", "lfemur nan 0 0"),
            "bad.amc:16: expected a finite number for lfemur, found 'nan'");
  complains(replaced(kAmc, "lfemur -90 0 0", "lfemur 1e999 0 0"),
            "bad.amc:16: expected a finite number for lfemur, found '1e999'");
  complains(replaced(kAmc, "ltibia 90", "lfemur 1 2 3"),
            "bad.amc:17: expected 'lfemur' once in frame 2");
  complains(replaced(kAmc, "ltibia 90", "thorax 1"),
            "bad.amc:17: expected no values for 'thorax', which has no dof in small.asf");
  complains(replaced(kAmc, "rtibia 0\n2", "2"),
            "bad.amc:11: expected 1 more bones in frame 1, found '2'");
  complains(kAmc.substr(0, kAmc.rfind("rfemur")),
            "bad.amc:17: expected 2 more bones in frame 2, found the end of the file");
  complains(replaced(kAmc, "\n2\n", "\n3\n"), "bad.amc:12: expected frame 2, found '3'");
  complains(replaced(kAmc, "\r\n1\r\n", "\r\n1.5\r\n"),
            "bad.amc:4: expected the number of a frame, found '1.5'");
  complains(replaced(kAmc, ":DEGREES", ":RADIANS"),
            "bad.amc:4: expected ':DEGREES' before the first frame");
  complains("", "bad.amc:0: expected ':DEGREES' before the first frame");
  complains(":FULLY-SPECIFIED\n:DEGREES\n",
            "bad.amc: expected at least one frame after ':DEGREES'");
}

TEST_CASE("amc: a broken skeleton is refused with file, line and what was expected") {
  const auto complains = [&](const std::string& text, const char* about) {
    CHECK_THROWS_WITH_AS(parse_asf(text, "bad.asf"), about, Error);
  };
  const std::string good = small_asf();
  complains(replaced(good, ":units", ":unit"), "bad.asf: expected 'length' in a section :units");
  complains(replaced(good, "order TX", "# TX"), "bad.asf: expected 'order' in a section :root");
  complains(replaced(good, "angle deg", "angle rad"),
            "bad.asf:7: expected angle unit deg, found 'angle rad'");
  complains(replaced(good, "position 0 0 0", "position 0 1 0"),
            "bad.asf:13: expected root position 0 0 0, found 'position 0 1 0'");
  complains(replaced(good, "length 10", "lengthy 10"),
            "bad.asf:22: expected 'length' in bone 'lhipjoint'");
  complains(replaced(good, "axis 0 0 0 XYZ", "axis 0 0 0 ZYX"),
            "bad.asf:21: expected axis order XYZ, found 'axis 0 0 0 ZYX'");
  complains(replaced(good, "dof rx ry rz", "dof rx l rz"),
            "bad.asf:29: expected dof rx, ry or rz, found 'l'");
  complains(good.substr(0, good.find("     length 25")),
            "bad.asf:121: expected 'end' of bone 'lwrist', found the end of the file");
  complains(good.substr(0, good.find(":hierarchy")),
            "bad.asf: expected 'root' in a section :hierarchy");
  complains(replaced(good, "lfemur ltibia", "lfemur tail"),
            "bad.asf: expected bone 'tail' of :hierarchy in :bonedata");
  complains(replaced(good, "    lfemur ltibia\n", ""),
            "bad.asf: expected bone 'ltibia' of :bonedata below root in :hierarchy");
  complains(replaced(good, "lfemur ltibia", "lfemur ltibia lfemur"),
            "bad.asf: expected bone 'lfemur' once in :hierarchy");
  std::string renamed = good;
  while (renamed.find("upperneck") != std::string::npos) {
    renamed = replaced(renamed, "upperneck", "nape");
  }
  complains(renamed, "bad.asf: expected bone 'upperneck', the joint Neck");
  CHECK_THROWS_WITH_AS(read_asf("no/such.asf"), "no/such.asf: cannot open the file for reading",
                       Error);
}

TEST_CASE("amc: a trial's skeleton has its folder's name, the beginning of its own, or is alone") {
  const test::TemporaryDirectory directory;
  const std::filesystem::path folder = directory.file("bd");
  std::filesystem::create_directory(folder);
  const auto put = [&](const char* name, const std::string& text) {
    test::write_all((folder / name).string(), text);
  };
  const std::filesystem::path amc = folder / "HDM_bd_walk_001.AMC";
  put("HDM_bd_walk_001.AMC", kAmc);
  CHECK_THROWS_WITH_AS(find_asf(amc), doctest::Contains("bd.asf or one whose name"), Error);
  put("x.asf", small_asf());
  CHECK(find_asf(amc).filename() == "x.asf");
  put("HDM_BD.ASF", small_asf());
  CHECK(find_asf(amc).filename() == "HDM_BD.ASF");
  put("bd.ASF", small_asf());
  CHECK(find_asf(amc).filename() == "bd.ASF");
  const Motion motion = amc_format.reader->read(amc, {})[0];
  CHECK(motion.name == "HDM_bd_walk_001");
  check_point(motion.frames[0][joint::left_foot], 0.1, 0, 0.1);
}

TEST_CASE("amc: another unit than the skeleton says is noticed, taken and said") {
  const test::TemporaryDirectory directory;
  test::write_all(directory.file("a.asf"), replaced(small_asf(), "length 2.54", "length 254"));
  test::write_all(directory.file("a.amc"), kAmc);
  const Motion motion = amc_format.reader->read(directory.file("a.amc"), {})[0];
  REQUIRE(motion.notes.size() == 1);
  CHECK(motion.notes[0].starts_with("the unit of length is taken as cm"));
  CHECK((motion.frames[0][joint::left_foot] - Vec3(0.1, 0, 0.1)).norm() < 1e-9);
}

TEST_CASE("amc: real trials agree with the reference positions to 10 micrometres") {
  const char* root = std::getenv("POSETAPE_CMU");
  if (root == nullptr) {
    MESSAGE("skipped: POSETAPE_CMU does not name a directory with CMU motion capture");
    return;
  }
  const std::filesystem::path data = std::filesystem::path(root).lexically_normal();
  const auto parent = data.has_filename() ? data.parent_path() : data.parent_path().parent_path();
  const auto reference = nlohmann::json::parse(std::ifstream(parent / "reference_fk.json"));
  const double tolerance = reference.at("tolerance_m");
  const auto point = [](const nlohmann::json& p) {
    return Vec3(p.at(0).get<double>(), p.at(1).get<double>(), p.at(2).get<double>());
  };
  REQUIRE(reference.at("frames").size() == 2);
  for (const auto& entry : reference.at("frames")) {
    const auto skeleton = read_asf(parent / entry.at("asf").get<std::string>());
    const auto values = read_amc(skeleton, parent / entry.at("amc").get<std::string>());
    const auto frames = forward_kinematics(skeleton, values, HipRoot::root);
    REQUIRE(frames.size() == entry.at("frames_in_file").get<std::size_t>());
    const std::size_t frame = entry.at("frame").get<std::size_t>() - 1;
    for (int j = 0; j < kJoints; ++j) {
      const std::string name(kJointNames[j]);
      CAPTURE(name);
      const Vec3 world = point(entry.at("world_m").at(name));
      const Vec3 relative = point(entry.at("root_relative_m").at(name));
      CHECK((frames[frame][j] - world).cwiseAbs().maxCoeff() < tolerance);
      CHECK((frames[frame][j] - frames[frame][0] - relative).cwiseAbs().maxCoeff() < tolerance);
    }
    std::vector<Vec3> ends;
    bone_ends(skeleton, values.data() + frame * skeleton.values_per_frame, ends);
    for (const auto& [name, position] : entry.at("extra_world_m").items()) {
      CAPTURE(name);
      REQUIRE(skeleton.find(name) >= 0);
      CHECK((ends[skeleton.find(name)] - point(position)).cwiseAbs().maxCoeff() < tolerance);
    }
    const auto midpoint = forward_kinematics(skeleton, values, HipRoot::midpoint);
    CHECK((midpoint[frame][0] - point(entry.at("mid_hips_world_m"))).cwiseAbs().maxCoeff() <
          tolerance);
    CHECK((midpoint[frame][10] - frames[frame][10]).norm() == 0);
  }
}

}  // namespace
}  // namespace posetape::data
