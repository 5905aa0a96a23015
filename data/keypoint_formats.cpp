#include "data/keypoint_formats.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "data/printable.hpp"
#include "data/text_lines.hpp"
#include "engine/error.hpp"

namespace posetape::data {

#define POSETAPE_KEYPOINT_FORMAT(name) extern const KeypointFormatRule name##_format;
#include "data/keypoint_formats.def"
#undef POSETAPE_KEYPOINT_FORMAT

namespace {

namespace fs = std::filesystem;

constexpr const char* kDigits = "0123456789";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Names in the order in which people count: runs of digits are numbers.
bool counts_before(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    if (is_digit(a[0]) && is_digit(b[0])) {
      const auto number = [](std::string_view& text) {
        text.remove_prefix(std::min(text.find_first_not_of('0'), text.size()));
        std::size_t n = 0;
        while (n < text.size() && is_digit(text[n])) ++n;
        return std::exchange(text, text.substr(n)).substr(0, n);
      };
      const std::string_view x = number(a);
      const std::string_view y = number(b);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
    } else if (a[0] != b[0]) {
      return a[0] < b[0];
    } else {
      a.remove_prefix(1);
      b.remove_prefix(1);
    }
  }
  return a.size() < b.size();
}

bool is_json_file(const fs::path& path) {
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending == ".json";
}

std::vector<fs::path> list_json(const std::string& folder) {
  std::vector<fs::path> files;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    if (is_json_file(it->path())) files.push_back(it->path());
  }
  if (code) fail("{}: cannot list the folder ({})", folder, code.message());
  if (files.empty()) {
    fail("{}: expected .json files, one a frame, found none; name the folder they lie in", folder);
  }
  std::ranges::sort(files, [](const fs::path& a, const fs::path& b) {
    const std::string x = a.filename().string();
    const std::string y = b.filename().string();
    return counts_before(x, y) || (!counts_before(y, x) && x < y);
  });
  return files;
}

}  // namespace

// ---- Input ----

struct KeypointInput::Contents {
  std::optional<Json> json;
  std::optional<NpzReader> npz;
  std::optional<NpyArray> npy;
  std::optional<std::string> text;
  std::optional<std::vector<fs::path>> files;
};

KeypointInput::KeypointInput(std::string path)
    : path_(std::move(path)), kind_(file_kind(path_)), contents_(std::make_unique<Contents>()) {
  // What a program reads from a pipe has no name.
  fs::path name(path_.starts_with("/proc/self/fd/") ? "clip" : path_);
  if (!name.has_filename()) name = name.parent_path();  // "folder/"
  subject_ =
      part_of_name(kind_ == FileKind::folder ? name.filename().string() : name.stem().string());
}

KeypointInput::~KeypointInput() = default;

const std::string& KeypointInput::text() const {
  auto& text = contents_->text;
  if (!text) text = read_text(path_);
  return *text;
}

const Json& KeypointInput::json() const {
  auto& json = contents_->json;
  if (!json && kind_ == FileKind::folder) {
    json = parse_json(read_text(files().front()), files().front().string());
  } else if (!json) {
    json = parse_json(text(), path_);
  }
  return *json;
}

const NpzReader& KeypointInput::npz() const {
  auto& npz = contents_->npz;
  if (!npz) npz.emplace(path_);
  return *npz;
}

const NpyArray& KeypointInput::npy() const {
  auto& npy = contents_->npy;
  if (!npy) npy = read_npy(path_);
  return *npy;
}

const std::vector<fs::path>& KeypointInput::files() const {
  auto& files = contents_->files;
  if (!files) files = list_json(path_);
  return *files;
}

// ---- Formats ----

const KeypointFormatRule& rule(KeypointFormat format) {
  static constexpr std::array kRules{
#define POSETAPE_KEYPOINT_FORMAT(name) &name##_format,
#include "data/keypoint_formats.def"
#undef POSETAPE_KEYPOINT_FORMAT
  };
  return *kRules.at(static_cast<std::size_t>(format));
}

namespace {

KeypointFormat find_format(const KeypointInput& input, std::optional<KeypointFormat> format) {
  if (format) return *format;
  for (const auto& choice : kChoices<KeypointFormat>.list) {
    if (rule(choice.value).recognises(input)) return choice.value;
  }
  expect_kind(input.path(),
              {FileKind::npz, FileKind::npy, FileKind::json, FileKind::text, FileKind::folder},
              "a file of keypoints");
  std::vector<std::string> known;
  for (const auto& choice : kChoices<KeypointFormat>.list) {
    known.push_back(fmt::format("{} ({})", choice.text, rule(choice.value).help));
  }
  fail("{}: holds no keypoints of a known format, which are: {}", input.path(),
       fmt::join(known, "; "));
}

}  // namespace

bool both_in(const KeypointInput& input, std::optional<KeypointFormat> format) {
  const auto holds = rule(find_format(input, format)).holds_both;
  return holds != nullptr && holds(input);
}

std::vector<KeypointClip> read_clips(const KeypointInput& input, Wanted wanted,
                                     std::optional<KeypointFormat> format) {
  if (input.kind() == FileKind::empty) {
    fail("{}: the file is empty; write it again", input.path());
  }
  std::error_code none;
  if (!fs::exists(input.path(), none)) {
    fail("{}: cannot open the file for reading (No such file or directory)", input.path());
  }
  format = find_format(input, format);
  if (input.kind() == FileKind::folder && !rule(*format).folders) {
    fail("{}: is a folder, and {} is a file; name the file", input.path(), name(*format));
  }
  std::vector<KeypointClip> clips = rule(*format).read(input, wanted);
  if (clips.empty()) {
    fail("{}: has no {}", input.path(),
         wanted == Wanted::keypoints ? "2D poses"
                                     : "3D poses; `posetape prepare keypoints` reads 2D");
  }
  return clips;
}

// ---- For readers ----

std::string clip_name(const std::string& subject, int camera) {
  return fmt::format("{}/clip/{}", subject, camera);
}

std::optional<std::int64_t> number_in_name(std::string_view name) {
  const std::size_t last = name.find_last_of(kDigits);
  if (last == std::string_view::npos) return std::nullopt;
  std::size_t first = last;
  while (first > 0 && is_digit(name[first - 1])) --first;
  std::int64_t number = 0;
  for (std::size_t i = first; i <= last; ++i) {
    if (number > std::numeric_limits<std::int64_t>::max() / 10 - 10) return std::nullopt;
    number = 10 * number + (name[i] - '0');
  }
  return number;
}

std::vector<std::int64_t> frame_numbers(const KeypointInput& input) {
  std::vector<std::int64_t> numbers;
  std::string video;  // what names say before the number
  for (const fs::path& file : input.files()) {
    const std::string name = file.stem().string();
    const auto number = number_in_name(name);
    if (!number) {
      numbers.resize(input.files().size());
      std::iota(numbers.begin(), numbers.end(), 0);
      return numbers;
    }
    const std::size_t last = name.find_last_of(kDigits);
    const std::string before = name.substr(0, name.find_last_not_of(kDigits, last) + 1);
    const bool again = !numbers.empty() && *number == numbers.back();
    if (again || (!numbers.empty() && before != video)) {
      fail("{}: {} {} the file before it; give a folder for each video", input.path(),
           printable(file.filename().string()),
           again ? "has the number of" : "is of another video than");
    }
    video = before;
    numbers.push_back(*number);
  }
  const std::int64_t first = numbers.front();
  for (std::int64_t& number : numbers) number -= first;
  return numbers;
}

void finish(KeypointClip& clip, bool rebase, const std::string& where) {
  std::ranges::stable_sort(clip.detections, {}, &Detection::frame);
  if (clip.detections.empty()) return;
  const std::int64_t first = clip.detections.front().frame;
  const std::int64_t last = clip.detections.back().frame;
  if (first < 0 || last > kMostFrames) {
    fail("{}: frame {} is no frame of a video; number them from 0 on", where,
         first < 0 ? first : last);
  }
  if (rebase) {
    for (Detection& d : clip.detections) d.frame -= first;
  }
  clip.frames = std::max(clip.frames, clip.detections.back().frame + 1);
}

Detection detection_of(std::vector<float> values, int keypoints, int columns, int channels) {
  Detection detection;
  if (columns == channels) {
    detection.values = std::move(values);
    return detection;
  }
  for (std::size_t k = 0; k < std::size_t(keypoints); ++k) {
    const auto row = values.begin() + static_cast<std::ptrdiff_t>(k * std::size_t(columns));
    detection.values.insert(detection.values.end(), row, row + channels);
    detection.confidence.push_back(row[columns - 1]);
  }
  return detection;
}

bool are_fractions(const KeypointClip& clip) {
  std::size_t inside = 0;
  std::size_t seen = 0;
  for (const Detection& d : clip.detections) {
    for (const float v : d.values) {
      if (!std::isfinite(v)) continue;
      ++seen;
      if (v >= -0.5f && v <= 1.5f) ++inside;
    }
  }
  return inside * 20 >= seen * 19;
}

namespace {

// Whether the third of the columns x, y, ? of landmarks is a depth, which has both signs.
bool is_depth(std::span<const float> values) {
  for (std::size_t i = 2; i < values.size(); i += 3) {
    if (values[i] < 0 || values[i] > 1) return true;
  }
  return false;
}

}  // namespace

void add_array(KeypointClip& clip, const NpyArray& array, int channels, const std::string& where) {
  if (array.shape.size() != 3 || array.shape[1] < 1 || array.shape[1] > 10'000 ||
      array.shape[2] < channels || array.shape[2] > 5) {
    fail("{}: expected shape (frames, keypoints, {}), found {}; put frames first, then keypoints",
         where, channels, shape_text(array.shape));
  }
  const std::vector<float> values = array.as<float>();
  clip.keypoints = static_cast<int>(array.shape[1]);
  clip.channels = channels;
  clip.frames = array.shape[0];
  clip.one_person = true;
  const int columns = static_cast<int>(array.shape[2]);
  // Of x, y, z or x, y, z and visibility in the image, z is left out.
  const bool landmarks = has_count(KeypointLayout::mediapipe, clip.keypoints);
  int confidence = columns > channels ? channels : -1;
  if (landmarks && channels == 2 && columns == 3 && is_depth(values)) confidence = -1;
  if (columns > 3) confidence = 3;
  const std::size_t frame = std::size_t(clip.keypoints) * std::size_t(columns);
  for (std::int64_t f = 0; f < clip.frames; ++f) {
    Detection detection;
    detection.frame = f;
    for (int k = 0; k < clip.keypoints; ++k) {
      const float* row = values.data() + std::size_t(f) * frame + std::size_t(k) * columns;
      detection.values.insert(detection.values.end(), row, row + channels);
      if (confidence >= 0) detection.confidence.push_back(row[confidence]);
    }
    clip.detections.push_back(std::move(detection));
  }
}

}  // namespace posetape::data
