#include "data/report_table.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/data/files.hpp"

using namespace posetape::data;
using namespace posetape::test;

namespace {

Scores scores_of(double mpjpe) {
  Scores scores{mpjpe, mpjpe / 2, mpjpe / 4, 3, 1.5, {}};
  scores.joints.fill(mpjpe);
  return scores;
}

Evaluation evaluation_of(double walk, double sit) {
  Evaluation evaluation;
  evaluation.sequences = {
      {0, "S9/Sitting Down/0", "S9/Sitting Down", "Sitting", 10, scores_of(sit)},
      {1, "S9/Walk/0", "S9/Walk", "Walk", 1000, scores_of(walk)}};
  evaluation.actions = {{"Sitting", 10, scores_of(sit)}, {"Walk", 1000, scores_of(walk)}};
  evaluation.frames = 1010;
  evaluation.average = scores_of((walk + sit) / 2);
  return evaluation;
}

Comparison comparison() {
  return {evaluation_of(40, 60), evaluation_of(38, 50), Gains{7, {12, 10.5, 13}, {11, -2, 14}}};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

TEST_CASE("the text has every action, metric, unit, change and interval, aligned") {
  const std::string text = text_report(comparison());
  CAPTURE(text);
  CHECK(has_parts(text, {"Action",  "frames",   "MPJPE (mm) base",
                         "refined", "change",   "P-MPJPE (mm) base",
                         "Sitting", "10",       "60.00",
                         "50.00",   "-16.67 %", "30.00",
                         "25.00",   "-16.67 %", "Walk",
                         "1000",    "40.00",    "38.00",
                         "-5.00 %", "Average",  "1010",
                         "50.00",   "44.00",    "-12.00 %"}));
  CHECK(has_parts(text, {"Average over the actions", "MPJPE (mm)", "50.00", "44.00",
                         "+12.00 % [+10.50, +13.00]", "P-MPJPE (mm)", "+11.00 % [-2.00, +14.00]",
                         "N-MPJPE (mm)", "MPJVE (mm/frame)", "3.00",
                         "Acceleration error (mm/frame^2)", "1.50", "7 clips"}));
  CHECK(has_parts(text, {"Joint", "Hip", "RKnee", "RWrist"}));
  const auto lines = lines_of(text);
  for (std::size_t i = 1; i < 5; ++i) CHECK(lines[i].size() == lines[0].size());
}

TEST_CASE("without a refined estimate there is nothing of one") {
  const std::string text = text_report({evaluation_of(40, 60), {}, {}});
  CAPTURE(text);
  CHECK(has_parts(text, {"Action", "frames", "MPJPE (mm)", "P-MPJPE (mm)", "Sitting", "60.00"}));
  CHECK_FALSE(has_parts(text, {"refined"}));
  CHECK_FALSE(has_parts(text, {"%"}));
  CHECK_FALSE(json_report({evaluation_of(40, 60), {}, {}}).contains("refined"));
}

TEST_CASE("what is not known is a dash in text and null in JSON") {
  Comparison unknown = comparison();
  unknown.base.average.mpjve = NAN;
  unknown.refined->average.mpjve = NAN;
  unknown.gains->mpjpe = {12, NAN, NAN};
  const std::string text = text_report(unknown);
  CAPTURE(text);
  CHECK(has_parts(text, {"+12.00 % [-]", "MPJVE (mm/frame)", " - ", " - ", " - "}));
  CHECK_FALSE(has_parts(text, {"nan"}));
  const auto json = nlohmann::json::parse(json_report(unknown).dump());
  CHECK(json["base"]["average"]["mpjve_mm_per_frame"].is_null());
  CHECK(json["gain_percent"]["mpjpe"]["low"].is_null());
}

TEST_CASE("the JSON has the same numbers, and the sequences") {
  const auto json = nlohmann::json::parse(json_report(comparison()).dump());
  CHECK(json["base"]["frames"] == 1010);
  CHECK(json["base"]["average"]["mpjpe_mm"] == 50);
  CHECK(json["refined"]["average"]["p_mpjpe_mm"] == 22);
  CHECK(json["refined"]["actions"]["Walk"]["frames"] == 1000);
  CHECK(json["refined"]["actions"]["Walk"]["mpjpe_mm"] == 38);
  CHECK(json["refined"]["actions"]["Walk"]["joints_mpjpe_mm"]["Hip"] == 38);
  CHECK(json["base"]["actions"]["Walk"]["joints_mpjpe_mm"].size() == 17);
  CHECK(json["base"]["sequences"][1]["name"] == "S9/Walk/0");
  CHECK(json["base"]["sequences"][1]["acceleration_error_mm_per_frame2"] == 1.5);
  CHECK(json["change_percent"]["mpjpe_mm"] == doctest::Approx(-12));
  CHECK(json["gain_percent"]["clips"] == 7);
  CHECK(json["gain_percent"]["p_mpjpe"]["low"] == -2);
}
