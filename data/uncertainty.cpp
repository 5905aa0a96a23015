#include "data/uncertainty.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <nlohmann/json.hpp>
#include <utility>

#include "data/protocol.hpp"
#include "data/skeleton.hpp"
#include "engine/error.hpp"

namespace posetape::data {

using Json = nlohmann::ordered_json;

std::vector<double> values_of(const Regions& regions) {
  std::vector<double> values;
  for (const auto& axis : regions.multiples) values.insert(values.end(), axis.begin(), axis.end());
  return values;
}

Regions regions_of(std::span<const double> values, const std::string& source) {
  Regions regions;
  bool right = values.size() == 6;
  for (std::size_t i = 0; i < 6 && right; ++i) {
    const double below = i % 3 == 0 ? 0 : values[i - 1];
    right = values[i] > below && std::isfinite(values[i]);
    regions.multiples[i / 3][i % 3] = values[i];
  }
  if (!right) {
    fail(
        "{}: the regions of its standard deviations are not 3 numbers that rise from above 0 for "
        "each of 2 axes",
        source);
  }
  return regions;
}

Json to_json(const Regions& regions) {
  Json json = Json::object();
  for (std::size_t axis = 0; axis < 2; ++axis) json[kAxisNames[axis]] = regions.multiples[axis];
  return json;
}

Regions stored_regions(const Dataset& dataset) {
  const Json made = provenance(dataset, "refined_3d");
  if (made.is_null() || !made.contains(kRegions)) return {};
  std::vector<double> values;
  try {
    for (const char* axis : kAxisNames) {
      const auto three = made.at(kRegions).at(axis).get<std::vector<double>>();
      values.insert(values.end(), three.begin(), three.end());
    }
  } catch (const std::exception&) {
    values.clear();
  }
  return regions_of(values, "metadata, refined_3d");
}

namespace {

// Values with their weights.
class Weighted {
 public:
  void add(double value, double weight) {
    values_.emplace_back(value, weight);
    total_ += weight;
  }
  bool empty() const { return values_.empty(); }
  // The smallest value that this share of the weight does not exceed. Sorts.
  double quantile(double share) {
    std::ranges::sort(values_);
    double sum = 0;
    for (const auto& [value, weight] : values_) {
      sum += weight;
      if (sum >= share * total_) return value;
    }
    return values_.back().first;
  }

 private:
  std::vector<std::pair<double, double>> values_;
  double total_ = 0;
};

// Calls f(joint, coordinate, value, weight) for each residual but the root's.
template <class F>
void for_each(const Residuals& person, const F& f) {
  constexpr std::size_t kPose = 3 * kJoints;
  const std::size_t frames = person.values.size() / kPose;
  const double weight = 1 / std::sqrt(static_cast<double>(frames));
  for (std::size_t i = 0; i < person.values.size(); ++i) {
    const auto at = static_cast<int>(i % kPose);
    if (at >= 3) f(at / 3, at % 3, double{person.values[i]}, weight);
  }
}

constexpr std::size_t kMiddle = 1;  // of kRegionShares: the region that sets the scale

}  // namespace

std::array<double, 2> reach_of(std::span<const Residuals> people, bool known) {
  std::array<Weighted, 2> axes;
  for (const Residuals& person : people) {
    if (person.known != known) continue;
    for_each(person, [&](int, int c, double value, double weight) {
      axes[std::size_t(axis_of(c))].add(value, weight);
    });
  }
  std::array<double, 2> reach{};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    if (!axes[axis].empty()) reach[axis] = axes[axis].quantile(kRegionShares[kMiddle]);
  }
  return reach;
}

Calibration calibrate(std::span<const Residuals> people) {
  Calibration result;
  const auto known = reach_of(people, true);
  const auto unknown = reach_of(people, false);
  if (known[0] == 0 && unknown[0] == 0) fail("there is nobody to calibrate on");
  for (std::size_t axis = 0; axis < 2; ++axis) {
    if (known[axis] == 0 || unknown[axis] == 0) continue;
    result.unknown_over_known[axis] = unknown[axis] / known[axis];
  }
  const auto adjusted = [&](const Residuals& person, int c, double value) {
    return person.known ? value * result.unknown_over_known[std::size_t(axis_of(c))] : value;
  };
  std::array<std::array<Weighted, 2>, kJoints> joints;  // by the lesser joint of a pair
  const auto pair_of = [](int joint) {
    return std::size_t(std::min(joint, kMirror[std::size_t(joint)]));
  };
  for (const Residuals& person : people) {
    for_each(person, [&](int joint, int c, double value, double weight) {
      joints[pair_of(joint)][std::size_t(axis_of(c))].add(adjusted(person, c, value), weight);
    });
  }
  for (int i = 3; i < 3 * kJoints; ++i) {
    const auto axis = std::size_t(axis_of(i));
    const double reach = joints[pair_of(i / 3)][axis].quantile(kRegionShares[kMiddle]);
    result.factors[std::size_t(i)] = reach / result.regions.multiples[axis][kMiddle];
  }
  std::array<Weighted, 2> all;
  for (const Residuals& person : people) {
    for_each(person, [&](int joint, int c, double value, double weight) {
      all[std::size_t(axis_of(c))].add(
          adjusted(person, c, value) / result.factors[std::size_t(3 * joint + c)], weight);
    });
  }
  for (std::size_t axis = 0; axis < 2; ++axis) {
    for (std::size_t r = 0; r < kRegionShares.size(); ++r) {
      if (r != kMiddle) result.regions.multiples[axis][r] = all[axis].quantile(kRegionShares[r]);
    }
  }
  return result;
}

double Coverage::share(int joint, int axis, int region) const {
  std::int64_t in = 0;
  for (std::size_t j = 0; j < kJoints; ++j) {
    if (joint == 0 || j == std::size_t(joint)) {
      in += inside[j][std::size_t(axis)][std::size_t(region)];
    }
  }
  return 100 * static_cast<double>(in) / static_cast<double>(counted(joint, axis));
}

std::int64_t Coverage::counted(int joint, int axis) const {
  if (joint != 0) return count[std::size_t(joint)][std::size_t(axis)];
  std::int64_t all = 0;
  for (const auto& own : count) all += own[std::size_t(axis)];
  return all;
}

double Coverage::std_mm(int axis) const {
  return 1000 * std::sqrt(square_std[std::size_t(axis)] / static_cast<double>(counted(0, axis)));
}

double Coverage::error_mm(int axis) const {
  return 1000 * std::sqrt(square_error[std::size_t(axis)] / static_cast<double>(counted(0, axis)));
}

Coverage coverage(const Dataset& dataset, std::span<const int> sequences, const Regions& regions) {
  Coverage result;
  for (const int index : sequences) {
    const Sequence& s = dataset.sequences.at(static_cast<std::size_t>(index));
    for (int f = 0; f < s.frames(); ++f) {
      const float* truth = s.pose_3d->frame(f);
      const float* pose = s.refined_3d->frame(f);
      const float* std = s.refined_std->frame(f);
      for (int i = 3; i < 3 * kJoints; ++i) {
        const double error = double{pose[i]} - (double{truth[i]} - truth[i % 3]);
        const auto joint = std::size_t(i / 3);
        const auto axis = std::size_t(axis_of(i));
        ++result.count[joint][axis];
        result.square_std[axis] += double{std[i]} * std[i];
        result.square_error[axis] += error * error;
        for (std::size_t r = 0; r < kRegionShares.size(); ++r) {
          const bool in = std::abs(error) <= regions.multiples[axis][r] * std[i];
          result.inside[joint][axis][r] += in ? 1 : 0;
        }
      }
    }
  }
  return result;
}

bool knows_std(const Dataset& dataset, std::span<const int> sequences) {
  return std::ranges::all_of(sequences, [&](int index) {
    const Sequence& s = dataset.sequences.at(static_cast<std::size_t>(index));
    return s.pose_3d && s.refined_3d && s.refined_std;
  });
}

PoseArray std_of_logarithms(PoseArray logarithms) {
  constexpr std::size_t kPose = 3 * kJoints;
  for (std::size_t i = 0; i < logarithms.values.size(); ++i) {
    float& value = logarithms.values[i];
    value = i % kPose < 3 ? 0.0F : std::exp(value);
  }
  return logarithms;
}

void rotate_std(PoseArray& std, const Eigen::Matrix3d& rotation) {
  const Eigen::Matrix3d squares = rotation.cwiseAbs2();
  for (std::size_t i = 0; i < std.values.size(); i += 3) {
    Eigen::Map<Eigen::Vector3f> s(std.values.data() + i);
    const Eigen::Vector3d variances = squares * s.cast<double>().cwiseAbs2();
    s = variances.cwiseSqrt().cast<float>();
  }
}

}  // namespace posetape::data
