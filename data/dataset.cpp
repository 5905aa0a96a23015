#include "data/dataset.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <unordered_map>
#include <utility>

#include "data/gaps.hpp"
#include "data/npz.hpp"
#include "data/printable.hpp"
#include "engine/error.hpp"
#include "engine/tensor.hpp"

namespace posetape::data {
namespace {

constexpr const char* kTestSubjects = "test_subjects";
constexpr const char* kMetadata = "metadata";
constexpr const char* kConfidence = "confidence";
constexpr const char* kRefinedRoot = "refined_root";
constexpr const char* kFeetDown = "feet_down";
constexpr const char* kIntrinsics = "intrinsics";
constexpr const char* kUp = "up";

// An optional field, and what is known about its coordinates. `gaps` says why a gap is not bridged,
// and what to do; nothing where short ones are.
struct Field {
  const char* name;
  std::optional<PoseArray> Sequence::*member;
  const char* gaps;
};
constexpr std::array<Field, 4> kFields{
    {{"pose_3d", &Sequence::pose_3d, "the truth is not interpolated, so repair it"},
     {"noisy_3d", &Sequence::noisy_3d, nullptr},
     {"refined_3d", &Sequence::refined_3d,
      "a result is not interpolated, so make it again with `posetape refine`"},
     {"refined_std", &Sequence::refined_std,
      "a result is not interpolated, so make it again with `posetape refine`"}}};

// Fields of one window's frames.
struct WindowField {
  const char* name;
  std::optional<PoseArray> Sequence::*member;
};
constexpr std::array<WindowField, 2> kWindowFields{
    {{"noisy_3d_last_window", &Sequence::noisy_3d_last_window},
     {"refined_3d_last_window", &Sequence::refined_3d_last_window}}};

// The arrays of a file, sorted into sequences in the order in which each first appears.
struct Contents {
  std::vector<std::string> sequences;
  std::unordered_map<std::string, std::vector<std::string>> fields;
};

Contents list_contents(const NpzReader& file, const std::string& path) {
  Contents contents;
  for (const std::string& name : file.names()) {
    // Names stand in tables and messages.
    if (std::ranges::any_of(name, [](unsigned char c) { return c < ' ' || c == 0x7f; })) {
      fail("{}: array '{}': its name has a control character; rename it", path, printable(name));
    }
    const std::size_t slash = name.rfind('/');
    if (slash == std::string::npos) {
      if (name == "pose_2d") {
        fail("{}: array 'pose_2d' has no sequence; name arrays '<sequence>/pose_2d'", path);
      }
      continue;
    }
    const std::string sequence = name.substr(0, slash);
    auto& fields = contents.fields[sequence];
    if (fields.empty()) contents.sequences.push_back(sequence);
    fields.push_back(name.substr(slash + 1));
  }
  if (contents.sequences.empty()) {
    if (file.has("positions_2d") || file.has("positions_3d")) {
      fail(
          "{}: is a file of VideoPose3D's, not a dataset; make one of it with `posetape prepare "
          "h36m`, or `posetape prepare keypoints` for videos of your own",
          path);
    }
    fail("{}: no sequence in the file; name arrays '<sequence>/<field>', e.g. 'S1/Walk/0/pose_2d'",
         path);
  }
  return contents;
}

// Reads the fields of one sequence. Every message starts with file and array.
class SequenceReader {
 public:
  SequenceReader(const NpzReader& file, const std::string& path, const std::string& name)
      : file_(file), path_(path), name_(name) {}

  Sequence read(const std::vector<std::string>& fields) {
    for (const char* needed : {"pose_2d", "image_size"}) {
      if (!has(needed)) {
        fail("{}: sequence '{}' has no '{}' (it has {}); add the array '{}/{}'", path_, name_,
             needed, fmt::join(fields, ", "), name_, needed);
      }
    }
    Sequence sequence;
    sequence.name = name_;
    sequence.pose_2d = pose("pose_2d", 2);
    if (zeros_to_gaps(sequence.pose_2d)) had_zeros_.emplace_back("pose_2d");
    for (const auto& [field, member, gaps] : kFields) {
      if (!has(field)) continue;
      PoseArray array = pose(field, 3);
      if (array.frames() != sequence.frames()) {
        fail("{}: has {} frames, pose_2d has {}; cut both to the same frames", where(field),
             array.frames(), sequence.frames());
      }
      if (zeros_to_gaps(array)) had_zeros_.emplace_back(field);
      sequence.*member = std::move(array);
    }
    check_std(sequence);
    for (const auto& [field, member] : kWindowFields) {
      if (has(field)) sequence.*member = pose(field, 3);
    }
    sequence.refined_root = of_result(sequence, kRefinedRoot, 3);
    sequence.feet_down = of_result(sequence, kFeetDown, 2);
    sequence.confidence = confidence(sequence.pose_2d);
    sequence.image_size = image_size();
    sequence.fps_known = has("fps");
    if (sequence.fps_known) sequence.fps = fps();
    sequence.intrinsics = numbers<9>(kIntrinsics, "fx, fy, cx, cy, k1, k2, p1, p2, k3");
    sequence.up = numbers<3>(kUp, "the direction up in camera space");
    if (sequence.intrinsics && !((*sequence.intrinsics)[0] > 0 && (*sequence.intrinsics)[1] > 0)) {
      fail("{}: focal lengths must be above 0 pixels, found {} and {}", where(kIntrinsics),
           (*sequence.intrinsics)[0], (*sequence.intrinsics)[1]);
    }
    if (sequence.up && std::ranges::count(*sequence.up, 0.0) == 3) {
      fail("{}: expected a direction, found 0, 0, 0", where(kUp));
    }
    return sequence;
  }

  // Whether some of its joints were at zero, as programs write what is missing.
  bool had_zeros(const char* field) const {
    return std::ranges::find(had_zeros_, std::string_view(field)) != had_zeros_.end();
  }

  std::string where(const char* field) const {
    return fmt::format("{}: array '{}/{}'", path_, name_, field);
  }

 private:
  std::string key(const char* field) const { return fmt::format("{}/{}", name_, field); }
  bool has(const char* field) const { return file_.has(key(field)); }

  NpyArray floats(const char* field) const {
    NpyArray array = file_.read(key(field));
    if (array.type != NpyType::f4 && array.type != NpyType::f8) {
      fail("{}: expected float32 or float64, found {}; convert it with .astype('float32')",
           where(field), type_name(array.type));
    }
    return array;
  }

  // Nothing where nothing is known and no joint is missing.
  std::optional<std::vector<float>> confidence(const PoseArray& pose_2d) const {
    std::vector<float> values(pose_2d.values.size() / 2, 1);
    bool known = has(kConfidence);
    if (known) {
      const NpyArray array = floats(kConfidence);
      if (array.shape != std::vector<std::int64_t>{pose_2d.frames(), kJoints}) {
        fail("{}: expected shape ({}, {}), found {}; store one number for each joint of pose_2d",
             where(kConfidence), pose_2d.frames(), kJoints, shape_text(array.shape));
      }
      values = array.as<float>();
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!(values[i] >= 0 && values[i] <= 1)) {
        fail("{}: expected numbers from 0 to 1, found {} in frame {}, joint {}; scale them",
             where(kConfidence), values[i], i / kJoints, i % kJoints);
      }
      if (std::isfinite(pose_2d.values[2 * i]) && std::isfinite(pose_2d.values[2 * i + 1]))
        continue;
      values[i] = 0;
      known = true;
    }
    if (!known) return std::nullopt;
    return values;
  }

  // Numbers of each frame that stand beside refined_3d.
  std::optional<std::vector<float>> of_result(const Sequence& sequence, const char* field,
                                              std::int64_t numbers) const {
    if (!has(field)) return std::nullopt;
    const NpyArray array = floats(field);
    if (!sequence.refined_3d) {
      fail("{}: stands without refined_3d, to which it belongs; leave it out", where(field));
    }
    if (array.shape != std::vector<std::int64_t>{sequence.frames(), numbers}) {
      fail("{}: expected shape ({}, {}), found {}; store {} numbers a frame", where(field),
           sequence.frames(), numbers, shape_text(array.shape), numbers);
    }
    std::vector<float> values = array.as<float>();
    if (const auto bad = first_not_finite(values)) {
      fail("{}: found {} in frame {}; leave it out", where(field), bad->value,
           bad->index / numbers);
    }
    return values;
  }

  PoseArray pose(const char* field, int channels) const {
    const NpyArray array = floats(field);
    const auto& shape = array.shape;
    if (shape.size() != 3 || shape[1] != kJoints || shape[2] != channels) {
      fail("{}: expected shape (frames, {}, {}), found {}; {}", where(field), kJoints, channels,
           shape_text(shape), shape_hint(shape, channels));
    }
    if (shape[0] == 0) fail("{}: has no frames; leave the sequence out", where(field));
    constexpr std::int64_t kMostFrames = std::numeric_limits<int>::max() / (3 * kJoints);
    if (shape[0] > kMostFrames) {
      fail("{}: has {} frames, {} at most; split the sequence", where(field), shape[0],
           kMostFrames);
    }
    return {channels, array.as<float>()};
  }

  void check_std(const Sequence& sequence) const {
    if (!sequence.refined_std) return;
    if (!sequence.refined_3d) {
      fail("{}: stands without refined_3d, of which it says how sure it is; leave it out",
           where("refined_std"));
    }
    const std::vector<float>& values = sequence.refined_std->values;
    const auto negative = std::ranges::find_if(values, [](float v) { return v < 0; });
    if (negative == values.end()) return;
    const auto at = static_cast<std::size_t>(negative - values.begin());
    fail("{}: expected standard deviations, 0 or more, found {} in frame {}, joint {}",
         where("refined_std"), *negative, at / (3 * kJoints), at / 3 % kJoints);
  }

  static std::string shape_hint(std::span<const std::int64_t> shape, int channels) {
    if (shape.size() == 4) return "store every person or camera as a sequence of its own";
    if (shape.size() != 3) return "put frames first, then joints, then coordinates";
    if (shape[1] != kJoints) return "choose the 17 joints of Human3.6M in their order";
    if (channels == 2 && shape[2] == 3)
      return "a third column of confidences is an array of its own, 'confidence'";
    return fmt::format("store {} coordinates a joint", channels);
  }

  std::array<std::int32_t, 2> image_size() const {
    const NpyArray array = file_.read(key("image_size"));
    const std::vector<double> size = array.as<double>();
    if (array.shape != std::vector<std::int64_t>{2}) {
      fail("{}: expected shape (2,), found {}; store width and height in pixels",
           where("image_size"), shape_text(array.shape));
    }
    for (const double extent : size) {
      if (!(extent >= 1 && extent <= 1e6 && extent == std::floor(extent))) {
        fail(
            "{}: expected width and height in pixels, found {} and {}; store two positive "
            "whole numbers",
            where("image_size"), size[0], size[1]);
      }
    }
    return {static_cast<std::int32_t>(size[0]), static_cast<std::int32_t>(size[1])};
  }

  float fps() const {
    const NpyArray array = file_.read(key("fps"));
    if (array.size() != 1) {
      fail("{}: expected one number, found shape {}; store frames per second as a scalar",
           where("fps"), shape_text(array.shape));
    }
    const auto value = array.as<float>()[0];
    if (!(value > 0) || !std::isfinite(value)) {
      fail("{}: expected frames per second above 0, found {}; store the camera's rate",
           where("fps"), value);
    }
    return value;
  }

  template <std::size_t N>
  std::optional<std::array<double, N>> numbers(const char* field, const char* what) const {
    if (!has(field)) return std::nullopt;
    const std::vector<double> values = floats(field).as<double>();
    const auto finite = [](double v) { return std::isfinite(v); };
    if (values.size() != N || !std::ranges::all_of(values, finite)) {
      fail("{}: expected {} numbers ({}), found {} or what is not finite", where(field), N, what,
           values.size());
    }
    std::array<double, N> result;
    std::ranges::copy(values, result.begin());
    return result;
  }

  const NpzReader& file_;
  const std::string& path_;
  const std::string& name_;
  std::vector<std::string_view> had_zeros_;
};

// Bridges the gaps of a sequence and notes them in the report. Returns what is wrong with the first
// field that has a gap which is not bridged.
std::optional<std::string> bridge_gaps(Sequence& sequence, const SequenceReader& reader,
                                       ReadReport& report) {
  std::vector<ReadReport::Bridged> bridged;
  const auto bridge = [&](const char* name, PoseArray& poses,
                          const char* why) -> std::optional<std::string> {
    const int longest = why == nullptr ? longest_gap(sequence.fps) : 0;
    GapCount count;
    const std::vector<Gap> gaps = fill_gaps(poses, longest, count);
    if (count.joints > 0) bridged.push_back({sequence.name, name, count.joints, count.frames});
    if (gaps.empty()) return std::nullopt;
    return fmt::format("{}: {}{}; {}", reader.where(name), gaps_text(gaps),
                       reader.had_zeros(name) ? " (all zeros count as missing)" : "",
                       why != nullptr
                           ? why
                           : fmt::format("at most {} frames ({} s) are interpolated, so repair it",
                                         longest, kLongestGapSeconds));
  };
  if (auto wrong = bridge("pose_2d", sequence.pose_2d, nullptr)) return wrong;
  for (const Field& field : kFields) {
    auto& array = sequence.*field.member;
    if (!array) continue;
    if (auto wrong = bridge(field.name, *array, field.gaps)) return wrong;
  }
  for (const auto& [name, member] : kWindowFields) {
    auto& array = sequence.*member;
    if (!array) continue;
    if (auto wrong = bridge(name, *array, "it is not interpolated, so make it again")) return wrong;
  }
  report.bridged.insert(report.bridged.end(), bridged.begin(), bridged.end());
  return std::nullopt;
}

std::string read_text(const NpzReader& file, const char* name, const std::string& path) {
  if (!file.has(name)) return {};
  const NpyArray array = file.read(name);
  if (array.type != NpyType::u1 || array.shape.size() > 1) {
    fail(
        "{}: array '{}': expected text as uint8 of one dimension, found {} of shape {}; write it "
        "with numpy.frombuffer(text.encode(), 'uint8')",
        path, name, type_name(array.type), shape_text(array.shape));
  }
  return {reinterpret_cast<const char*>(array.bytes.data()), array.bytes.size()};
}

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::string line;
  for (const char c : text + '\n') {
    if (c != '\n') {
      if (c != '\r') line += c;
    } else if (!line.empty()) {
      lines.push_back(std::exchange(line, {}));
    }
  }
  return lines;
}

// ---- Writing ----

NpyView pose_view(const PoseArray& pose) {
  return npy_view<float>({pose.frames(), kJoints, pose.channels}, pose.values);
}

void check_sequence(const std::string& path, const Sequence& sequence) {
  const auto check = [&](const char* field, const PoseArray& pose, int channels) {
    if (pose.channels != channels || pose.frames() != sequence.frames() || pose.frames() == 0 ||
        pose.values.size() % std::size_t(kJoints * channels) != 0) {
      fail(
          "{}: '{}/{}' has {} values of {} channels for {} frames, which is no (frames, {}, {}); "
          "fill the sequence before it is written",
          path, sequence.name, field, pose.values.size(), pose.channels, sequence.frames(), kJoints,
          channels);
    }
  };
  check("pose_2d", sequence.pose_2d, 2);
  if (sequence.confidence &&
      sequence.confidence->size() != std::size_t(kJoints) * std::size_t(sequence.frames())) {
    fail("{}: '{}/{}' has {} values for {} frames of {} joints; fill the sequence first", path,
         sequence.name, kConfidence, sequence.confidence->size(), sequence.frames(), kJoints);
  }
  for (const Field& field : kFields) {
    if (sequence.*field.member) check(field.name, *(sequence.*field.member), 3);
  }
}

}  // namespace

std::string_view Sequence::subject() const {
  return std::string_view(name).substr(0, name.find('/'));
}

std::string_view Sequence::action() const {
  std::string_view rest = clip();
  const std::size_t slash = rest.find('/');
  return slash == std::string_view::npos ? rest : rest.substr(slash + 1);
}

std::string FreeNames::take(const std::string& name) {
  std::string free = name;
  const std::size_t slash = std::min(name.rfind('/'), name.size());
  for (int n = 2; !taken_.insert(free).second; ++n) {
    free = fmt::format("{}_{}{}", name.substr(0, slash), n, name.substr(slash));
  }
  return free;
}

std::string_view Sequence::clip() const {
  const std::size_t first = name.find('/');
  const std::size_t last = name.rfind('/');
  return first == last ? std::string_view(name) : std::string_view(name).substr(0, last);
}

bool Dataset::is_test(const Sequence& sequence) const {
  return std::ranges::find(test_subjects, sequence.subject()) != test_subjects.end();
}

Dataset read_dataset(const std::string& path, const ReadOptions& options, ReadReport* report) {
  const NpzReader file(path);
  const Contents contents = list_contents(file, path);
  Dataset dataset;
  dataset.test_subjects = split_lines(read_text(file, kTestSubjects, path));
  dataset.metadata = read_text(file, kMetadata, path);
  ReadReport own;
  for (const std::string& name : contents.sequences) {
    SequenceReader reader(file, path, name);
    Sequence sequence = reader.read(contents.fields.at(name));
    if (const auto invalid = bridge_gaps(sequence, reader, own)) {
      if (!options.drop_invalid) {
        fail("{}, or leave the sequence out (--drop-invalid)", *invalid);
      }
      own.dropped.push_back(name);
      continue;
    }
    dataset.sequences.push_back(std::move(sequence));
  }
  if (dataset.sequences.empty()) {
    fail("{}: all {} sequences have NaN or infinite coordinates; repair the file", path,
         own.dropped.size());
  }
  if (report != nullptr) *report = std::move(own);
  return dataset;
}

void write_dataset(const std::string& path, const Dataset& dataset, const WriteOptions& options) {
  std::vector<NamedArray> arrays;
  for (const Sequence& sequence : dataset.sequences) {
    check_sequence(path, sequence);
    const auto add = [&](const char* field, NpyView view) {
      arrays.push_back({fmt::format("{}/{}", sequence.name, field), std::move(view)});
    };
    add("pose_2d", pose_view(sequence.pose_2d));
    for (const Field& field : kFields) {
      if (sequence.*field.member) add(field.name, pose_view(*(sequence.*field.member)));
    }
    for (const auto& [name, member] : kWindowFields) {
      if (sequence.*member) add(name, pose_view(*(sequence.*member)));
    }
    if (sequence.refined_root) {
      add(kRefinedRoot, npy_view<float>({sequence.frames(), 3}, *sequence.refined_root));
    }
    if (sequence.feet_down) {
      add(kFeetDown, npy_view<float>({sequence.frames(), 2}, *sequence.feet_down));
    }
    if (sequence.confidence) {
      add(kConfidence, npy_view<float>({sequence.frames(), kJoints}, *sequence.confidence));
    }
    add("image_size", npy_view<std::int32_t>({2}, sequence.image_size));
    if (sequence.fps_known) add("fps", npy_view<float>({}, std::span(&sequence.fps, 1)));
    if (sequence.intrinsics) add(kIntrinsics, npy_view<double>({9}, *sequence.intrinsics));
    if (sequence.up) add(kUp, npy_view<double>({3}, *sequence.up));
  }
  const auto add_text = [&](const char* name, const std::string& text) {
    if (text.empty()) return;
    const std::span bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
    arrays.push_back(
        {name, npy_view<std::uint8_t>({static_cast<std::int64_t>(text.size())}, bytes)});
  };
  const std::string subjects = fmt::format("{}", fmt::join(dataset.test_subjects, "\n"));
  add_text(kTestSubjects, subjects);
  add_text(kMetadata, dataset.metadata);
  arrays.insert(arrays.end(), options.also.begin(), options.also.end());
  write_npz(path, arrays, {options.deflate_level});
}

}  // namespace posetape::data
