#include "tools/report/inspection.hpp"

#include <fmt/format.h>
#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <optional>
#include <utility>

#include "data/evaluation.hpp"
#include "data/npz.hpp"
#include "data/protocol.hpp"
#include "data/windows.hpp"
#include "diffusion/sequences.hpp"
#include "engine/error.hpp"
#include "engine/taps.hpp"
#include "tools/report/encoding.hpp"

namespace posetape::tools::report {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kPose = 3 * data::kJoints;
constexpr std::size_t kShown = 9;  // frames of a window whose attention is kept
constexpr int kAttentionSteps = 4;
constexpr std::int64_t kLargest = 64;  // cells of a side of a map

// The window where refining changed the error most.
data::Window chosen_window(const data::Dataset& dataset, int index, int frames) {
  const std::vector<data::Window> windows = data::make_windows(dataset, std::array{index}, frames);
  const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(index)];
  if (!s.pose_3d || !s.noisy_3d || !s.refined_3d) return windows[windows.size() / 2];
  const auto changed = [&](const data::Window& w) {
    double sum = 0;
    for (int f = w.start; f < w.end(); ++f) {
      const data::JointErrors before = data::joint_distances(s, *s.noisy_3d, f);
      const data::JointErrors after = data::joint_distances(s, *s.refined_3d, f);
      for (std::size_t j = 0; j < after.size(); ++j) sum += after[j] - before[j];
    }
    return std::fabs(sum);
  };
  return *std::ranges::max_element(windows, {}, changed);
}

// The steps whose attention is kept, the first and the last among them.
std::vector<int> attention_steps(int steps) {
  const int count = std::min(steps, kAttentionSteps);
  std::vector<int> chosen;
  for (int i = 0; i < count; ++i)
    chosen.push_back(count == 1 ? 1 : 1 + i * (steps - 1) / (count - 1));
  return chosen;
}

void keep(const Taps& taps, std::map<std::string, Array>& arrays) {
  for (const Taps::Captured& c : taps.captured()) {
    Array& array = arrays[c.name];
    for (int i = 0; i < c.shape.rank(); ++i) array.shape.push_back(c.shape[i]);
    array.values = c.values;
  }
}

// Poses of a step that the network sees in another space than the camera's come back to it.
void turn_back(const Eigen::Matrix3d& rotation, std::map<std::string, Array>& arrays) {
  for (auto& [name, array] : arrays) {
    if (!name.ends_with(".x_k") && !name.ends_with(".x_hat")) continue;
    for (std::size_t i = 0; i < array.values.size(); i += 3) {
      Eigen::Map<Eigen::Vector3d> p(array.values.data() + i);
      p = (rotation.transpose() * p).eval();
    }
  }
}

const Array* find(const Inspection& inspection, const std::string& name) {
  const auto found = inspection.arrays.find(name);
  return found == inspection.arrays.end() ? nullptr : &found->second;
}

// The first F poses of a tapped array, which may have padding behind them.
std::string encoded_poses(const Inspection& inspection, const Array& array) {
  const std::size_t count =
      std::min(array.values.size(), static_cast<std::size_t>(inspection.frames) * kPose);
  const std::vector<float> values(array.values.begin(),
                                  array.values.begin() + static_cast<std::ptrdiff_t>(count));
  return encoded(values, kPose, kPoseUnit);
}

// Frame f of the inspection, the best that is known: the truth, else what refining made of it.
void append_pose(const Inspection& inspection, int f, std::vector<float>& poses) {
  const data::Sequence& s = *inspection.sequence;
  const auto& source = s.pose_3d ? s.pose_3d : s.refined_3d ? s.refined_3d : s.noisy_3d;
  const float* pose = source->frame(inspection.first_frame + f);
  for (std::size_t i = 0; i < kPose; ++i) poses.push_back(pose[i] - pose[i % 3]);
}

// Means of blocks of `pool` cells a side; those at the end are smaller where it does not divide.
std::vector<double> pooled(std::span<const double> map, std::int64_t size, std::int64_t pool) {
  const std::int64_t small = (size + pool - 1) / pool;
  const auto extent = [&](std::int64_t block) { return std::min(pool, size - block * pool); };
  std::vector<double> result(static_cast<std::size_t>(small * small), 0.0);
  for (std::int64_t q = 0; q < size; ++q) {
    for (std::int64_t k = 0; k < size; ++k) {
      const auto cells = static_cast<double>(extent(q / pool) * extent(k / pool));
      result[static_cast<std::size_t>(q / pool * small + k / pool)] +=
          map[static_cast<std::size_t>(q * size + k)] / cells;
    }
  }
  return result;
}

// One attention: [..., H, L, L] with the mean over whatever is before, or already averaged.
struct Map {
  std::int64_t heads = 0;
  std::int64_t size = 0;
  std::size_t count = 0;  // of [H, L, L] in `values`
  const std::vector<double>* values = nullptr;

  std::size_t one() const { return static_cast<std::size_t>(heads * size * size); }
  std::vector<double> mean() const {
    std::vector<double> sum(one(), 0.0);
    for (std::size_t i = 0; i < values->size(); ++i) sum[i % one()] += (*values)[i];
    for (double& v : sum) v /= static_cast<double>(count);
    return sum;
  }
};

Map map_of(const Array& array) {
  const std::size_t rank = array.shape.size();
  Map map{array.shape[rank - 3], array.shape[rank - 1], 0, &array.values};
  map.count = array.values.size() / map.one();
  return map;
}

// Whether an array's last dimensions are those of attention.
bool is_map(const std::vector<std::int64_t>& shape) {
  const bool positive = std::ranges::all_of(shape, [](std::int64_t n) { return n > 0; });
  return shape.size() >= 3 && positive && shape.back() == shape[shape.size() - 2];
}

// "step.<k>.blocks.<i>.<module>.<axis>.attention"
struct Name {
  int step = 0;
  std::string block;
  std::string axis;
};
bool parse(const std::string& text, Name& name) {
  constexpr std::string_view kEnd = ".attention";
  if (std::sscanf(text.c_str(), "step.%d.", &name.step) != 1 || !text.ends_with(kEnd)) return false;
  const std::string rest = text.substr(0, text.size() - kEnd.size());
  const std::size_t dot = rest.rfind('.');
  const std::size_t start = rest.find('.', 5) + 1;
  name.axis = rest.substr(dot + 1);
  if (dot <= start || (name.axis != "space" && name.axis != "time")) return false;
  name.block = rest.substr(start, dot - start);
  return true;
}

Json map_json(const Name& name, const Array& array, std::span<const int> shown) {
  const Map map = map_of(array);
  std::vector<double> mean = map.mean();
  const std::int64_t pool = (map.size + kLargest - 1) / kLargest;
  if (pool > 1) {
    const std::size_t one = map.one() / static_cast<std::size_t>(map.heads);
    std::vector<double> small;
    for (std::size_t at = 0; at < mean.size(); at += one) {
      const std::vector<double> part = pooled(std::span(mean).subspan(at, one), map.size, pool);
      small.insert(small.end(), part.begin(), part.end());
    }
    mean = small;
  }
  Json json{{"step", name.step},
            {"block", name.block},
            {"axis", name.axis},
            {"heads", map.heads},
            {"size", (map.size + pool - 1) / pool},
            {"pool", pool},
            {"mean", byte_scaled(mean)}};
  if (name.axis == "space" && map.count > 1) {
    std::vector<double> each;
    for (const int f : shown) {
      const auto start = map.values->begin() +
                         static_cast<std::ptrdiff_t>(static_cast<std::size_t>(f) * map.one());
      each.insert(each.end(), start, start + static_cast<std::ptrdiff_t>(map.one()));
    }
    json["each"] = byte_scaled(each);
  }
  return json;
}

}  // namespace

Inspection inspect_window(const diffusion::Refiner& refiner, const data::Convention& convention,
                          const data::Dataset& dataset, int sequence, int steps, bool attention) {
  const int frames = refiner.config().frames;
  const data::Window window = chosen_window(dataset, sequence, frames);
  const data::View view(dataset, convention, /*resample=*/false);
  diffusion::Inference refine = diffusion::refining(refiner, steps);
  Inspection inspection{
      &dataset.sequences[static_cast<std::size_t>(sequence)], window.start, window.length, {}};
  std::vector<std::string> path{"step.*.t", "step.*.x_k", "step.*.x_hat"};
  std::vector<std::string> space;
  if (attention) {
    for (const int k : attention_steps(steps)) {
      path.push_back(fmt::format("step.{}.*.time.attention", k));
      space.push_back(fmt::format("step.{}.*.space.attention", k));
    }
  }
  {
    const Taps taps(path);
    refine.batch(view.dataset(), std::array{window}, frames);
    keep(taps, inspection.arrays);
  }
  if (attention) {
    const Taps taps(space, {.whole_attention = true});
    refine.batch(view.dataset(), std::array{window}, frames);
    keep(taps, inspection.arrays);
  }
  if (const auto rotation = view.rotation(sequence)) turn_back(*rotation, inspection.arrays);
  return inspection;
}

namespace {

// What an inspection file says the refiner's space is turned by.
std::optional<Eigen::Matrix3d> inspected_rotation(const std::string& path,
                                                  const data::Dataset& dataset) {
  const Json about = data::provenance(dataset, "inspect");
  if (!about.is_object() || !about.contains("rotation")) return {};
  try {
    const auto values = about.at("rotation").get<std::array<std::array<double, 3>, 3>>();
    Eigen::Matrix3d rotation;
    for (int r = 0; r < 3; ++r) {
      for (int c = 0; c < 3; ++c) rotation(r, c) = values[std::size_t(r)][std::size_t(c)];
    }
    return rotation;
  } catch (const std::exception&) {
    fail(
        "{}: the rotation in its metadata is no 3 x 3 matrix; make the file with `posetape "
        "inspect`",
        path);
  }
}

}  // namespace

bool is_inspection(const std::string& path) {
  return data::NpzReader(path).has("schedule.alpha_bar");
}

Inspection read_inspection(const std::string& path, const data::Dataset& dataset) {
  const data::NpzReader file(path);
  const data::Sequence& sequence = dataset.sequences.front();
  Inspection inspection{&sequence, 0, sequence.frames(), {}};
  const std::size_t timesteps = inspected_schedule(path).size();
  for (const std::string& name : file.names()) {
    if (!name.starts_with("step.")) continue;
    const data::NpyArray array = file.read(name);
    const auto expect = [&](bool good, const std::string& shape) {
      if (good) return;
      fail("{}: is of shape {}, expected {}; make the file with `posetape inspect`",
           file.where(name), data::shape_text(array.shape), shape);
    };
    if (name.ends_with(".t")) {
      expect(array.size() == 1, "()");
      const double t = array.as<double>()[0];
      if (!(t >= 0 && t < static_cast<double>(timesteps))) {
        fail("{}: is {}, but the schedule ends at {}; make the file with `posetape inspect`",
             file.where(name), t, timesteps - 1);
      }
    } else if (name.ends_with(".x_k") || name.ends_with(".x_hat")) {
      expect(array.shape == std::vector<std::int64_t>{inspection.frames, data::kJoints, 3},
             fmt::format("({}, {}, 3)", inspection.frames, data::kJoints));
    } else if (name.ends_with(".space.attention")) {
      expect(is_map(array.shape) && array.shape.back() == data::kJoints &&
                 (array.shape.size() == 3 || array.shape[0] == inspection.frames),
             fmt::format("(heads, {0}, {0}) or ({1}, heads, {0}, {0})", data::kJoints,
                         inspection.frames));
    } else if (name.ends_with(".time.attention")) {
      expect(is_map(array.shape), "(heads, frames, frames), or more of them");
    } else {
      continue;
    }
    inspection.arrays[name] = {array.shape, array.as<double>()};
  }
  if (const auto rotation = inspected_rotation(path, dataset)) {
    turn_back(*rotation, inspection.arrays);
  }
  return inspection;
}

namespace {

// What an inspection file says of itself, and its arrays.
class StudyFile {
 public:
  StudyFile(const std::string& path, const data::Dataset& dataset) : path_(path), file_(path) {
    const Json metadata = Json::parse(dataset.metadata, nullptr, false);
    if (metadata.is_object()) about_ = metadata.value("inspect", Json::object());
  }

  bool has(const std::string& study) const { return about_.contains(study); }
  Json about(const std::string& study, const std::string& key) const {
    const Json& part = study.empty() ? about_ : about_.at(study);
    if (!part.is_object() || !part.contains(key)) {
      fail("{}: its metadata has no {}{}{}; make the file with `posetape inspect`", path_, study,
           study.empty() ? "" : " ", key);
    }
    return part.at(key);
  }
  std::vector<double> read(const std::string& name, const std::vector<std::int64_t>& shape) const {
    const data::NpyArray array = file_.read(name);
    if (array.shape != shape) {
      fail("{}: is of shape {}, expected {}; make the file with `posetape inspect`",
           file_.where(name), data::shape_text(array.shape), data::shape_text(shape));
    }
    return array.as<double>();
  }

 private:
  std::string path_;
  data::NpzReader file_;
  Json about_;
};

// [rows][17] of values.
Json rows_json(std::span<const double> values) {
  Json rows = Json::array();
  for (std::size_t at = 0; at < values.size(); at += data::kJoints) {
    rows.push_back(rounded_list(values.subspan(at, data::kJoints)));
  }
  return rows;
}

Json lens_json(const StudyFile& file) {
  const Json timesteps = file.about("", "timesteps");
  const Json streams = file.about("lens", "streams");
  const auto steps = static_cast<std::int64_t>(timesteps.size());
  const auto count = static_cast<std::int64_t>(streams.size());
  const std::vector<double> state = file.read("lens.state_mm", {steps, data::kJoints});
  const std::vector<double> error = file.read("lens.error_mm", {steps, count, data::kJoints});
  Json json{{"timesteps", timesteps},
            {"streams", streams},
            {"state", rows_json(state)},
            {"error", Json::array()}};
  const auto each = static_cast<std::size_t>(count * data::kJoints);
  for (std::size_t at = 0; at < error.size(); at += each) {
    json["error"].push_back(rows_json(std::span(error).subspan(at, each)));
  }
  return json;
}

Json ablation_json(const StudyFile& file) {
  const Json parts = file.about("ablation", "parts");
  const auto count = static_cast<std::int64_t>(parts.size());
  return {{"substitute", file.about("ablation", "substitute")},
          {"parts", parts},
          {"whole", rounded_list(file.read("ablation.whole_mm", {data::kJoints}))},
          {"error", rows_json(file.read("ablation.error_mm", {count, data::kJoints}))}};
}

// [3][F][17][C] -> [17][F], norms times `unit`.
Json norms_json(const std::vector<double>& values, std::int64_t frames, double unit) {
  const auto count = static_cast<std::size_t>(frames);
  const std::size_t channels = values.size() / (3 * count * data::kJoints);
  std::vector<double> norms;
  for (std::size_t j = 0; j < data::kJoints; ++j) {
    for (std::size_t f = 0; f < count; ++f) {
      double squares = 0;
      for (std::size_t c = 0; c < 3; ++c) {
        const std::size_t at = ((c * count + f) * data::kJoints + j) * channels;
        for (std::size_t i = at; i < at + channels; ++i) squares += values[i] * values[i];
      }
      norms.push_back(unit * std::sqrt(squares));
    }
  }
  return rounded_list(norms, 4);
}

Json saliency_json(const StudyFile& file, const std::string& path) {
  const data::NpzReader arrays(path);
  const auto shape = arrays.read("saliency.pose_2d").shape;
  if (shape.size() != 4) {
    fail(
        "{}: is of shape {}, expected (3, frames, 17, 2 or 3); make the file with `posetape "
        "inspect`",
        arrays.where("saliency.pose_2d"), data::shape_text(shape));
  }
  const std::int64_t frames = shape[1];
  const std::vector<double> noisy = file.read("saliency.noisy_3d", {3, frames, data::kJoints, 3});
  const std::vector<double> screen =
      file.read("saliency.pose_2d", {3, frames, data::kJoints, shape[3] == 3 ? 3 : 2});
  // 1000 mm a metre, for a hundredth of a metre and of a unit.
  return {{"joint", file.about("saliency", "joint")},
          {"frame", file.about("saliency", "frame")},
          {"first_frame", file.about("saliency", "first_frame")},
          {"frames", frames},
          {"noisy", norms_json(noisy, frames, 10)},
          {"screen", norms_json(screen, frames, 10)}};
}

}  // namespace

Json studies_json(const std::string& path, const data::Dataset& dataset) {
  const StudyFile file(path, dataset);
  Json studies = Json::object();
  if (file.has("lens")) studies["lens"] = lens_json(file);
  if (file.has("ablation")) studies["ablation"] = ablation_json(file);
  if (file.has("saliency")) studies["saliency"] = saliency_json(file, path);
  for (auto& [key, study] : studies.items()) study["name"] = dataset.sequences.front().name;
  return studies;
}

std::vector<double> inspected_schedule(const std::string& path) {
  const data::NpzReader file(path);
  const std::vector<double> schedule = file.read("schedule.alpha_bar").as<double>();
  const bool good = std::ranges::all_of(schedule, [](double a) { return a >= 0 && a <= 1; });
  if (schedule.empty() || !good) {
    fail("{}: is no noise schedule, which lies in [0, 1]; make the file with `posetape inspect`",
         file.where("schedule.alpha_bar"));
  }
  return schedule;
}

Json path_json(const Inspection& inspection) {
  const data::Sequence& s = *inspection.sequence;
  Json states = Json::array();
  for (int k = 1;; ++k) {
    const Array* t = find(inspection, fmt::format("step.{}.t", k));
    const Array* x = find(inspection, fmt::format("step.{}.x_k", k));
    const Array* x0 = find(inspection, fmt::format("step.{}.x_hat", k));
    if (t == nullptr || x == nullptr || x0 == nullptr) break;
    states.push_back({{"t", std::lround(t->values.at(0))},
                      {"x", encoded_poses(inspection, *x)},
                      {"x0", encoded_poses(inspection, *x0)}});
  }
  if (states.empty()) return nullptr;
  Json json{{"name", s.name},
            {"first_frame", inspection.first_frame},
            {"frames", inspection.frames},
            {"fps", s.fps},
            {"states", states}};
  if (s.pose_3d) {
    std::vector<float> truth;
    for (int f = 0; f < inspection.frames; ++f) append_pose(inspection, f, truth);
    json["truth"] = encoded(truth, kPose, kPoseUnit);
  }
  return json;
}

Json attention_json(const Inspection& inspection) {
  std::vector<int> shown;
  const std::size_t count = std::min(kShown, static_cast<std::size_t>(inspection.frames));
  for (std::size_t i = 0; i < count; ++i) {
    shown.push_back(
        static_cast<int>((2 * i + 1) * static_cast<std::size_t>(inspection.frames) / (2 * count)));
  }
  Json maps = Json::array();
  for (const auto& [text, array] : inspection.arrays) {
    Name name;
    if (!parse(text, name)) continue;
    Json map = map_json(name, array, shown);
    const Array* t = find(inspection, fmt::format("step.{}.t", name.step));
    if (t != nullptr) map["t"] = std::lround(t->values.at(0));
    maps.push_back(std::move(map));
  }
  if (maps.empty()) return nullptr;
  std::vector<float> poses;
  append_pose(inspection, inspection.frames / 2, poses);
  for (const int f : shown) append_pose(inspection, f, poses);
  return {{"name", inspection.sequence->name},
          {"first_frame", inspection.first_frame},
          {"frames", inspection.frames},
          {"shown", shown},
          {"poses", encoded(poses, kPose, kPoseUnit)},
          {"maps", std::move(maps)}};
}

}  // namespace posetape::tools::report
