#include "data/calibration_formats.hpp"

#include <Eigen/Geometry>

#include <pugixml.hpp>
#define TOML_HEADER_ONLY 0
#include <toml++/toml.h>

#include <array>
#include <cmath>
#include <vector>

#include "data/printable.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

using Json = nlohmann::json;
using Vector = Eigen::Vector3d;

constexpr double kSubpixels = 64;

std::array<double, 3> listed(const Vector& v) {
  return {v.x(), v.y(), v.z()};
}

Json rows(const Eigen::Matrix3d& m) {
  Json json = Json::array();
  for (int r = 0; r < 3; ++r) json.push_back(listed(m.row(r).transpose()));
  return json;
}

// ---- Qualisys ----

double number(const pugi::xml_node& node, const char* name, const std::string& where) {
  const pugi::xml_attribute attribute = node.attribute(name);
  const double value = attribute.as_double(std::nan(""));
  if (!std::isfinite(value)) {
    fail("{}: <{}> has no number \"{}\"; export the calibration again", where, node.name(), name);
  }
  return value;
}

pugi::xml_node child(const pugi::xml_node& node, const char* name, const std::string& where) {
  const pugi::xml_node found = node.child(name);
  if (!found) fail("{}: has no <{}>; export the calibration again", where, name);
  return found;
}

Json qualisys_camera(const pugi::xml_node& camera, const std::string& name,
                     const std::string& where) {
  const pugi::xml_node lens = child(camera, "intrinsic", where);
  const pugi::xml_node image = child(camera, "fov_video", where);
  const pugi::xml_node place = child(camera, "transform", where);
  const auto pixels = [&](const char* key) { return number(lens, key, where) / kSubpixels; };
  const double left = number(image, "left", where);
  const double top = number(image, "top", where);
  Json json{{"name", name}};
  json["size"] = {number(image, "right", where) - left + 1,
                  number(image, "bottom", where) - top + 1};
  json["focal"] = {pixels("focalLengthU"), pixels("focalLengthV")};
  json["centre"] = {pixels("centerPointU") - left, pixels("centerPointV") - top};
  json["radial"] = {number(lens, "radialDistortion1", where),
                    number(lens, "radialDistortion2", where),
                    number(lens, "radialDistortion3", where)};
  json["tangential"] = {number(lens, "tangentalDistortion1", where),
                        number(lens, "tangentalDistortion2", where)};
  if (lens.attribute("skew").as_double() != 0) {
    fail("{}: its pixels are skewed, which is not supported; undistort the video", where);
  }
  Eigen::Matrix3d rotation;
  for (int r = 0; r < 3; ++r) {
    for (int c = 0; c < 3; ++c) {
      rotation(r, c) = number(place, fmt::format("r{}{}", r + 1, c + 1).c_str(), where);
    }
  }
  rotation.bottomRows(2) *= -1;
  json["rotation"] = rows(rotation);
  const Vector position(number(place, "x", where), number(place, "y", where),
                        number(place, "z", where));
  json["position"] = listed(position / 1000);
  return json;
}

// ---- TOML ----

std::vector<double> numbers(const toml::table& table, const char* key, std::size_t least,
                            std::size_t most, const std::string& where) {
  std::vector<double> values;
  if (const toml::array* array = table[key].as_array()) {
    for (const toml::node& node : *array) {
      values.push_back(node.value<double>().value_or(std::nan("")));
    }
  }
  const bool finite = std::ranges::all_of(values, [](double v) { return std::isfinite(v); });
  if (values.size() < least || values.size() > most || !finite) {
    fail("{}: \"{}\" takes {} numbers, found {}", where, key, least, values.size());
  }
  return values;
}

Json toml_camera(const toml::table& table, const std::string& name, const std::string& where) {
  if (table["fisheye"].value_or(false)) {
    fail("{}: is a fisheye, which is not supported; undistort the video", where);
  }
  Json json{{"name", name}};
  json["size"] = numbers(table, "size", 2, 2, where);
  std::array<std::vector<double>, 3> matrix;
  const toml::array* lines = table["matrix"].as_array();
  for (std::size_t r = 0; lines != nullptr && lines->size() == 3 && r < 3; ++r) {
    if (const toml::array* row = (*lines)[r].as_array()) {
      for (const toml::node& node : *row) {
        matrix[r].push_back(node.value<double>().value_or(std::nan("")));
      }
    }
  }
  for (const std::vector<double>& row : matrix) {
    if (row.size() != 3) fail("{}: \"matrix\" has three rows of three numbers", where);
  }
  json["focal"] = {matrix[0][0], matrix[1][1]};
  json["centre"] = {matrix[0][2], matrix[1][2]};
  std::vector<double> distortions = numbers(table, "distortions", 0, 5, where);
  distortions.resize(5);
  json["radial"] = {distortions[0], distortions[1], distortions[4]};
  json["tangential"] = {distortions[2], distortions[3]};
  if (!table.contains("rotation")) return json;
  const std::vector<double> turn = numbers(table, "rotation", 3, 3, where);
  const std::vector<double> shift = numbers(table, "translation", 3, 3, where);
  const Vector axis(turn[0], turn[1], turn[2]);
  const double angle = axis.norm();
  Eigen::Matrix3d rotation = Eigen::Matrix3d::Identity();
  if (angle > 0) rotation = Eigen::AngleAxisd(angle, axis / angle).toRotationMatrix();
  json["rotation"] = rows(rotation);
  const Vector position = -rotation.transpose() * Vector(shift[0], shift[1], shift[2]);
  if (position.norm() > 100) {
    fail("{}: is {:.0f} m from the origin; translations are in metres, so scale them", where,
         position.norm());
  }
  json["position"] = listed(position);
  return json;
}

}  // namespace

bool is_qualisys_calibration(const std::string& text) {
  const auto start = text.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  return start != std::string::npos && text[start] == '<';
}

Json qualisys_calibration(const std::string& text, const std::string& path) {
  pugi::xml_document document;
  const pugi::xml_parse_result result = document.load_buffer(text.data(), text.size());
  if (!result) {
    fail("{}: is no XML at byte {} ({}); export the calibration again", path, result.offset,
         result.description());
  }
  Json json{{"cameras", Json::array()}};
  const pugi::xml_node cameras = document.child("calibration").child("cameras");
  int number = 0;
  for (const pugi::xml_node& camera : cameras.children("camera")) {
    const std::string name = camera.attribute("serial").as_string(std::to_string(number).c_str());
    ++number;
    if (!camera.attribute("active").as_bool(true)) continue;
    json["cameras"].push_back(qualisys_camera(camera, name, path + ": camera " + printable(name)));
  }
  return json;
}

Json toml_calibration(const std::string& text, const std::string& path) {
  try {
    const toml::table file = toml::parse(text);
    Json json{{"cameras", Json::array()}};
    for (const auto& [key, node] : file) {
      const toml::table* table = node.as_table();
      if (table == nullptr || !table->contains("matrix")) continue;
      const std::string name = (*table)["name"].value_or(std::string(key.str()));
      json["cameras"].push_back(toml_camera(*table, name, path + ": camera " + printable(name)));
    }
    return json;
  } catch (const toml::parse_error& error) {
    fail("{}: is neither JSON nor TOML (line {}: {})", path, error.source().begin.line,
         printable(error.description()));
  }
}

}  // namespace posetape::data
