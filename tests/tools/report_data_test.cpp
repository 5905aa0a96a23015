// What the report computes: packed poses, and the conditional noise against errors of a known kind.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "data/windows.hpp"
#include "diffusion/sequences.hpp"
#include "engine/random_fill.hpp"
#include "tools/report/encoding.hpp"
#include "tools/report/noise.hpp"

using namespace posetape;
using namespace posetape::tools;
using doctest::Approx;

namespace {

std::vector<double> normals(Index count, std::uint64_t step) {
  const Tensor t = Tensor::empty({count}, DType::f64);
  fill_normal(t, 1, Stream::test, step);
  return t.to_doubles();
}

// Errors of every joint but the root: N(mean, deviation^2) in each coordinate, from frame to frame
// correlated by rho. The estimate is far away in every direction, so that it tells nothing of them.
data::Dataset dataset(int sequences, int frames, double mean, double deviation, double rho) {
  data::Dataset result;
  for (int s = 0; s < sequences; ++s) {
    data::Sequence sequence;
    sequence.name = "P" + std::to_string(s) + "/walk/0";
    sequence.image_size = {1000, 1000};
    const Index width = 3 * data::kJoints;
    const auto number = static_cast<std::uint64_t>(s);
    const std::vector<double> place = normals(frames * width, 2 * number);
    const std::vector<double> drawn = normals(frames * width, 2 * number + 1);
    std::vector<double> error(drawn);
    sequence.pose_2d = {2, std::vector<float>(static_cast<std::size_t>(frames) * 34, 500.0f)};
    data::PoseArray truth{3, {}};
    data::PoseArray noisy{3, {}};
    for (std::size_t i = 0; i < error.size(); ++i) {
      const auto w = static_cast<std::size_t>(width);
      if (i >= w) error[i] = rho * error[i - w] + std::sqrt(1 - rho * rho) * drawn[i];
      const bool root = i % w < 3;
      const double estimate = root ? 0 : 10 * place[i];
      noisy.values.push_back(static_cast<float>(estimate));
      truth.values.push_back(
          static_cast<float>(root ? 0 : estimate - (mean + deviation * error[i])));
    }
    sequence.pose_3d = truth;
    sequence.noisy_3d = noisy;
    result.sequences.push_back(sequence);
  }
  return result;
}

}  // namespace

TEST_CASE("base64 of zigzag varints of differences") {
  using report::encoded;
  // 1, -1 in units of 0.5; then +1 and +64: zigzag 2, 1; 2, 128 = 0x80 0x01.
  const std::vector<float> values{0.5f, -0.5f, 1.0f, 31.5f};
  CHECK(encoded(values, 2, 0.5) == "AgECgAE=");
  CHECK(encoded({}, 2, 0.5).empty());
}

TEST_CASE("bytes from the least to the most") {
  const std::vector<double> values{0.25, 0.75, 0.5};
  const nlohmann::ordered_json json = report::byte_scaled(values);
  CHECK(json["low"] == 0.25);
  CHECK(json["high"] == 0.75);
  CHECK(json["bytes"] == "AP+A");
}

TEST_CASE("JSON in a page cannot end its element") {
  const nlohmann::ordered_json json{{"name", "</script>\xff \xe4\xbd\xa0"}};
  CHECK(report::script_text(json) == R"({"name":"\u003c/script>\ufffd \u4f60"})");
}

TEST_CASE("the noise's figures are those of the errors' own distribution") {
  constexpr double kMean = 0.01;
  constexpr double kDeviation = 0.03;
  constexpr double kRho = 0.8;
  const data::Dataset poses = dataset(40, 250, kMean, kDeviation, kRho);
  const diffusion::ConditionalNoise noise = diffusion::ConditionalNoise::fit(
      diffusion::kErrorWidth, diffusion::kConditionWidth, 40,
      [&](Index i) { return diffusion::noise_rows(poses, static_cast<int>(i)); });
  const std::vector<int> all = data::all_sequences(poses);
  const nlohmann::ordered_json json =
      report::noise_json(noise, diffusion::NoiseKind::independent, poses, all, 1);

  CHECK(json["rank"] == 48);
  CHECK(json["scored"] == 10000);
  CHECK(json["mean"][5][1].get<double>() == Approx(1000 * kMean).epsilon(0.2));
  CHECK(json["spread"][0].get<double>() == Approx(1000 * kDeviation).epsilon(0.2));
  CHECK(json["covariance"][3][0].get<double>() ==
        Approx(1e6 * kDeviation * kDeviation).epsilon(0.1));
  CHECK(std::fabs(json["covariance"][3][1].get<double>()) < 1e5 * kDeviation * kDeviation);
  for (const std::size_t lag : {1, 2, 5}) {
    CHECK(json["correlation"][lag].get<double>() ==
          Approx(std::pow(kRho, static_cast<double>(lag))).epsilon(0.1));
  }
  CHECK(json["inside"][0].is_null());  // the root, which has no error
  for (std::size_t j = 1; j < data::kJoints; ++j) {
    CAPTURE(j);
    CHECK(json["inside"][j][9].get<double>() == Approx(0.5).epsilon(0.06));
    CHECK(json["inside"][j][17].get<double>() == Approx(0.9).epsilon(0.03));
    CHECK(json["inside"][j][19] == 1.0);
  }
  for (const char* table : {"real", "drawn"}) {
    CAPTURE(table);
    double near = 0;  // below 60 mm of a Gaussian of 30 mm whose mean is 17 mm away
    for (std::size_t bin = 0; bin < 6; ++bin) near += json[table][8][bin].get<double>();
    CHECK(near / 10000 == Approx(0.63).epsilon(0.1));
    CHECK(json[table][0][0] == 10000);
  }
  CHECK(json["examples"].size() == 10);
}
