// MediaPipe's pose landmarks as JSON or as a CSV table. MediaPipe itself writes no file, so that
// there is no one layout; what is read is
//   JSON  frames in a list (or under "frames"), or a line each. A frame is a list of 33 landmarks,
//         {"x":, "y":, "z":, "visibility":} or [x, y, z, visibility], or of people with 33 each, or
//         an object with the lists under "landmarks" and "worldLandmarks", as the results of the
//         Tasks in JavaScript have them, or under "pose_landmarks" and "pose_world_landmarks", as
//         in Python. Null or an empty list is a frame without anybody.
//   CSV   a line a frame, with the landmarks in the columns, named x0, y0, z0, v0 or nose_x ... or
//         landmark_0_x, ..., and of the world nose_world_x or world_x0, ...; or a line a landmark,
//         with the columns frame, landmark, x, y, z, visibility. Either may have several people:
//         person0_nose_x ..., or a column person. Hands and faces, which the holistic model has
//         beside the body, are left out.
// Frames may have numbers of their own, under "frame", "frame_id", "frame_index", ..., which rise;
// else they come one after another.
// Coordinates lie in 0 to 1; world landmarks are metres from the middle of the hips, y down.
// Source: MediaPipe's "Pose landmark detection guide".
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "data/keypoint_formats.hpp"
#include "data/printable.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr int kLandmarks = 33;
constexpr std::array<std::string_view, kLandmarks> kNames{
    "nose",        "left_eye_inner",  "left_eye",        "left_eye_outer", "right_eye_inner",
    "right_eye",   "right_eye_outer", "left_ear",        "right_ear",      "mouth_left",
    "mouth_right", "left_shoulder",   "right_shoulder",  "left_elbow",     "right_elbow",
    "left_wrist",  "right_wrist",     "left_pinky",      "right_pinky",    "left_index",
    "right_index", "left_thumb",      "right_thumb",     "left_hip",       "right_hip",
    "left_knee",   "right_knee",      "left_ankle",      "right_ankle",    "left_heel",
    "right_heel",  "left_foot_index", "right_foot_index"};
constexpr std::array<const char*, 4> kFields{"x", "y", "z", "visibility"};
constexpr std::array<const char*, 5> kFrameNames{"frame", "frame_id", "frame_idx", "frame_index",
                                                 "frame_number"};
constexpr const char* kDigits = "0123456789";
constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

// Whether a number is that of a frame.
bool is_index(double value) {
  return value >= 0 && value <= double(kMostFrames) && value == std::floor(value);
}

// One person in a frame: x, y, z, visibility of each landmark.
using Landmarks = std::vector<std::array<float, 4>>;

Detection detection(const Landmarks& landmarks, std::int64_t frame, int channels) {
  Detection result;
  result.frame = frame;
  for (const auto& landmark : landmarks) {
    result.values.insert(result.values.end(), landmark.begin(), landmark.begin() + channels);
    result.confidence.push_back(std::isnan(landmark[3]) ? 1 : landmark[3]);
  }
  return result;
}

KeypointClip empty_clip(const KeypointInput& input, Wanted wanted) {
  KeypointClip clip;
  clip.name = clip_name(input.subject());
  clip.keypoints = kLandmarks;
  clip.channels = wanted == Wanted::estimates ? 3 : 2;
  clip.layout = KeypointLayout::mediapipe;
  return clip;
}

// ---- JSON ----

bool is_landmark(const Json& value) {
  if (value.is_array()) return value.size() >= 2 && value.size() <= 5 && value[0].is_number();
  return member(value, "x") != nullptr && member(value, "y") != nullptr;
}

// The first member of an object that is there.
const Json* any_member(const Json& value, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const Json* found = member(value, name)) return found;
  }
  return nullptr;
}

const Json* image_landmarks(const Json& frame) {
  return any_member(frame, {"landmarks", "pose_landmarks", "poseLandmarks", "keypoints"});
}
const Json* world_landmarks(const Json& frame) {
  return any_member(frame, {"worldLandmarks", "world_landmarks", "pose_world_landmarks",
                            "poseWorldLandmarks", "keypoints3D"});
}

// The lists of landmarks in what stands for a frame: one a person.
std::vector<const Json*> people_in(const Json& frame, Wanted wanted) {
  const Json* found = &frame;
  if (frame.is_object() && !is_landmark(frame)) {
    found = wanted == Wanted::estimates ? world_landmarks(frame) : image_landmarks(frame);
  }
  if (found == nullptr || found->is_null()) return {};
  if (const Json* list = any_member(*found, {"landmark", "landmarks"})) found = list;
  if (!found->is_array() || found->empty()) return {};
  if (is_landmark((*found)[0])) return {found};
  std::vector<const Json*> people;
  for (const Json& person : *found) {
    const Json* list = any_member(person, {"landmark", "landmarks"});
    people.push_back(list != nullptr ? list : &person);
  }
  return people;
}

Landmarks landmarks_of(const Json& person, const std::string& where) {
  if (!person.is_array() || person.size() != kLandmarks) {
    fail("{}: expected {} landmarks of a person, found {}", where, kLandmarks, person.size());
  }
  Landmarks result;
  for (const Json& landmark : person) {
    std::array<float, 4> row{kNone, kNone, kNone, kNone};
    if (!is_landmark(landmark)) fail("{}: expected x and y of each landmark", where);
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (landmark.is_array()) {
        if (c < landmark.size()) row[c] = number_in(landmark[c], where);
      } else if (const Json* value = member(landmark, kFields[c])) {
        row[c] = number_in(*value, where);
      }
    }
    result.push_back(row);
  }
  return result;
}

const Json& frames_of(const Json& json) {
  const Json* frames = any_member(json, {"frames", "data", "results", "poses"});
  return frames != nullptr && frames->is_array() ? *frames : json;
}

// Whether a list of frames is one frame: a list of landmarks, or one result of the Tasks.
bool is_one_frame(const Json& frames) {
  return frames.is_object() || (frames.is_array() && !frames.empty() && is_landmark(frames[0]));
}

bool is_frame(const Json& frame) {
  for (const Wanted wanted : {Wanted::keypoints, Wanted::estimates}) {
    const auto people = people_in(frame, wanted);
    if (!people.empty() && people[0]->is_array() && people[0]->size() == kLandmarks &&
        is_landmark((*people[0])[0])) {
      return true;
    }
  }
  return false;
}

bool recognises_json(const Json& json) {
  const Json& frames = frames_of(json);
  if (is_one_frame(frames)) return is_frame(frames);
  return frames.is_array() && std::ranges::any_of(frames, is_frame);
}

// The number that a frame has of its own.
std::optional<std::int64_t> number_of(const Json& frame, const std::string& where) {
  const Json* number = nullptr;
  for (const char* name : kFrameNames) {
    if (number == nullptr) number = member(frame, name);
  }
  if (number == nullptr || !number->is_number()) return std::nullopt;
  const auto value = number->get<double>();
  if (!is_index(value)) fail("{}: {} is no frame of a video; number them from 0 on", where, value);
  return static_cast<std::int64_t>(value);
}

KeypointClip read_json(const KeypointInput& input, Wanted wanted) {
  KeypointClip clip = empty_clip(input, wanted);
  const Json& frames = frames_of(input.json());
  if (!is_one_frame(frames) && !frames.is_array()) {
    fail("{}: expected a list of frames, found {}", input.path(), frames.type_name());
  }
  const std::size_t count = is_one_frame(frames) ? 1 : frames.size();
  std::int64_t first = 0;
  std::int64_t number = -1;
  for (std::size_t f = 0; f < count; ++f) {
    const Json& frame = is_one_frame(frames) ? frames : frames[f];
    const std::string where = fmt::format("{}: frame {}", input.path(), f);
    const std::int64_t before = number;
    number = number_of(frame, where).value_or(before + 1);
    if (number <= before) {
      fail("{}: has the number {} after {}; write frames in their order, each once", where, number,
           before);
    }
    if (f == 0) first = number;
    for (const Json* person : people_in(frame, wanted)) {
      clip.detections.push_back(
          detection(landmarks_of(*person, where), number - first, clip.channels));
    }
  }
  clip.frames = number - first + 1;
  const Json* fps = member(input.json(), "fps");
  if (fps != nullptr && fps->is_number()) {
    clip.fps = std::clamp(fps->get<double>(), 0.0, 1000.0);
  }
  return clip;
}

// ---- CSV ----

std::vector<std::string_view> split(std::string_view line, char separator) {
  std::vector<std::string_view> cells;
  while (true) {
    const std::size_t end = line.find(separator);
    std::string_view cell = line.substr(0, end);
    const std::size_t first = cell.find_first_not_of(" \t\r\"");
    const std::size_t last = cell.find_last_not_of(" \t\r\"");
    cells.push_back(first == std::string_view::npos ? std::string_view()
                                                    : cell.substr(first, last - first + 1));
    if (end == std::string_view::npos) return cells;
    line.remove_prefix(end + 1);
  }
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

// The landmark that a text names, by its name, else by its number, as it is; -1 for none. What else
// the text says is whose it is: "person0_" in "person0_nose", "pose_" in "pose_12".
struct LandmarkName {
  int landmark = -1;
  std::string owner;
};

LandmarkName landmark_in(std::string_view text) {
  std::string name = lower(text);
  std::ranges::replace(name, ' ', '_');
  while (name.ends_with('_') || name.ends_with('.') || name.ends_with('-')) name.pop_back();
  int best = -1;
  std::size_t length = 0;
  for (int k = 0; k < kLandmarks; ++k) {
    const std::string_view known = kNames[static_cast<std::size_t>(k)];
    if (!name.ends_with(known) || known.size() <= length) continue;
    best = k;
    length = known.size();
  }
  if (best >= 0) return {best, name.substr(0, name.size() - length)};
  const auto number = number_in_name(name);
  if (!number || *number > kLandmarks) return {};
  const std::size_t last = name.find_last_of(kDigits);
  const std::size_t first = name.find_last_not_of(kDigits, last) + 1;
  return {static_cast<int>(*number), name.erase(first, last + 1 - first)};
}

// Of the holistic model, whose hands and face have landmarks of the same numbers.
bool is_hand_or_face(const std::string& name) {
  return name.find("hand") != std::string::npos || name.find("face") != std::string::npos;
}

// The coordinate that a column of a landmark holds, from the end ("nose_x") or the start ("x0") of
// its name: 0 to 3, or -1; `rest` is the name without it.
int field_of(const std::string& column, std::string& rest) {
  constexpr std::array<std::pair<std::string_view, int>, 9> kEnds{{{"visibility", 3},
                                                                   {"confidence", 3},
                                                                   {"presence", -1},
                                                                   {"score", 3},
                                                                   {"vis", 3},
                                                                   {"x", 0},
                                                                   {"y", 1},
                                                                   {"z", 2},
                                                                   {"v", 3}}};
  for (const auto& [end, field] : kEnds) {
    if (!column.ends_with(end) || column.size() <= end.size()) continue;
    const char before = column[column.size() - end.size() - 1];
    if (std::isalpha(static_cast<unsigned char>(before)) != 0) continue;
    rest = column.substr(0, column.size() - end.size());
    return field;
  }
  for (const auto& [start, field] : kEnds) {
    if (!column.starts_with(start) || column.size() <= start.size()) continue;
    rest = column.substr(start.size());
    if (std::isalpha(static_cast<unsigned char>(rest[0])) == 0) return field;
  }
  return -1;
}

// Where each coordinate of each landmark of one person stands in a line of a wide table; -1 for
// nowhere.
struct Columns {
  std::map<int, std::array<int, 4>> landmarks;
  std::optional<std::pair<int, int>> clash;  // two columns of one coordinate
  std::int64_t id = -1;

  void add(int landmark, int field, int column) {
    auto& row = landmarks.try_emplace(landmark, std::array{-1, -1, -1, -1}).first->second;
    int& place = row[static_cast<std::size_t>(field)];
    if (place >= 0 && !clash) clash = {place, column};
    place = column;
  }

  // Names of landmarks, or numbers from 0 or 1 on.
  bool complete(Wanted wanted) const {
    const std::ptrdiff_t needed = wanted == Wanted::estimates ? 3 : 2;
    return landmarks.size() == kLandmarks && std::ranges::all_of(landmarks, [&](const auto& place) {
             const auto row = place.second.begin();
             return std::all_of(row, row + needed, [](int c) { return c >= 0; });
           });
  }
};

// Takes the word for the world out of a column's name: "nose_world_x", "world_x0", "nose_x3d".
// False where there is none.
bool take_world(std::string& column) {
  constexpr const char* kBetween = "_-. ";
  for (const std::string_view word : {"world", "3d"}) {
    const std::size_t begin = column.find(word);
    if (begin == std::string::npos) continue;
    column.erase(begin, word.size());
    column.erase(0, column.find_first_not_of(kBetween));
    column.erase(column.find_last_not_of(kBetween) + 1);
    return true;
  }
  return false;
}

// The people of a wide table: columns with all landmarks whose names are the same but for these.
std::vector<Columns> wide_columns(std::span<const std::string_view> header, Wanted wanted) {
  std::map<std::string, Columns> people;
  Columns all;
  for (std::size_t c = 0; c < header.size(); ++c) {
    std::string column = lower(header[c]);
    const bool world = take_world(column);
    if (is_hand_or_face(column) || world != (wanted == Wanted::estimates)) continue;
    std::string rest;
    const int field = field_of(column, rest);
    const auto [landmark, owner] = field < 0 ? LandmarkName{} : landmark_in(rest);
    if (landmark < 0) continue;
    people[owner].add(landmark, field, static_cast<int>(c));
    all.add(landmark, field, static_cast<int>(c));
  }
  std::erase_if(people, [&](const auto& person) { return !person.second.complete(wanted); });
  // Names may have a number of the landmark before it: 0_nose_x, 1_left_eye_inner_x.
  if (people.empty() && all.complete(wanted)) return {all};
  std::vector<Columns> result;
  std::set<std::int64_t> ids;
  for (const auto& [owner, columns] : people) {
    result.push_back(columns);
    result.back().id = number_in_name(owner).value_or(-1);
    ids.insert(result.back().id);
  }
  const bool numbered = ids.size() == result.size() && !ids.contains(-1);
  for (std::size_t i = 0; i < result.size() && !numbered; ++i) result[i].id = std::int64_t(i);
  if (result.size() == 1) result[0].id = -1;
  return result;
}

int column_of(std::span<const std::string_view> header, std::span<const char* const> names) {
  for (const char* name : names) {
    for (std::size_t c = 0; c < header.size(); ++c) {
      if (lower(header[c]) == name) return static_cast<int>(c);
    }
  }
  return -1;
}

int column_of(std::span<const std::string_view> header, std::initializer_list<const char*> names) {
  return column_of(header, std::span(names.begin(), names.size()));
}

// The columns of a table with a line for each landmark; of others, that of the frame.
struct LongTable {
  int frame, person, type, landmark;
  std::array<int, 4> fields;
  bool complete(Wanted wanted) const {
    return frame >= 0 && landmark >= 0 && fields[0] >= 0 && fields[1] >= 0 &&
           (fields[2] >= 0 || wanted == Wanted::keypoints);
  }
};

LongTable long_columns(std::span<const std::string_view> header, Wanted wanted) {
  const bool world = wanted == Wanted::estimates;
  LongTable table{};
  table.frame = column_of(header, kFrameNames);
  table.person = column_of(header, {"person", "person_id", "person_idx", "person_index"});
  table.type = column_of(header, {"type"});
  table.landmark = column_of(header, {"landmark", "landmark_id", "landmark_idx", "landmark_index",
                                      "landmark_name", "keypoint", "joint", "name", "id"});
  table.fields = {world ? column_of(header, {"world_x", "x_world"}) : column_of(header, {"x"}),
                  world ? column_of(header, {"world_y", "y_world"}) : column_of(header, {"y"}),
                  world ? column_of(header, {"world_z", "z_world"}) : column_of(header, {"z"}),
                  column_of(header, {"visibility", "vis", "v", "confidence", "score"})};
  return table;
}

struct Table {
  char separator = ',';
  std::string_view header, rows;
};

Table table_of(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  Table table;
  table.header = text.substr(0, text.find('\n'));
  table.rows = text.substr(std::min(table.header.size() + 1, text.size()));
  for (const char c : {';', '\t'}) {
    if (std::ranges::count(table.header, c) > std::ranges::count(table.header, table.separator)) {
      table.separator = c;
    }
  }
  return table;
}

bool recognises_csv(std::string_view text) {
  const Table table = table_of(text);
  const auto header = split(table.header, table.separator);
  for (const Wanted wanted : {Wanted::keypoints, Wanted::estimates}) {
    if (!wide_columns(header, wanted).empty()) return true;
    if (long_columns(header, wanted).complete(wanted)) return true;
  }
  return false;
}

// One line after another of a table.
class Rows {
 public:
  Rows(const KeypointInput& input, const Table& table)
      : path_(input.path()), rest_(table.rows), separator_(table.separator) {}

  bool next() {
    while (!rest_.empty()) {
      const std::string_view line = rest_.substr(0, rest_.find('\n'));
      rest_.remove_prefix(std::min(line.size() + 1, rest_.size()));
      ++number_;
      cells_ = split(line, separator_);
      if (cells_.size() > 1 || !cells_[0].empty()) return true;
    }
    return false;
  }

  // An empty cell, a column that is not there and words for nothing are NaN.
  double number(int column) const {
    const std::string_view cell = text(column);
    const std::string word = lower(cell);
    if (word.empty() || word == "nan" || word == "none" || word == "null") return kNone;
    double value = 0;
    const auto [end, code] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    if (code != std::errc() || end != cell.data() + cell.size()) {
      fail("{}:{}: expected a number in column {}, found '{}'", path_, number_, column + 1,
           printable(cell));
    }
    return value;
  }

  // The number of a person: their own, else how many names came before theirs; -1 without a column.
  std::int64_t person(int column) {
    if (column < 0) return -1;
    const std::string name(text(column));
    const bool number = name.find_first_not_of(kDigits) == std::string::npos;
    const auto own = number ? number_in_name(name) : std::nullopt;
    return people_.try_emplace(name, own.value_or(std::ssize(people_))).first->second;
  }

  // The number of a frame, which may be that in the name of its image.
  std::int64_t frame(int column) const {
    const std::string_view cell = text(column);
    double value = 0;
    const auto [end, code] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    if (code != std::errc() || end != cell.data() + cell.size()) {
      value = double(number_in_name(cell).value_or(-1));
    }
    if (!is_index(value)) {
      fail("{}: expected the number of a frame in column {}, found '{}'", where(), column + 1,
           printable(cell));
    }
    return static_cast<std::int64_t>(value);
  }

  std::string_view text(int column) const {
    return column < 0 || column >= int(cells_.size()) ? std::string_view()
                                                      : cells_[static_cast<std::size_t>(column)];
  }

  std::string where() const { return fmt::format("{}:{}", path_, number_); }

 private:
  const std::string& path_;
  std::string_view rest_;
  char separator_;
  int number_ = 1;
  std::vector<std::string_view> cells_;
  std::map<std::string, std::int64_t> people_;
};

std::array<float, 4> row_of(const Rows& rows, const std::array<int, 4>& columns) {
  std::array<float, 4> row;
  std::ranges::transform(columns, row.begin(),
                         [&](int c) { return static_cast<float>(rows.number(c)); });
  return row;
}

void read_wide(KeypointClip& clip, Rows& rows, std::span<const Columns> people,
               const LongTable& table) {
  std::map<std::int64_t, std::int64_t> last;  // frame of each person
  while (rows.next()) {
    const std::int64_t id = rows.person(table.person);
    std::int64_t& before = last.try_emplace(id, -1).first->second;
    const std::int64_t frame = table.frame < 0 ? before + 1 : rows.frame(table.frame);
    if (frame <= before) {
      fail(
          "{}: has frame {} after {}; write frames in their order, and number people in a column "
          "'person'",
          rows.where(), frame, before);
    }
    before = frame;
    for (const Columns& columns : people) {
      Landmarks landmarks;
      for (const auto& [landmark, places] : columns.landmarks) {
        landmarks.push_back(row_of(rows, places));
      }
      clip.detections.push_back(detection(landmarks, frame, clip.channels));
      clip.detections.back().id = columns.id < 0 ? id : columns.id;
    }
  }
}

void read_long(KeypointClip& clip, Rows& rows, const LongTable& table) {
  using Person = std::map<int, std::array<float, 4>>;
  std::map<std::pair<std::int64_t, std::int64_t>, Person> people;  // by frame and number
  while (rows.next()) {
    if (is_hand_or_face(lower(rows.text(table.type)))) continue;
    const std::int64_t frame = rows.frame(table.frame);
    const std::int64_t id = rows.person(table.person);
    const int landmark = landmark_in(rows.text(table.landmark)).landmark;
    if (landmark < 0 || landmark >= kLandmarks) {
      fail("{}: expected a landmark's name or its number from 0 to {}, found '{}'", rows.where(),
           kLandmarks - 1, printable(rows.text(table.landmark)));
    }
    if (!people[{frame, id}].try_emplace(landmark, row_of(rows, table.fields)).second) {
      fail("{}: has '{}' of frame {} again; number people in a column 'person'", rows.where(),
           printable(rows.text(table.landmark)), frame);
    }
  }
  for (const auto& [key, person] : people) {
    Landmarks landmarks(kLandmarks, {kNone, kNone, kNone, 0});
    for (const auto& [landmark, row] : person) landmarks[static_cast<std::size_t>(landmark)] = row;
    clip.detections.push_back(detection(landmarks, key.first, clip.channels));
    clip.detections.back().id = key.second;
  }
}

KeypointClip read_csv(const KeypointInput& input, Wanted wanted) {
  KeypointClip clip = empty_clip(input, wanted);
  const Table table = table_of(input.text());
  const auto header = split(table.header, table.separator);
  Rows rows(input, table);
  const std::vector<Columns> wide = wide_columns(header, wanted);
  const LongTable long_table = long_columns(header, wanted);
  for (const Columns& person : wide) {
    if (!person.clash) continue;
    const auto named = [&](int c) { return printable(header[static_cast<std::size_t>(c)]); };
    fail("{}: columns '{}' and '{}' are both of one landmark; take one of them out", input.path(),
         named(person.clash->first), named(person.clash->second));
  }
  if (!wide.empty()) {
    read_wide(clip, rows, wide, long_table);
  } else if (long_table.complete(wanted)) {
    read_long(clip, rows, long_table);
  } else {
    fail("{}: has no columns of {}", input.path(),
         wanted == Wanted::estimates ? "world landmarks ('nose_world_x', 'world_x', ...)"
                                     : "33 landmarks ('nose_x', 'x0', 'x', ...)");
  }
  return clip;
}

bool recognises(const KeypointInput& input) {
  if (input.kind() == FileKind::json) return recognises_json(input.json());
  return input.kind() == FileKind::text && recognises_csv(input.text());
}

std::vector<KeypointClip> read(const KeypointInput& input, Wanted wanted) {
  KeypointClip clip =
      input.kind() == FileKind::json ? read_json(input, wanted) : read_csv(input, wanted);
  if (clip.detections.empty()) return {};
  clip.fractions = wanted == Wanted::keypoints && are_fractions(clip);
  finish(clip, input.kind() != FileKind::json, input.path());
  // MediaPipe follows one person unless it is told otherwise.
  clip.one_person =
      std::ranges::all_of(clip.detections, [](const auto& d) { return d.id < 0; }) &&
      std::ranges::adjacent_find(clip.detections, {}, &Detection::frame) == clip.detections.end();
  return {std::move(clip)};
}

bool holds_both(const KeypointInput& input) {
  if (input.kind() == FileKind::json) {
    const Json& frames = frames_of(input.json());
    const auto both = [](const Json& frame) {
      return image_landmarks(frame) != nullptr && world_landmarks(frame) != nullptr;
    };
    return is_one_frame(frames) ? both(frames) : std::ranges::any_of(frames, both);
  }
  const Table table = table_of(input.text());
  const auto header = split(table.header, table.separator);
  const auto has = [&](Wanted wanted) {
    return !wide_columns(header, wanted).empty() || long_columns(header, wanted).complete(wanted);
  };
  return has(Wanted::keypoints) && has(Wanted::estimates);
}

}  // namespace

extern const KeypointFormatRule mediapipe_format;
const KeypointFormatRule mediapipe_format{"MediaPipe's 33 landmarks in JSON or CSV", recognises,
                                          read, holds_both};

}  // namespace posetape::data
