#include "data/calibration.hpp"

#include <Eigen/LU>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "data/calibration_formats.hpp"
#include "data/printable.hpp"
#include "data/text_lines.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

using Json = nlohmann::json;

// Reads the fields of one camera; every message starts with the file and the camera.
class CameraReader {
 public:
  CameraReader(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  CalibratedCamera read() const {
    check_names();
    CalibratedCamera result;
    Camera& camera = result.camera;
    const std::vector<double> size = numbers("size", 2);
    for (const double extent : size) {
      if (!(extent >= 1 && extent <= 1e6 && extent == std::floor(extent))) {
        fail("{}: \"size\" is width and height in pixels, found {} and {}", where_, size[0],
             size[1]);
      }
    }
    camera.size = {static_cast<std::int32_t>(size[0]), static_cast<std::int32_t>(size[1])};
    const bool one = json_.contains("focal") && json_.at("focal").is_number();
    const std::vector<double> focal =
        one ? numbers_of(json_.at("focal"), "focal", 1) : numbers("focal", 2);
    camera.focal = {focal.front(), focal.back()};
    if (!(camera.focal.minCoeff() > 0)) fail("{}: \"focal\" must be above 0 pixels", where_);
    const auto centre = numbers("centre", 2, {{size[0] / 2, size[1] / 2}});
    camera.centre = {centre[0], centre[1]};
    std::ranges::copy(numbers("radial", 3, {{0, 0, 0}}), camera.radial.begin());
    const auto tangential = numbers("tangential", 2, {{0, 0}});
    camera.tangential = {tangential[1], tangential[0]};
    camera.mixed = 2;
    camera.widest = 2;
    read_place(result);
    return result;
  }

 private:
  void check_names() const {
    static const std::set<std::string> known{
        "name", "size", "focal", "centre", "radial", "tangential", "rotation", "position", "up"};
    if (!json_.is_object()) fail("{}: expected an object with size and focal", where_);
    for (const auto& [key, value] : json_.items()) {
      if (!known.contains(key)) {
        fail(
            "{}: \"{}\" is unknown; known are name, size, focal, centre, radial, tangential, "
            "rotation, position and up",
            where_, printable(key));
      }
    }
  }

  void read_place(CalibratedCamera& result) const {
    if (json_.contains("rotation")) {
      const Json& rows = json_.at("rotation");
      if (!rows.is_array() || rows.size() != 3) fail("{}: \"rotation\" has three rows", where_);
      Eigen::Matrix3d rotation;
      for (int r = 0; r < 3; ++r) {
        const auto row = numbers_of(rows.at(static_cast<std::size_t>(r)), "rotation", 3);
        rotation.row(r) = Vec3(row[0], row[1], row[2]);
      }
      const double off = (rotation * rotation.transpose() - Eigen::Matrix3d::Identity()).norm();
      if (off > 1e-3 || rotation.determinant() < 0) {
        fail(
            "{}: \"rotation\" is no rotation (its rows must be right-handed unit vectors at right "
            "angles); from a Rodrigues vector it is made by cv2.Rodrigues",
            where_);
      }
      result.camera.orientation = Eigen::Quaterniond(rotation.transpose()).normalized();
      result.up = up_of(result.camera);
    }
    if (json_.contains("position")) {
      const auto position = numbers("position", 3);
      result.camera.position = {position[0], position[1], position[2]};
    }
    result.placed = json_.contains("rotation") && json_.contains("position");
    if (json_.contains("up")) {
      const auto up = numbers("up", 3);
      result.up = Vec3(up[0], up[1], up[2]);
      if (!(result.up->norm() > 0)) fail("{}: \"up\" is a direction, found 0, 0, 0", where_);
      result.up->normalize();
    }
  }

  std::vector<double> numbers(const char* key, std::size_t count,
                              const std::optional<std::vector<double>>& absent = {}) const {
    if (!json_.contains(key)) {
      if (absent) return *absent;
      fail("{}: has no \"{}\"; add it", where_, key);
    }
    return numbers_of(json_.at(key), key, count);
  }

  std::vector<double> numbers_of(const Json& json, const char* key, std::size_t count) const {
    const Json list = json.is_number() ? Json::array({json}) : json;
    std::vector<double> values;
    for (std::size_t i = 0; list.is_array() && i < list.size(); ++i) {
      if (list[i].is_number() && std::isfinite(list[i].get<double>())) values.push_back(list[i]);
    }
    if (!list.is_array() || list.size() != count || values.size() != count) {
      fail("{}: \"{}\" takes {} numbers, found {}", where_, key, count,
           printable(json.dump(-1, ' ', false, Json::error_handler_t::replace)));
    }
    return values;
  }

  const Json& json_;
  std::string where_;
};

Json in_our_form(const std::string& text, const std::string& path) {
  if (is_qualisys_calibration(text)) return qualisys_calibration(text, path);
  const auto start = text.find_first_not_of(" \t\r\n");
  if (start == std::string::npos || text[start] != '{') return toml_calibration(text, path);
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) fail("{}: is no JSON", path);
  return json;
}

}  // namespace

std::vector<CalibratedCamera> read_calibration(const std::filesystem::path& path) {
  const Json json = in_our_form(read_text(path), path.string());
  if (!json.is_object() || !json.contains("cameras") || !json.at("cameras").is_array() ||
      json.at("cameras").empty()) {
    fail(
        "{}: expected {{\"cameras\": [{{\"name\": .., \"size\": .., \"focal\": ..}}]}}, or a file "
        "of Qualisys or Pose2Sim with a camera in it",
        path.string());
  }
  std::vector<CalibratedCamera> cameras;
  std::set<std::string> names;
  for (const Json& one : json.at("cameras")) {
    std::string name = std::to_string(cameras.size());
    if (one.is_object() && one.contains("name")) {
      if (!one.at("name").is_string()) fail("{}: a camera's \"name\" is a text", path.string());
      name = one.at("name").get<std::string>();
    }
    const bool plain =
        std::ranges::all_of(name, [](unsigned char c) { return c > ' ' && c != '/' && c != 0x7f; });
    if (name.empty() || !plain || !names.insert(name).second) {
      fail("{}: a camera's name \"{}\" is empty, taken, or has a slash or a space", path.string(),
           plain ? name : "?");
    }
    cameras.push_back(CameraReader(one, path.string() + ": camera " + name).read());
    cameras.back().camera.id = name;
  }
  return cameras;
}

void set_calibration(Sequence& sequence, const Camera& camera, const std::optional<Vec3>& up) {
  const auto& k = camera.radial;
  // p1 goes with y and p2 with x.
  sequence.intrinsics = {camera.focal.x(),
                         camera.focal.y(),
                         camera.centre.x(),
                         camera.centre.y(),
                         k[0],
                         k[1],
                         camera.tangential[1],
                         camera.tangential[0],
                         k[2]};
  sequence.up.reset();
  if (up) sequence.up = {up->x(), up->y(), up->z()};
}

namespace {

std::string names_of(std::span<const CalibratedCamera> cameras) {
  std::string text;
  for (const CalibratedCamera& c : cameras) text += (text.empty() ? "" : ", ") + c.camera.id;
  return text;
}

}  // namespace

std::vector<CalibratedCamera> named(std::vector<CalibratedCamera> cameras, const std::string& name,
                                    const std::string& path) {
  const std::string known = names_of(cameras);
  std::erase_if(cameras, [&](const CalibratedCamera& c) { return c.camera.id != name; });
  if (cameras.empty()) fail("{}: has no camera '{}', but {}", path, name, known);
  return cameras;
}

void set_calibration(Dataset& dataset, std::span<const CalibratedCamera> cameras,
                     const std::string& path) {
  for (Sequence& sequence : dataset.sequences) {
    const std::string name = sequence.name.substr(sequence.name.rfind('/') + 1);
    const auto named =
        std::ranges::find_if(cameras, [&](const auto& c) { return c.camera.id == name; });
    if (named == cameras.end() && cameras.size() != 1) {
      fail(
          "{}: has no camera '{}' for sequence '{}', but {}; name one so, or say which with "
          "--camera-name",
          path, name, sequence.name, names_of(cameras));
    }
    const CalibratedCamera& found = named == cameras.end() ? cameras.front() : *named;
    if (found.camera.size != sequence.image_size) {
      fail("{}: camera {} has {} x {} pixels, sequence '{}' {} x {}; scale the calibration", path,
           found.camera.id, found.camera.size[0], found.camera.size[1], sequence.name,
           sequence.image_size[0], sequence.image_size[1]);
    }
    set_calibration(sequence, found.camera, found.up);
  }
}

Camera lens_of(const Sequence& sequence) {
  if (!sequence.intrinsics) {
    fail(
        "sequence '{}' has no 'intrinsics', and the network sees rays; give the camera with "
        "--camera FILE, or store the array",
        sequence.name);
  }
  const auto& v = *sequence.intrinsics;
  Camera camera;
  camera.size = sequence.image_size;
  camera.focal = {v[0], v[1]};
  camera.centre = {v[2], v[3]};
  camera.radial = {v[4], v[5], v[8]};
  camera.tangential = {v[7], v[6]};
  camera.mixed = 2;
  camera.widest = 2;
  return camera;
}

Eigen::Quaterniond levelling(const Sequence& sequence) {
  const Camera lens = lens_of(sequence);
  Vec3 up = -Vec3::UnitY();
  if (sequence.up) {
    up = Vec3((*sequence.up)[0], (*sequence.up)[1], (*sequence.up)[2]).normalized();
  }
  Vec3 towards = Vec3::Zero();
  for (int f = 0; f < sequence.frames(); ++f) {
    const float* pose = sequence.pose_2d.frame(f);
    const Vec2 hip = ray(lens, Vec2(pose[0], pose[1]));
    towards += Vec3(hip.x(), hip.y(), 1).normalized();
  }
  Vec3 forward = towards - towards.dot(up) * up;
  // A camera straight above or below the person: its own y is as good a direction as any.
  if (forward.norm() < 1e-6 * sequence.frames()) forward = up.unitOrthogonal();
  forward.normalize();
  Eigen::Matrix3d rows;
  rows.row(2) = forward;
  rows.row(1) = -up;
  rows.row(0) = (-up).cross(forward);
  return Eigen::Quaterniond(rows);
}

}  // namespace posetape::data
