// What the rest of the program knows of a format of motion: the FormatRule with which
// data/<format>.cpp ends. `posetape prepare`, `export --format`, messages about files of another
// kind and the fuzzer go by it and name no format. The list of them is in data/meson.build.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/bvh_poses.hpp"
#include "data/joints_map.hpp"
#include "data/person_world.hpp"

namespace posetape::data {

// ---- In: one person's motion in the world ----

struct MotionOptions {
  std::optional<double> metres_per_unit = std::nullopt;  // nothing: see person_world.hpp
  std::optional<UpAxis> up = std::nullopt;
  HipRoot hip = HipRoot::root;
  JointsMap joints = {};
};

struct FormatReader {
  const char* help;     // of `posetape prepare NAME`
  const char* files;    // what is expected to be there: ".bvh files, or ..."
  const char* example;  // of a command line
  bool hip;             // whether --hip says where joint 0 is
  // The option that names a file of joints_map.hpp; nullptr: there is none.
  const char* map;
  // One motion, or what long gaps leave of it, named after the file; the first one's notes say what
  // was chosen. Throws Error.
  std::vector<Motion> (*read)(const std::filesystem::path& file, const MotionOptions& options);
  // All that `read` does, with bytes in memory, for the fuzzer.
  void (*parse)(std::string_view bytes);
  // Of metadata, where the files say it of themselves: the rate, and whom to acknowledge.
  double fps = 0;
  const char* acknowledgement = nullptr;
  std::vector<std::string> test_subjects = {};  // as far as they are there
};

// ---- Out: sequences of poses ----

// Camera space (x right, y down, z forward), turned so that the vertical is another axis. Where the
// direction up is not known the camera counts as level: if it looked down at the scene, so does the
// floor.
enum class Axes { camera, y, z };
constexpr auto choices(Axes) {
  return make_choices<Axes>("up", {{Axes::camera, "camera", "as in camera space, y down"},
                                   {Axes::y, "y", "x right, z backward"},
                                   {Axes::z, "z", "x right, y forward"}});
}
enum class Unit { m, cm, mm };
constexpr auto choices(Unit) {
  return make_choices<Unit>("unit", {{Unit::m, "m"}, {Unit::cm, "cm"}, {Unit::mm, "mm"}});
}
double metres(Unit unit);
// "x right, y forward, z up"
const char* words(Axes axes);

struct PoseClip {
  std::string name;  // of the sequence
  double fps = 50;
  const PoseArray* poses = nullptr;                // [F][17][3], or [F][17][2] in pixels
  const std::vector<float>* confidence = nullptr;  // [F][17]; nullptr: nothing is known
  // Standard deviations of 3D poses in their axes, [F][17][3]; nullptr: not known.
  const PoseArray* std = nullptr;
};

struct ExportOptions {
  Unit unit = Unit::m;
  Axes up = Axes::camera;
  BvhBones bones = BvhBones::mean;
  std::string field = {};   // of the poses: "refined_3d"
  std::string ending = {};  // of the file's name: ".glb"
};

// A joint's position in a clip of 3D poses, in the unit and axes of the options.
Vec3 exported(const PoseClip& clip, int frame, int joint, const ExportOptions& options);
// Its standard deviations likewise, of a clip that has them.
Vec3 exported_std(const PoseClip& clip, int frame, int joint, const ExportOptions& options);

using Sink = std::function<void(std::string_view)>;

struct FormatWriter {
  const char* help;    // in `export --help`
  bool all_in_one;     // one file holds all sequences; else each has its own
  bool pixels;         // 2D poses, too
  bool certainty;      // the file has a place for confidences and standard deviations; else they go
                       // into tables beside the file
  Unit unit;           // where none is chosen
  Axes up;             // the same
  bool fixed;          // unit and axes are the format's and cannot be chosen
  bool bones = false;  // has `ExportOptions::bones`
  // Throws Error, or what the sink throws.
  void (*write)(std::span<const PoseClip> clips, const ExportOptions& options, const Sink& sink);
};

// ---- Formats ----

struct FormatRule {
  const char* name;                           // of commands and options: "bvh"
  const char* title;                          // in messages: "motion in BVH"
  std::vector<std::string_view> endings;      // in lower case; the first is what is written
  std::vector<std::string_view> beside = {};  // of files that belong to these
  // Whether a file begins like one of these (its first 512 bytes, without a byte order mark).
  bool (*begins)(std::string_view start);
  std::optional<FormatReader> reader = std::nullopt;
  std::optional<FormatWriter> writer = std::nullopt;
};

#define POSETAPE_FORMAT(format) extern const FormatRule format##_format;
#include "data/formats.def"
#undef POSETAPE_FORMAT

// In the order of the list.
std::span<const FormatRule* const> formats();
std::vector<const FormatRule*> formats_read();
std::vector<const FormatRule*> formats_written();
// The one whose file begins so; nullptr where there is none.
const FormatRule* format_of(std::string_view start);
// Whether a file has one of these endings, in whatever case.
bool has_ending(const std::filesystem::path& file, std::span<const std::string_view> endings);

// By their names, for options and files.
std::vector<Choice<const FormatRule*>> choices_of(std::span<const FormatRule* const> rules);
using posetape::name;
inline const char* name(const FormatRule* rule) {
  return rule->name;
}

}  // namespace posetape::data
