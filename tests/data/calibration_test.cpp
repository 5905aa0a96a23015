#include "data/calibration.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "engine/error.hpp"
#include "engine/rng.hpp"
#include "tests/data/files.hpp"

namespace posetape::data {
namespace {

Camera opencv_camera() {
  Camera camera;
  camera.size = {1920, 1080};
  camera.focal = {1500, 1480};
  camera.centre = {950, 550};
  camera.radial = {-0.12, 0.05, -0.01};
  camera.tangential = {0.001, -0.002};
  camera.mixed = 2;
  camera.widest = 2;
  return camera;
}

TEST_CASE("camera: OpenCV's lens model, term by term") {
  const Camera camera = opencv_camera();
  const double x = 0.4, y = -0.3, r2 = x * x + y * y;
  const double radial = 1 - 0.12 * r2 + 0.05 * r2 * r2 - 0.01 * r2 * r2 * r2;
  const double p1 = -0.002, p2 = 0.001;
  const double u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x);
  const double v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y;
  const Vec2 pixel = project(camera, {0.8, -0.6, 2});
  CHECK(pixel.x() == doctest::Approx(1500 * u + 950));
  CHECK(pixel.y() == doctest::Approx(1480 * v + 550));
}

TEST_CASE("camera: a pixel's ray is the direction that projects to it") {
  const Camera own = opencv_camera();
  const Camera h36m = h36m_cameras("S1")[0];
  Random random(1, Stream::test);
  for (int i = 0; i < 200; ++i) {
    const Vec3 wide(random.uniform(-0.6, 0.6), random.uniform(-0.35, 0.35), 1);
    CHECK((ray(own, project(own, 3 * wide)) - wide.head<2>()).norm() < 3e-12);
    const Vec3 narrow(random.uniform(-0.4, 0.4), random.uniform(-0.4, 0.4), 1);
    CHECK((ray(h36m, project(h36m, narrow)) - narrow.head<2>()).norm() < 3e-12);
  }
}

TEST_CASE("camera: looking north, level and rolled") {
  Camera camera;
  camera.orientation = looking({0, 1, 0}, 0);
  // East is to the right, up is up.
  CHECK((world_to_camera(camera, {1, 0, 0}) - Vec3(1, 0, 0)).norm() < 1e-12);
  CHECK((world_to_camera(camera, {0, 1, 0}) - Vec3(0, 0, 1)).norm() < 1e-12);
  CHECK((up_of(camera) - Vec3(0, -1, 0)).norm() < 1e-12);
  // Turned clockwise by a quarter, the camera has the sky at its left.
  camera.orientation = looking({0, 1, 0}, std::acos(0.0));
  CHECK((up_of(camera) - Vec3(-1, 0, 0)).norm() < 1e-12);
  for (const Camera& c : h36m_cameras("S1")) {
    const Vec3 up = up_of(c);
    CHECK(up.y() < -0.9);
    CHECK((world_to_camera(c, c.position + Vec3::UnitZ()) - up).norm() < 1e-12);
  }
}

struct Fixture {
  test::TemporaryDirectory directory;
  std::string path = directory.file("cameras.json");

  std::vector<CalibratedCamera> read(const std::string& camera) {
    test::write_all(path, R"({"cameras": [)" + camera + "]}");
    return read_calibration(path);
  }
};

TEST_CASE_FIXTURE(Fixture, "calibration: all fields, and what stands for the absent ones") {
  const auto cameras = read(
      R"({"name": "left", "size": [1920, 1080], "focal": [1500, 1480], "centre": [950, 550],
          "radial": [-0.12, 0.05, -0.01], "tangential": [-0.002, 0.001],
          "rotation": [[1, 0, 0], [0, 0, -1], [0, 1, 0]], "position": [1, 2, 3]},
         {"size": [720, 1280], "focal": 1000, "up": [0, -2, 0]})");
  REQUIRE(cameras.size() == 2);
  const Camera& left = cameras[0].camera;
  const Camera same = opencv_camera();
  CHECK(left.id == "left");
  CHECK(left.size == same.size);
  CHECK(left.radial == same.radial);
  CHECK(left.tangential == same.tangential);
  CHECK(cameras[0].placed);
  // It looks along the world's y, and 1 m in front of it is at (1, 3, 3).
  CHECK((world_to_camera(left, {1, 3, 3}) - Vec3(0, 0, 1)).norm() < 1e-12);
  CHECK((*cameras[0].up - Vec3(0, -1, 0)).norm() < 1e-12);
  CHECK(cameras[1].camera.id == "1");
  CHECK(cameras[1].camera.focal == Vec2(1000, 1000));
  CHECK(cameras[1].camera.centre == Vec2(360, 640));
  CHECK(!cameras[1].placed);
  CHECK((*cameras[1].up - Vec3(0, -1, 0)).norm() < 1e-12);
}

// The camera of the test above, as other programs write it.
TEST_CASE_FIXTURE(Fixture, "calibration: files of Qualisys and Pose2Sim") {
  const std::string qualisys = directory.file("a.qca.txt");
  test::write_all(qualisys, R"(<?xml version='1.0' encoding='ASCII'?>
<calibration source="a.qca.txt" type="regular"><results std-dev="0."/><cameras>
  <camera active="1" serial="left" viewrotation="0">
    <fov_marker bottom="9" left="0" right="9" top="0"/>
    <fov_video bottom="1089" left="10" right="1929" top="10"/>
    <transform r11="1" r12="0" r13="0" r21="0" r22="0" r23="1" r31="0" r32="-1" r33="0"
      x="1000" y="2000" z="3000"/>
    <intrinsic centerPointU="61440" centerPointV="35840" focalLengthU="96000" focalLengthV="94720"
      radialDistortion1="-0.12" radialDistortion2="0.05" radialDistortion3="-0.01" skew="0.000"
      tangentalDistortion1="-0.002" tangentalDistortion2="0.001"/>
  </camera>
  <camera active="0" serial="off"/>
</cameras></calibration>
)");
  const std::string toml = directory.file("Calib.toml");
  test::write_all(toml, R"([cam_01]
name = "left"
size = [ 1920.0, 1080.0]
matrix = [ [ 1500.0, 0.0, 950.0], [ 0.0, 1480.0, 550.0], [ 0.0, 0.0, 1.0]]
distortions = [ -0.12, 0.05, -0.002, 0.001, -0.01]
rotation = [ 1.5707963267948966, 0.0, 0.0]
translation = [ -1.0, 3.0, -2.0]
fisheye = false

[metadata]
adjusted = false
error = 0.0
)");
  const Camera same = opencv_camera();
  for (const std::string& file : {qualisys, toml}) {
    CAPTURE(file);
    const auto cameras = read_calibration(file);
    REQUIRE(cameras.size() == 1);
    const Camera& left = cameras[0].camera;
    CHECK(left.id == "left");
    CHECK(left.size == same.size);
    CHECK(left.focal == Vec2(1500, 1480));
    CHECK(left.centre == Vec2(950, 550));
    CHECK(left.radial == same.radial);
    CHECK(left.tangential == same.tangential);
    CHECK(cameras[0].placed);
    CHECK((left.position - Vec3(1, 2, 3)).norm() < 1e-12);
    CHECK((world_to_camera(left, {1, 3, 3}) - Vec3(0, 0, 1)).norm() < 1e-12);
    CHECK((*cameras[0].up - Vec3(0, -1, 0)).norm() < 1e-12);
  }
  CHECK(named(read_calibration(toml), "left", toml).size() == 1);
  CHECK_MESSAGE_PARTS(named(read_calibration(toml), "right", toml), "no camera 'right', but left");
}

TEST_CASE_FIXTURE(Fixture, "calibration: what is wrong is said with the camera and the field") {
  CHECK_MESSAGE_PARTS(read_calibration(directory.file("none")), "none", "cannot open");
  test::write_all(path, "{1");
  CHECK_MESSAGE_PARTS(read_calibration(path), "is no JSON");
  test::write_all(path, "[1");
  CHECK_MESSAGE_PARTS(read_calibration(path), "neither JSON nor TOML (line 1");
  test::write_all(path, "<calibration><cameras>");
  CHECK_MESSAGE_PARTS(read_calibration(path), "is no XML at byte");
  test::write_all(path, "<calibration><cameras><camera serial='9'/></cameras></calibration>");
  CHECK_MESSAGE_PARTS(read_calibration(path), "camera 9", "has no <intrinsic>");
  test::write_all(path, "[a]\nmatrix = [[1, 0, 0], [0, 1]]\nsize = [1, 2]\n");
  CHECK_MESSAGE_PARTS(read_calibration(path), "camera a", "three rows of three numbers");
  test::write_all(path, "[metadata]\nadjusted = true\n");
  CHECK_MESSAGE_PARTS(read_calibration(path), "expected {\"cameras\"", "Pose2Sim");
  test::write_all(path, "{}");
  CHECK_MESSAGE_PARTS(read_calibration(path), "expected {\"cameras\"");
  CHECK_MESSAGE_PARTS(read("1"), "camera 0", "expected an object");
  CHECK_MESSAGE_PARTS(read(R"({"name": "a", "focal": 1})"), "camera a", "has no \"size\"");
  CHECK_MESSAGE_PARTS(read(R"({"size": [0, 1], "focal": 1})"), "width and height");
  CHECK_MESSAGE_PARTS(read(R"({"size": [9, 9]})"), "has no \"focal\"");
  CHECK_MESSAGE_PARTS(read(R"({"size": [9, 9], "focal": -1})"), "above 0");
  CHECK_MESSAGE_PARTS(read(R"({"size": [9, 9], "focal": [1, 2, 3]})"), "\"focal\" takes 2");
  CHECK_MESSAGE_PARTS(read(R"({"size": [9, 9], "focal": 1, "fov": 3})"), "\"fov\" is unknown");
  // A message is one line, whatever is in the file.
  CHECK_MESSAGE_PARTS(read(R"({"size": [9, 9], "focal": 1, "a\nb": 3})"), "\"a?b\" is unknown");
  test::write_all(path, "[a]\nfisheye = fal\nf\n");
  CHECK_MESSAGE_PARTS(read_calibration(path), "neither JSON nor TOML (line 2");
  CHECK_MESSAGE_PARTS(read(R"({"size": [9, 9], "focal": 1, "up": [0, 0, 0]})"), "direction");
  CHECK_MESSAGE_PARTS(read(R"({"name": "a/b", "size": [9, 9], "focal": 1})"), "slash");
  CHECK_MESSAGE_PARTS(read(R"({"name": "a", "size": [9, 9], "focal": 1},
                              {"name": "a", "size": [9, 9], "focal": 1})"),
                      "taken");
  CHECK_MESSAGE_PARTS(
      read(R"({"size": [9, 9], "focal": 1, "rotation": [[1, 0, 0], [0, 1, 0], [0, 0, -1]]})"),
      "no rotation");
}

Dataset clip(const std::string& name) {
  Sequence sequence;
  sequence.name = name;
  sequence.image_size = {1920, 1080};
  sequence.pose_2d = {2, std::vector<float>(2 * kJoints, 700.0f)};
  Dataset dataset;
  dataset.sequences.push_back(std::move(sequence));
  return dataset;
}

TEST_CASE("calibration: a sequence gets the camera of its name, or the only one") {
  CalibratedCamera a{opencv_camera(), false, Vec3(0, -1, 0)};
  a.camera.id = "a";
  CalibratedCamera b = a;
  b.camera.id = "b";
  b.camera.focal = {900, 900};
  Dataset dataset = clip("P/walk/b");
  set_calibration(dataset, std::vector{a, b}, "file");
  CHECK(lens_of(dataset.sequences[0]).focal == Vec2(900, 900));
  CHECK(lens_of(dataset.sequences[0]).tangential == a.camera.tangential);
  CHECK(lens_of(dataset.sequences[0]).radial == a.camera.radial);
  set_calibration(dataset, std::vector{a}, "file");
  CHECK(lens_of(dataset.sequences[0]).focal == Vec2(1500, 1480));
  Dataset other = clip("P/walk/c");
  CHECK_MESSAGE_PARTS(set_calibration(other, std::vector{a, b}, "file"), "no camera 'c'");
  other.sequences[0].image_size = {1080, 1920};
  CHECK_MESSAGE_PARTS(set_calibration(other, std::vector{a}, "file"), "1080 x 1920");
  CHECK_MESSAGE_PARTS(lens_of(other.sequences[0]), "has no 'intrinsics'");
}

TEST_CASE("calibration: levelling puts up to up and the person straight ahead") {
  Dataset dataset = clip("P/walk/0");
  Sequence& sequence = dataset.sequences[0];
  const Camera camera = opencv_camera();
  for (const double roll : {0.0, 0.3, -0.4}) {
    Camera turned = camera;
    turned.orientation = looking(Vec3(0.3, 0.9, -0.3).normalized(), roll);
    set_calibration(sequence, turned, up_of(turned));
    const Eigen::Quaterniond level = levelling(sequence);
    CHECK((level * up_of(turned) - Vec3(0, -1, 0)).norm() < 1e-9);
    const Vec2 hip = ray(turned, {700, 700});
    CHECK(std::abs((level * Vec3(hip.x(), hip.y(), 1)).x()) < 1e-9);
    CHECK((level * Vec3(hip.x(), hip.y(), 1)).z() > 0);
  }
}

}  // namespace
}  // namespace posetape::data
