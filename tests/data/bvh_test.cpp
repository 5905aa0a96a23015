#include "data/bvh.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "data/bvh_poses.hpp"
#include "data/motion_format.hpp"
#include "data/skeleton.hpp"
#include "data/synthetic.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const auto at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

// Two bones of 10 and 5 along x, in braces as people write them.
const std::string kArm =
    "HIERARCHY\r\nROOT Arm {\n OFFSET 1 2 3\n CHANNELS 6 Xposition Yposition Zposition Zrotation "
    "Xrotation Yrotation\n JOINT Fore Arm\n {\n  OFFSET 10 0 0\n  CHANNELS 3 Yrotation Xrotation "
    "Zrotation\n  End Site\n  {\n   OFFSET 5 0 0\n  }\n }\n}\nMOTION\nFrames: 2\nFrame Time: "
    "0.0083333\n0 0 0 0 0 0 0 0 0\n10 20 30 90 90 0\n 0 0 +90\n";

void check_point(const Vec3& point, double x, double y, double z) {
  CAPTURE(point.transpose());
  CHECK((point - Vec3(x, y, z)).norm() < 1e-12);
}

// A person of Mixamo's names, 100 units from the hips to the ground, arms sideways.
Bvh person(const std::string& prefix = "mixamorig:") {
  Bvh bvh;
  bvh.file = "person.bvh";
  const auto put = [&](const std::string& name, const std::string& parent, const Vec3& offset) {
    BvhJoint joint{name.empty() ? "" : prefix + name, -1, offset, {}};
    if (!parent.empty()) joint.parent = bvh.find(prefix + parent);
    if (!name.empty()) joint.channels = {BvhChannel::z_rotation};
    bvh.joints.push_back(joint);
  };
  put("Hips", "", {0, 100, 0});
  put("Spine", "Hips", {0, 8, 0});
  put("Spine1", "Spine", {0, 16, 0});
  put("Spine2", "Spine1", {0, 16, 0});
  put("Neck", "Spine2", {0, 16, 0});
  put("Head", "Neck", {0, 10, 0});
  put("", "Head", {0, 20, 0});
  for (const auto& [side, sign] : {std::pair<std::string, double>{"Left", 1}, {"Right", -1}}) {
    put(side + "Shoulder", "Spine2", {sign * 5, 14, 0});
    put(side + "Arm", side + "Shoulder", {sign * 10, 0, 0});
    put(side + "ForeArm", side + "Arm", {sign * 28, 0, 0});
    put(side + "Hand", side + "ForeArm", {sign * 25, 0, 0});
    put(side + "UpLeg", "Hips", {sign * 10, 0, 0});
    put(side + "Leg", side + "UpLeg", {0, -45, 0});
    put(side + "Foot", side + "Leg", {0, -45, 0});
  }
  bvh.values.assign(bvh.channels(), 0);
  return bvh;
}

TEST_CASE("bvh: rotations act in the order of the channels, positions instead of the offset") {
  const Bvh bvh = parse_bvh(kArm, "arm.bvh");
  REQUIRE(bvh.frames() == 2);
  CHECK(bvh.joints[1].name == "Fore Arm");
  std::vector<Vec3> points;
  joint_positions(bvh, 0, points);
  check_point(points[1], 10, 0, 0);
  check_point(points[2], 15, 0, 0);
  // Rz(90) Rx(90) takes x to y and y to z; the forearm's Rz(90) takes x to y first.
  joint_positions(bvh, 1, points);
  check_point(points[0], 10, 20, 30);
  check_point(points[1], 10, 30, 30);
  check_point(points[2], 10, 30, 35);
}

TEST_CASE("bvh: a file that is written comes back") {
  const Bvh bvh = parse_bvh(kArm, "arm.bvh");
  const Bvh again = parse_bvh(format_bvh(bvh), "again.bvh");
  CHECK(again.values == bvh.values);
  CHECK(again.frame_time == bvh.frame_time);
  REQUIRE(again.joints.size() == bvh.joints.size());
  for (std::size_t j = 0; j < bvh.joints.size(); ++j) {
    CHECK(again.joints[j].name == bvh.joints[j].name);
    CHECK(again.joints[j].parent == bvh.joints[j].parent);
    CHECK(again.joints[j].offset == bvh.joints[j].offset);
    CHECK(again.joints[j].channels == bvh.joints[j].channels);
  }
}

TEST_CASE("bvh: joints are found by the names that are in use") {
  for (const std::string prefix : {"mixamorig:", "", "Character1_"}) {
    const Motion motion = bvh_motion(person(prefix), {});
    REQUIRE(motion.frames.size() == 1);
    CHECK(motion.fps == 50);
    const Pose3& pose = motion.frames[0];
    check_point(pose[joint::hip], 0, 0, 1);
    check_point(pose[joint::spine], 0, 0, 1.24);  // Spine1: 24 of 56
    check_point(pose[joint::thorax], 0, 0, 1.56);
    check_point(pose[joint::neck], 0, 0, 1.66);
    check_point(pose[joint::head], 0, 0, 1.86);
    check_point(pose[joint::left_shoulder], 0.15, 0, 1.54);
    check_point(pose[joint::left_wrist], 0.68, 0, 1.54);
    check_point(pose[joint::right_elbow], -0.43, 0, 1.54);
    check_point(pose[joint::right_foot], -0.1, 0, 0.1);
  }
  Bvh raised = person();
  for (BvhJoint& joint : raised.joints) {
    if (joint.name.ends_with("UpLeg")) joint.offset.y() = -8;
  }
  check_point(bvh_motion(raised, {.hip = HipRoot::midpoint}).frames[0][joint::hip], 0, 0, 0.92);
  const Motion other = bvh_motion(person(), {.metres_per_unit = 0.015, .up = UpAxis::z});
  check_point(other.frames[0][joint::hip], 0, 1.5, 0);
}

// The person with other names, those that are not in the list left out.
Bvh renamed(const std::vector<std::pair<std::string, std::string>>& names) {
  Bvh bvh = person("");
  for (BvhJoint& joint : bvh.joints) {
    const auto found = std::ranges::find(names, joint.name, [](const auto& n) { return n.first; });
    if (found != names.end()) joint.name = found->second;
  }
  return bvh;
}

// Names of one side, of which the other side's are made.
Bvh named_alike(std::vector<std::pair<std::string, std::string>> names, const std::string& left,
                const std::string& right) {
  const std::size_t count = names.size();
  for (std::size_t i = 0; i < count; ++i) {
    auto [ours, theirs] = names[i];
    if (!ours.starts_with("Left")) continue;
    theirs.replace(theirs.find(left), left.size(), right);
    names.emplace_back("Right" + ours.substr(4), theirs);
  }
  return renamed(names);
}

void check_person(const Pose3& pose) {
  check_point(pose[joint::hip], 0, 0, 1);
  check_point(pose[joint::thorax], 0, 0, 1.56);
  check_point(pose[joint::neck], 0, 0, 1.66);
  check_point(pose[joint::head], 0, 0, 1.86);
  check_point(pose[joint::left_hip], 0.1, 0, 1);
  check_point(pose[joint::left_knee], 0.1, 0, 0.55);
  check_point(pose[joint::right_foot], -0.1, 0, 0.1);
  check_point(pose[joint::left_shoulder], 0.15, 0, 1.54);
  check_point(pose[joint::right_elbow], -0.43, 0, 1.54);
  check_point(pose[joint::left_wrist], 0.68, 0, 1.54);
}

TEST_CASE("bvh: skeletons of many programs are read alike") {
  using Names = std::vector<std::pair<std::string, std::string>>;
  const auto check = [](const char* program, const Bvh& bvh) {
    CAPTURE(program);
    const Motion motion = bvh_motion(bvh, {});
    check_person(motion.frames[0]);
    CHECK(motion.notes.empty());
  };
  check("DAZ", named_alike(Names{{"Hips", "hip"},
                                 {"Spine", "abdomen"},
                                 {"Spine1", "chest"},
                                 {"Neck", "neck"},
                                 {"Head", "head"},
                                 {"LeftShoulder", "lCollar"},
                                 {"LeftArm", "lShldr"},
                                 {"LeftForeArm", "lForeArm"},
                                 {"LeftHand", "lHand"},
                                 {"LeftUpLeg", "lThigh"},
                                 {"LeftLeg", "lShin"},
                                 {"LeftFoot", "lFoot"}},
                           "l", "r"));
  check("DAZ Genesis", named_alike(Names{{"Hips", "hip"},
                                         {"Neck", "neckLower"},
                                         {"Head", "head"},
                                         {"LeftShoulder", "lCollar"},
                                         {"LeftArm", "lShldrBend"},
                                         {"LeftForeArm", "lForearmBend"},
                                         {"LeftHand", "lHand"},
                                         {"LeftUpLeg", "lThighBend"},
                                         {"LeftLeg", "lShin"},
                                         {"LeftFoot", "lFoot"}},
                                   "l", "r"));
  check("Biped", named_alike(Names{{"Hips", "Bip01 Pelvis"},
                                   {"Spine", "Bip01 Spine"},
                                   {"Neck", "Bip01 Neck"},
                                   {"Head", "Bip01 Head"},
                                   {"LeftShoulder", "Bip01 L Clavicle"},
                                   {"LeftArm", "Bip01 L UpperArm"},
                                   {"LeftForeArm", "Bip01 L Forearm"},
                                   {"LeftHand", "Bip01 L Hand"},
                                   {"LeftUpLeg", "Bip01 L Thigh"},
                                   {"LeftLeg", "Bip01 L Calf"},
                                   {"LeftFoot", "Bip01 L Foot"}},
                             " L ", " R "));
  check("Rigify", named_alike(Names{{"Hips", "spine"},
                                    {"Spine", "spine.001"},
                                    {"Spine1", "spine.002"},
                                    {"Spine2", "spine.003"},
                                    {"Neck", "spine.004"},
                                    {"Head", "spine.006"},
                                    {"LeftShoulder", "shoulder.L"},
                                    {"LeftArm", "upper_arm.L"},
                                    {"LeftForeArm", "forearm.L"},
                                    {"LeftHand", "hand.L"},
                                    {"LeftUpLeg", "thigh.L"},
                                    {"LeftLeg", "shin.L"},
                                    {"LeftFoot", "foot.L"}},
                              ".L", ".R"));
  check("Unreal", named_alike(Names{{"Hips", "pelvis"},
                                    {"Spine", "spine_01"},
                                    {"Neck", "neck_01"},
                                    {"Head", "head"},
                                    {"LeftShoulder", "clavicle_l"},
                                    {"LeftArm", "upperarm_l"},
                                    {"LeftForeArm", "lowerarm_l"},
                                    {"LeftHand", "hand_l"},
                                    {"LeftUpLeg", "thigh_l"},
                                    {"LeftLeg", "calf_l"},
                                    {"LeftFoot", "foot_l"}},
                              "_l", "_r"));
  check("Motive", named_alike(Names{{"Hips", "Hip"},
                                    {"Spine", "Ab"},
                                    {"Spine1", "Chest"},
                                    {"LeftShoulder", "LShoulder"},
                                    {"LeftArm", "LUArm"},
                                    {"LeftForeArm", "LFArm"},
                                    {"LeftHand", "LHand"},
                                    {"LeftUpLeg", "LThigh"},
                                    {"LeftLeg", "LShin"},
                                    {"LeftFoot", "LFoot"}},
                              "L", "R"));
  check("VRoid", named_alike(Names{{"Hips", "J_Bip_C_Hips"},
                                   {"Neck", "J_Bip_C_Neck"},
                                   {"Head", "J_Bip_C_Head"},
                                   {"LeftShoulder", "J_Bip_L_Shoulder"},
                                   {"LeftArm", "J_Bip_L_UpperArm"},
                                   {"LeftForeArm", "J_Bip_L_LowerArm"},
                                   {"LeftHand", "J_Bip_L_Hand"},
                                   {"LeftUpLeg", "J_Bip_L_UpperLeg"},
                                   {"LeftLeg", "J_Bip_L_LowerLeg"},
                                   {"LeftFoot", "J_Bip_L_Foot"}},
                             "_L_", "_R_"));
  check("SMPL", named_alike(Names{{"Hips", "Pelvis"},
                                  {"LeftShoulder", "L_Collar"},
                                  {"LeftArm", "L_Shoulder"},
                                  {"LeftForeArm", "L_Elbow"},
                                  {"LeftHand", "L_Wrist"},
                                  {"LeftUpLeg", "L_Hip"},
                                  {"LeftLeg", "L_Knee"},
                                  {"LeftFoot", "L_Ankle"}},
                            "L_", "R_"));
  check("Xsens", named_alike(Names{{"LeftShoulder", "LeftCollar"},
                                   {"LeftArm", "LeftShoulder"},
                                   {"LeftForeArm", "LeftElbow"},
                                   {"LeftHand", "LeftWrist"},
                                   {"LeftUpLeg", "LeftHip"},
                                   {"LeftLeg", "LeftKnee"},
                                   {"LeftFoot", "LeftAnkle"}},
                             "Left", "Right"));
  check("CMU", named_alike(Names{{"Hips", "hips"},
                                 {"Neck", "lowerneck"},
                                 {"Head", "head"},
                                 {"LeftShoulder", "lclavicle"},
                                 {"LeftArm", "lhumerus"},
                                 {"LeftForeArm", "lradius"},
                                 {"LeftHand", "lwrist"},
                                 {"LeftUpLeg", "lfemur"},
                                 {"LeftLeg", "ltibia"},
                                 {"LeftFoot", "lfoot"}},
                           "l", "r"));
  check("Character Creator", named_alike(Names{{"Hips", "CC_Base_Hip"},
                                               {"Neck", "CC_Base_NeckTwist01"},
                                               {"Head", "CC_Base_Head"},
                                               {"LeftShoulder", "CC_Base_L_Clavicle"},
                                               {"LeftArm", "CC_Base_L_Upperarm"},
                                               {"LeftForeArm", "CC_Base_L_Forearm"},
                                               {"LeftHand", "CC_Base_L_Hand"},
                                               {"LeftUpLeg", "CC_Base_L_Thigh"},
                                               {"LeftLeg", "CC_Base_L_Calf"},
                                               {"LeftFoot", "CC_Base_L_Foot"}},
                                         "_L_", "_R_"));
  check("MakeHuman", named_alike(Names{{"Hips", "root"},
                                       {"Neck", "neck01"},
                                       {"Head", "head"},
                                       {"LeftShoulder", "clavicle.L"},
                                       {"LeftArm", "upperarm01.L"},
                                       {"LeftForeArm", "lowerarm01.L"},
                                       {"LeftHand", "wrist.L"},
                                       {"LeftUpLeg", "upperleg01.L"},
                                       {"LeftLeg", "lowerleg01.L"},
                                       {"LeftFoot", "foot.L"}},
                                 ".L", ".R"));
  Bvh upper = person();
  for (BvhJoint& joint : upper.joints) {
    for (char& c : joint.name) c = static_cast<char>(std::toupper(c));
  }
  check("upper case", upper);
}

TEST_CASE("bvh: joints that no program calls so are mapped by the user") {
  const Bvh bvh =
      renamed({{"LeftLeg", "Unterschenkel links"}, {"RightLeg", "Unterschenkel rechts"}});
  CHECK_THROWS_WITH_AS(bvh_motion(bvh, {}),
                       doctest::Contains("expected a joint for RKnee, LKnee, and none"), Error);
  CHECK_THROWS_WITH_AS(bvh_motion(bvh, {}), doctest::Contains("with --joints-map"), Error);
  MotionOptions options;
  options.joints = parse_joints_map(
      "# mine\nRKnee = Unterschenkel rechts\n LKnee=Unterschenkel links\r\n", "my.map");
  check_person(bvh_motion(bvh, options).frames[0]);
  options.joints =
      parse_joints_map("RKnee = Unterschenkel rechts\nLKnee = LeftUpLeg, LeftFoot", "m");
  check_point(bvh_motion(bvh, options).frames[0][joint::left_knee], 0.1, 0, 0.55);
  options.joints = parse_joints_map("RKnee = knee", "my.map");
  CHECK_THROWS_WITH_AS(bvh_motion(bvh, options), doctest::Contains("'knee' of my.map is not in"),
                       Error);
  CHECK_THROWS_WITH_AS(parse_joints_map("Knee = a", "m"), doctest::Contains("m:1: expected one of"),
                       Error);
  CHECK_THROWS_WITH_AS(parse_joints_map("RKnee = a,", "m"), doctest::Contains("m:1"), Error);
  CHECK_THROWS_WITH_AS(parse_joints_map("RKnee a", "m"), doctest::Contains("joint = name"), Error);
  CHECK_THROWS_WITH_AS(parse_joints_map("RKnee = a\nRKnee = b", "m"),
                       doctest::Contains("m:2: expected 'RKnee' once"), Error);
}

TEST_CASE("bvh: a skeleton without a neck has its thorax where the shoulders begin") {
  Bvh bvh = person();
  const int neck = bvh.find("mixamorig:Neck");
  for (BvhJoint& joint : bvh.joints) {
    if (joint.parent == neck) {
      joint.parent = bvh.joints[static_cast<std::size_t>(neck)].parent;
      joint.offset.y() += 16;
    }
  }
  bvh.joints[static_cast<std::size_t>(neck)].name = "mixamorig:Prop";
  const Pose3 pose = bvh_motion(bvh, {}).frames[0];
  check_point(pose[joint::thorax], 0, 0, 1.54);
  check_point(pose[joint::neck], 0, 0, 1.66);
  check_point(pose[joint::spine], 0, 0, 1.24);
}

TEST_CASE("bvh: the top of the head is not an eye") {
  Bvh bvh = person();
  const int head = bvh.find("mixamorig:Head");
  for (BvhJoint& joint : bvh.joints) {
    if (joint.name.empty() && joint.parent == head)
      joint = {"mixamorig:LeftEye", head, {3, 8, 9}, {}};
  }
  bvh.joints.push_back({"mixamorig:HeadTop_End", head, {0, 20, 0}, {}});
  check_point(bvh_motion(bvh, {}).frames[0][joint::head], 0, 0, 1.86);
  bvh.joints.back().name = "mixamorig:Hat";  // farther up than the eye
  check_point(bvh_motion(bvh, {}).frames[0][joint::head], 0, 0, 1.86);
}

TEST_CASE("bvh: another unit and another vertical are noticed, taken and said") {
  const auto scaled = [](double scale, bool z_is_up) {
    Bvh bvh = person();
    for (BvhJoint& joint : bvh.joints) {
      joint.offset *= scale;
      if (z_is_up) joint.offset = Vec3(joint.offset.x(), -joint.offset.z(), joint.offset.y());
    }
    return bvh;
  };
  for (const auto& [unit, name] : {std::pair{1.0, "as m,"},
                                   {0.001, "as mm,"},
                                   {0.0254, "as in,"},
                                   {0.0254 / 0.45, "as 0.0564444 m,"}}) {
    const Motion motion = bvh_motion(scaled(0.01 / unit, false), {});
    REQUIRE(motion.notes.size() == 1);
    CHECK(motion.notes[0].find(name) != std::string::npos);
    CHECK((motion.frames[0][joint::hip] - Vec3(0, 0, 1)).norm() < 1e-9);
  }
  const Motion lying = bvh_motion(scaled(1, true), {});
  REQUIRE(lying.notes.size() == 1);
  CHECK(lying.notes[0].starts_with("the vertical axis is taken as z"));
  check_person(lying.frames[0]);
  // What the user says is done, and doubted.
  const Motion said = bvh_motion(scaled(1, true), {.up = UpAxis::y});
  REQUIRE(said.notes.size() == 1);
  CHECK(said.notes[0].starts_with("look at the vertical axis: y is taken"));
  check_point(said.frames[0][joint::hip], 0, -1, 0);
  // Somebody who was drawn upright and lies.
  Bvh sleeper = person();
  sleeper.joints[0].channels = {BvhChannel::x_rotation};
  sleeper.values.assign(sleeper.channels(), 0);
  sleeper.values[0] = 90;
  CHECK(bvh_motion(sleeper, {}).notes.at(0).starts_with("look at the vertical axis: y is taken"));
  // Too far from a person in any unit.
  CHECK_THROWS_WITH_AS(bvh_motion(scaled(40, false), {}), doctest::Contains("--unit"), Error);
}

TEST_CASE("bvh: bones in position channels, in place of OFFSET or beside it") {
  const auto moving = [](bool zero_offsets) {
    Bvh bvh = person();
    bvh.values.clear();
    for (BvhJoint& joint : bvh.joints) {
      if (joint.name.empty()) continue;
      joint.channels = {BvhChannel::x_position, BvhChannel::y_position, BvhChannel::z_position};
      const bool root = joint.parent < 0;
      for (const double x : joint.offset) bvh.values.push_back(zero_offsets || root ? x : 0);
      if (zero_offsets) joint.offset.setZero();
    }
    return bvh;
  };
  const Motion exported = bvh_motion(moving(true), {});
  check_person(exported.frames[0]);
  CHECK(exported.notes.empty());
  const Motion relative = bvh_motion(moving(false), {});
  check_person(relative.frames[0]);
  REQUIRE(relative.notes.size() == 1);
  CHECK(relative.notes[0].starts_with("position channels below the root are added to OFFSET"));
}

TEST_CASE("bvh: a byte order mark and keywords in other cases are read") {
  const Bvh bvh = parse_bvh("\xef\xbb\xbf" + kArm, "arm.bvh");
  CHECK(bvh.joints[0].name == "Arm");
  std::string text = replaced(kArm, "HIERARCHY", "Hierarchy");
  text = replaced(text, "End Site", "End site");
  text = replaced(text, "Xposition", "XPOSITION");
  CHECK(parse_bvh(text, "arm.bvh").values == bvh.values);
}

TEST_CASE("bvh: what is no person is refused") {
  CHECK_THROWS_WITH_AS(
      bvh_motion(parse_bvh(kArm, "arm.bvh"), {}),
      doctest::Contains("arm.bvh: expected a joint for Hip, RHip, RKnee, RFoot, LHip"), Error);
  CHECK_THROWS_WITH_AS(bvh_motion(person(), {.metres_per_unit = 1}),
                       doctest::Contains("person.bvh: the skeleton at rest is 176 m tall"), Error);
  Bvh bvh = person();
  bvh.joints[1].name = "mixamorig:LeftLegs";
  for (BvhJoint& joint : bvh.joints) {
    if (joint.name.empty()) joint.parent = 0;
  }
  CHECK_THROWS_WITH_AS(bvh_motion(bvh, {}),
                       doctest::Contains("expected a joint for Head, and none"), Error);
}

TEST_CASE("bvh: a broken file is refused with file, line and what was expected") {
  const auto complains = [&](const std::string& text, const char* about) {
    CHECK_THROWS_WITH_AS(parse_bvh(text, "bad.bvh"), about, Error);
  };
  complains("", "bad.bvh:0: expected 'HIERARCHY', found the end of the file");
  complains(replaced(kArm, "ROOT", "JOINT"), "bad.bvh:2: expected 'ROOT', found 'JOINT'");
  complains(replaced(kArm, "6 Xpos", "7 Xpos"),
            "bad.bvh:4: expected a whole number from 0 to 6 for the number of channels, found '7'");
  complains(replaced(kArm, "Xrotation Yrotation", "Yrotation Yrotation"),
            "bad.bvh:4: expected 6 of Xposition ... Zrotation, each once, found 'Yrotation'");
  complains(replaced(kArm, "OFFSET 5 0 0", "OFFSET 5 nan 0"),
            "bad.bvh:11: expected a finite number for OFFSET, found 'nan'");
  complains(replaced(kArm, " }\n}\n", ""),
            "bad.bvh:13: expected OFFSET, CHANNELS, JOINT, End Site or '}', found 'MOTION'");
  complains(replaced(kArm, "Frames: 2", "Frames: 3"),
            "bad.bvh:20: expected 9 channels in frame 3 of 3, found the end of the file");
  complains(replaced(kArm, "Frames: 2", "Frames: 1"),
            "bad.bvh:19: expected the end of the file after 1 frames of 9 channels, found '10'");
  complains(replaced(kArm, "Frames: 2", "Frames: 99999999"),
            "bad.bvh:20: expected 9 channels in frame 3 of 99999999, found the end of the file");
  complains(replaced(kArm, "0.0083333", "0"),
            "bad.bvh: expected seconds from 0.00001 to 1000 as Frame Time, found 0");
  complains(replaced(kArm, "+90", "9O"),
            "bad.bvh:20: expected a finite number for a channel, found '9O'");
  complains("HIERARCHY ROOT a { } MOTION", "bad.bvh: expected CHANNELS in the joints, found none");
  complains("HIERARCHY\nROOT",
            "bad.bvh:2: expected '{' after a joint's name, found the end of the file");
  CHECK_THROWS_WITH_AS(read_bvh("no/such.bvh"), "no/such.bvh: cannot open the file for reading",
                       Error);
}

// Poses as a camera sees them, of bones that change their lengths.
PoseArray filmed() {
  const Motion motion = synthetic_motions({.subjects = 1, .takes = 1, .seconds = 2}).at(0);
  PoseArray poses{3, {}};
  for (std::size_t f = 0; f < motion.frames.size(); ++f) {
    const double stretch = 1 + 0.05 * std::sin(0.3 * static_cast<double>(f));
    for (const Vec3& p : motion.frames[f]) {
      poses.values.push_back(static_cast<float>(p.x() * stretch));
      poses.values.push_back(static_cast<float>(-p.z()));
      poses.values.push_back(static_cast<float>(p.y() + 4));
    }
  }
  return poses;
}

// The poses in the file, as metres in camera space.
std::vector<Pose3> read_back(const Bvh& bvh) {
  const Motion motion = bvh_motion(parse_bvh(format_bvh(bvh), "out.bvh"), {});
  std::vector<Pose3> frames = motion.frames;
  for (Pose3& pose : frames) {
    for (Vec3& p : pose) p = Vec3(p.x(), -p.z(), p.y());
  }
  return frames;
}

TEST_CASE("bvh: exact bones bring the positions back to a micrometre") {
  const PoseArray poses = filmed();
  const auto frames = read_back(bvh_of_poses(poses, 50, BvhBones::exact));
  REQUIRE(frames.size() == static_cast<std::size_t>(poses.frames()));
  double worst = 0;
  for (int f = 0; f < poses.frames(); ++f) {
    for (int j = 0; j < kJoints; ++j) {
      const float* p = poses.frame(f) + 3 * j;
      worst = std::max(worst, (frames[f][j] - Vec3(p[0], p[1], p[2])).norm());
    }
  }
  CHECK(worst < 1e-6);
}

TEST_CASE("bvh: mean bones keep every bone's direction, and its length over time") {
  const PoseArray poses = filmed();
  const auto frames = read_back(bvh_of_poses(poses, 50, BvhBones::mean));
  for (const auto& [parent, child] : kBones) {
    double mean = 0;
    double worst = 0;
    for (int f = 0; f < poses.frames(); ++f) {
      const float* p = poses.frame(f);
      const Vec3 bone(double{p[3 * child]} - p[3 * parent],
                      double{p[3 * child + 1]} - p[3 * parent + 1],
                      double{p[3 * child + 2]} - p[3 * parent + 2]);
      const Vec3 found = frames[f][child] - frames[f][parent];
      mean += bone.norm() / poses.frames();
      worst = std::max(worst, (found - found.norm() * bone.normalized()).norm());
    }
    CHECK(worst < 1e-6);
    for (const Pose3& pose : frames) {
      CHECK((pose[child] - pose[parent]).norm() == doctest::Approx(mean).epsilon(1e-6));
    }
  }
}

TEST_CASE("bvh: angles go on from frame to frame without jumps of whole turns") {
  // Somebody who turns about the vertical axis three times.
  PoseArray poses = filmed();
  const std::vector<float> first(poses.frame(0), poses.frame(1));
  for (int f = 0; f < poses.frames(); ++f) {
    const double angle = 6 * std::acos(-1.0) * f / poses.frames();
    for (int j = 0; j < kJoints; ++j) {
      const double x = first[3 * j], z = first[3 * j + 2] - 4;
      poses.frame(f)[3 * j] = static_cast<float>(std::cos(angle) * x - std::sin(angle) * z);
      poses.frame(f)[3 * j + 1] = first[3 * j + 1];
      poses.frame(f)[3 * j + 2] = static_cast<float>(std::sin(angle) * x + std::cos(angle) * z);
    }
  }
  const Bvh bvh = bvh_of_poses(poses, 50, BvhBones::mean);
  const std::size_t width = bvh.channels();
  for (std::size_t f = 1; f < bvh.frames(); ++f) {
    for (std::size_t c = 3; c < 6; ++c) {
      CHECK(std::abs(bvh.values[f * width + c] - bvh.values[(f - 1) * width + c]) < 45);
    }
  }
}

TEST_CASE("bvh: a joint on its parent and a pose of nothing make a file") {
  PoseArray poses{3, std::vector<float>(2 * 51, 0.0f)};
  for (const BvhBones bones : {BvhBones::mean, BvhBones::exact}) {
    const Bvh bvh = parse_bvh(format_bvh(bvh_of_poses(poses, 25, bones)), "zero.bvh");
    CHECK(bvh.frames() == 2);
    CHECK(bvh.frame_time == 0.04);
  }
  CHECK_THROWS_AS(bvh_of_poses({2, std::vector<float>(34)}, 50, BvhBones::mean), Error);
}

}  // namespace
}  // namespace posetape::data
