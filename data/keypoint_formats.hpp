// The files that detectors and estimators write. Each format is one file in data/keypoint_formats,
// and a line of the list in data/meson.build.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/file_kind.hpp"
#include "data/json_text.hpp"
#include "data/keypoint_layouts.hpp"
#include "data/npz.hpp"

namespace posetape::data {

enum class KeypointFormat {
#define POSETAPE_KEYPOINT_FORMAT(name) name,
#include "data/keypoint_formats.def"
#undef POSETAPE_KEYPOINT_FORMAT
};
constexpr auto choices(KeypointFormat) {
  return make_choices<KeypointFormat>("format", {
#define POSETAPE_KEYPOINT_FORMAT(name) {KeypointFormat::name, #name},
#include "data/keypoint_formats.def"
#undef POSETAPE_KEYPOINT_FORMAT
                                                });
}

// What is wanted of a file: 2D keypoints in the image, or 3D estimates. Some hold both.
enum class Wanted { keypoints, estimates };

// One person in one frame.
struct Detection {
  std::int64_t frame = 0;         // from the clip's first one on
  std::int64_t id = -1;           // the tool's own number of the person; -1 where it gives none
  std::vector<float> values;      // [K][C], NaN where there is none
  std::vector<float> confidence;  // [K]; empty where the tool gives none
};

// What a tool saw in the frames of one video of one camera.
struct KeypointClip {
  std::string name;  // "<subject>/<action>/<camera>"
  int keypoints = 0;
  int channels = 2;
  std::int64_t frames = 0;            // 0: as many as the last detection says
  std::vector<Detection> detections;  // sorted by frame
  // What the file says beside it; nothing or 0 where it does not.
  std::optional<KeypointLayout> layout;
  std::array<std::int32_t, 2> image_size{0, 0};
  double fps = 0;
  bool one_person = false;  // whoever is seen is the same person, as the format has no more of them
  bool fractions = false;   // coordinates from 0 to 1 of the image's width and height
  // Of estimates: the vertical axis and whether the axes are left-handed; metres are looked for.
  bool z_up = false;
  bool mirrored = false;
  double turn = 0;  // degrees about the vertical
};

// A file or folder, opened as its readers want it. Everything is read once, when it is asked for,
// and throws Error as data/npz.hpp, data/npy.hpp and data/json_text.hpp say.
class KeypointInput {
 public:
  explicit KeypointInput(std::string path);
  ~KeypointInput();
  KeypointInput(const KeypointInput&) = delete;
  KeypointInput& operator=(const KeypointInput&) = delete;

  const std::string& path() const { return path_; }
  FileKind kind() const { return kind_; }
  // A subject's name: the file's or folder's own, without folders and ending.
  const std::string& subject() const { return subject_; }

  const Json& json() const;      // of a file of JSON; of a folder: the first of its files
  const NpzReader& npz() const;  // of an npz file
  const NpyArray& npy() const;   // of an npy file
  const std::string& text() const;

  // The .json files of a folder, in the order of the numbers in their names.
  const std::vector<std::filesystem::path>& files() const;

 private:
  struct Contents;
  std::string path_, subject_;
  FileKind kind_;
  std::unique_ptr<Contents> contents_;
};

struct KeypointFormatRule {
  const char* help;  // what it is, in a few words
  // Whether a file is of the format; it may be asked for any.
  bool (*recognises)(const KeypointInput& input);
  std::vector<KeypointClip> (*read)(const KeypointInput& input, Wanted wanted);
  // Whether a file of the format holds estimates and the keypoints that they were made of; null
  // where none does.
  bool (*holds_both)(const KeypointInput& input) = nullptr;
  bool folders = false;  // whether there are folders of it
};
const KeypointFormatRule& rule(KeypointFormat format);

// The clips of a file or folder in a format, or in that which it looks like. Throws Error where it
// is none, or holds nothing that is wanted.
std::vector<KeypointClip> read_clips(const KeypointInput& input, Wanted wanted,
                                     std::optional<KeypointFormat> format);

// Whether a file has both.
bool both_in(const KeypointInput& input, std::optional<KeypointFormat> format);

// ---- For readers of formats ----

// "<subject>/clip/<camera>".
std::string clip_name(const std::string& subject, int camera = 0);

// The last number in a name, or nothing: 12 in "video_000000000012_keypoints.json".
std::optional<std::int64_t> number_in_name(std::string_view name);

// The frames that the files of a folder are of, from 0 for the first one on: the numbers in their
// names, or their places where a file has none. Throws Error where the names are of several videos.
std::vector<std::int64_t> frame_numbers(const KeypointInput& input);

// No video has more frames: 11 days at 50 a second.
inline constexpr std::int64_t kMostFrames = 50'000'000;

// Sorts detections by frame, counts frames from the first one on where `rebase`, and refuses frames
// that lie so far apart that their numbers can't be frames. Call it once, at the end.
void finish(KeypointClip& clip, bool rebase, const std::string& where);

// A detection from rows of numbers: [K][channels], then where there is one more column [K] of
// confidences. `values` holds K * columns numbers.
Detection detection_of(std::vector<float> values, int keypoints, int columns, int channels);

// Whether 2D coordinates are fractions of the image: nearly all that are there lie about 0 to 1.
bool are_fractions(const KeypointClip& clip);

// The frames of an array (F, K, columns) of numbers as detections of one person. Of 2D keypoints a
// third column is the confidence, of MediaPipe's landmarks a fourth; of 3D ones the fourth is.
void add_array(KeypointClip& clip, const NpyArray& array, int channels, const std::string& where);

}  // namespace posetape::data
