#include "data/report_table.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>

#include "tests/data/files.hpp"

using namespace posetape::data;
using namespace posetape::test;

namespace {

Scores scores_of(double mpjpe) {
  Scores scores;
  scores.mpjpe = mpjpe;
  scores.p_mpjpe = mpjpe / 2;
  scores.mpjve = 3;
  scores.acceleration = 1.5;
  scores.joints.fill(mpjpe);
  return scores;
}

Evaluation evaluation_of(double walk, double sit) {
  Evaluation evaluation;
  evaluation.sequences = {
      {0, "S9/Sitting 1/0", "S9/Sitting 1", "Sitting", 1, 0, 0, 0, scores_of(sit)},
      {1, "S9/Walk/0", "S9/Walk", "Walk", 3, 2, 1, 2, scores_of(walk)}};
  evaluation.actions = {{"Sitting", 1, scores_of(sit)}, {"Walk", 3, scores_of(walk)}};
  evaluation.frames = 4;
  evaluation.average = scores_of((walk + sit) / 2);
  evaluation.poses = {sit, walk - 10, walk, walk + 200};
  return evaluation;
}

// Figures of the bootstrap that say what they are: 1xx of the base, 2xx of the refined poses.
Comparison comparison(const std::string& name = "refined") {
  Comparison c;
  c.name = name;
  c.base = evaluation_of(40, 60);
  c.refined = evaluation_of(38, 50);
  c.bootstrap.clips = 7;
  for (MetricIntervals& m : c.bootstrap.metrics) {
    m = {{150, 101, 199}, {250, 201, 299}, {-5, -8, 2}, {12, 10.5, 13}};
  }
  c.bootstrap.metrics[1].gain = {11, -2, 14};
  c.scoring = {{"protocol", "sequence"}, {"root", "set to zero, \"always\""}};
  c.refined_made = {{"windows", "27 frames every 9"}};
  return c;
}

Comparison base_alone() {
  Comparison c = comparison();
  c.refined.reset();
  return c;
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
                         "Sitting", "1",        "60.00",
                         "50.00",   "-16.67 %", "30.00",
                         "25.00",   "-16.67 %", "Walk",
                         "3",       "40.00",    "38.00",
                         "-5.00 %", "Average",  "4",
                         "50.00",   "44.00",    "-12.00 %"}));
  CHECK(has_parts(text, {"Average over the actions", "MPJPE (mm)", "50.00", "44.00",
                         "+12.00 % [+10.50, +13.00]", "P-MPJPE (mm)", "+11.00 % [-2.00, +14.00]",
                         "N-MPJPE (mm)", "MPJVE (mm/frame)", "3.00",
                         "Acceleration error (mm/frame^2)", "1.50", "Bone length error (mm)",
                         "Left/right asymmetry (mm)", "PCK@150 (%)", "AUC (%)", "Peak speed (%)"}));
  CHECK(has_parts(text, {"refined - base", "50.00 [101.00, 199.00]", "44.00 [201.00, 299.00]",
                         "-6.00 [-8.00, +2.00]", "7 clips"}));
  CHECK(has_parts(text, {"median", "50.00", "44.00", "30-35", "25.00 %", "from 150", "25.00 %"}));
  CHECK(has_parts(text, {"Joint", "Hip", "RKnee", "RWrist"}));
  const auto lines = lines_of(text);
  for (std::size_t i = 1; i < 5; ++i) CHECK(lines[i].size() == lines[0].size());
}

TEST_CASE("every report says how it was scored and how the poses were made") {
  const Comparison one = comparison();
  const std::span all(&one, 1);
  for (const std::string& text : {text_report(one), summary(all), markdown_report(all)}) {
    CAPTURE(text);
    CHECK(has_parts(text, {"Scored: protocol: sequence; root: set to zero",
                           "base: windows, padding and flip averaging are not recorded",
                           "refined: windows: 27 frames every 9"}));
  }
  for (const std::string& line : lines_of(csv_report(all))) {
    CHECK((has_parts(line, {"protocol: sequence"}) || line.starts_with("poses,")));
  }
  CHECK(json_report(one)["scoring"]["protocol"] == "sequence");
  CHECK(json_report(one)["base"]["made"].is_null());
  CHECK(json_report(one)["refined"]["made"]["windows"] == "27 frames every 9");
}

TEST_CASE("without a refined estimate there is nothing of one") {
  const Comparison alone = base_alone();
  const std::string text = text_report(alone);
  CAPTURE(text);
  CHECK(has_parts(text, {"Action", "frames", "MPJPE (mm)", "P-MPJPE (mm)", "Sitting", "60.00"}));
  for (const std::string& report :
       {text, markdown_report({&alone, 1}), csv_report({&alone, 1}), json_report(alone).dump()}) {
    CHECK_FALSE(has_parts(report, {"refined"}));
    CHECK_FALSE(has_parts(report, {"drop"}));
    CHECK_FALSE(has_parts(report, {"gain"}));
  }
}

TEST_CASE("what is not known is a dash in text, empty in CSV and null in JSON") {
  Comparison unknown = comparison();
  unknown.base.average.mpjve = NAN;
  unknown.refined->average.mpjve = NAN;
  unknown.bootstrap.metrics[0].gain = {12, NAN, NAN};
  unknown.bootstrap.metrics[3] = {
      {NAN, NAN, NAN}, {NAN, NAN, NAN}, {NAN, NAN, NAN}, {NAN, NAN, NAN}};
  const std::string text = text_report(unknown) + markdown_report({&unknown, 1});
  CAPTURE(text);
  CHECK(has_parts(text, {"+12.00 % [-]", "MPJVE (mm/frame)", " - ", " - ", " - "}));
  CHECK_FALSE(has_parts(text, {"nan"}));
  const std::string csv = csv_report({&unknown, 1});
  CHECK_FALSE(has_parts(csv, {"nan"}));
  CHECK(has_parts(csv, {"base,MPJVE,mm/frame,Average,,,,"}));
  const auto json = nlohmann::json::parse(json_report(unknown).dump());
  CHECK(json["base"]["average"]["mpjve_mm_per_frame"].is_null());
  CHECK(json["gain_percent"]["mpjpe"]["low"].is_null());
}

TEST_CASE("the tables of the paper: a column an action, a drop below each refinement") {
  const std::vector<Comparison> two{comparison("ours"), comparison("theirs")};
  const auto lines = lines_of(markdown_report(two));
  REQUIRE(lines.size() > 14);
  CHECK(lines[0] == "| MPJPE (mm) | Sitting | Walk | Average |");
  CHECK(lines[1] == "| --- | ---: | ---: | ---: |");
  CHECK(lines[2] == "| base | 60.00 | 40.00 | 50.00 |");
  CHECK(lines[3] == "| ours | 50.00 | 38.00 | 44.00 |");
  CHECK(lines[4] == "| drop (%) | 16.67 | 5.00 | 12.00 |");
  CHECK(lines[5] == "| theirs | 50.00 | 38.00 | 44.00 |");
  CHECK(lines[8] == "| P-MPJPE (mm) | Sitting | Walk | Average |");
  CHECK(lines[10] == "| base | 30.00 | 20.00 | 25.00 |");
  CHECK(has_parts(markdown_report(two), {"| Average [95 % interval] | base | ours | ours - base |",
                                         "50.00 [101.00, 199.00]", "-6.00 [-8.00, +2.00]"}));
}

TEST_CASE("the summary has a row a file, and counts the clips that it made worse") {
  // Sitting from 60 to 50 mm, walking from 40 to 38; and the other way round.
  std::vector<Comparison> two{comparison("ours"), comparison("theirs")};
  std::swap(two[1].base, *two[1].refined);
  const auto lines = lines_of(summary(two));
  CHECK(lines[0] ==
        "| poses | MPJPE (mm) | P-MPJPE (mm) | MPJVE (mm/frame) | acceleration (mm/frame²) | peak "
        "speed "
        "(%) | clips worse by 1 % |");
  CHECK(lines[2] == "| base | 50.00 | 25.00 | 3.00 | 1.50 | 0.00 | - |");
  CHECK(lines[3] ==
        "| ours | 44.00 (-12.0 %, -13.0 … -10.5) | 22.00 (-12.0 %, -14.0 … +2.0) | 3.00 | 1.50 | "
        "0.00 | "
        "0 of 2 |");
  CHECK(lines[4].ends_with("| 2 of 2 |"));
}

TEST_CASE("CSV has a line a figure, of nine fields") {
  const Comparison one = comparison();
  const auto lines = lines_of(csv_report({&one, 1}));
  CHECK(lines[0] == "poses,metric,unit,group,value,low,high,scored,made");
  const std::string scored = ",\"protocol: sequence; root: set to zero, \"\"always\"\"\",";
  const std::string made = "windows: 27 frames every 9";
  for (const std::string& line :
       {"base,MPJPE,mm,Sitting,60,," + scored +
            "\"windows, padding and flip averaging are not recorded in the file\"",
        "refined,MPJPE,mm,Average,44,201,299" + scored + made,
        "refined - base,P-MPJPE,mm,Average,-3,-8,2" + scored + made,
        "refined drop,MPJPE,%,Average,12,10.5,13" + scored + made,
        "refined,MPJPE of a pose,% of poses,from 150,25,," + scored + made}) {
    CAPTURE(line);
    CHECK(std::ranges::find(lines, line) != lines.end());
  }
}

TEST_CASE("the JSON has the same numbers, and the sequences") {
  const auto json = nlohmann::json::parse(json_report(comparison()).dump());
  CHECK(json["base"]["frames"] == 4);
  CHECK(json["base"]["average"]["mpjpe_mm"] == 50);
  CHECK(json["base"]["average_interval_95"]["mpjpe_mm"]["low"] == 101);
  CHECK(json["refined"]["average_interval_95"]["auc_percent"]["high"] == 299);
  CHECK(json["refined"]["average"]["p_mpjpe_mm"] == 22);
  CHECK(json["refined"]["actions"]["Walk"]["frames"] == 3);
  CHECK(json["refined"]["actions"]["Walk"]["mpjpe_mm"] == 38);
  CHECK(json["refined"]["actions"]["Walk"]["joints_mpjpe_mm"]["Hip"] == 38);
  CHECK(json["base"]["actions"]["Walk"]["joints_mpjpe_mm"].size() == 17);
  CHECK(json["base"]["sequences"][1]["name"] == "S9/Walk/0");
  CHECK(json["base"]["sequences"][1]["acceleration_error_mm_per_frame2"] == 1.5);
  CHECK(json["base"]["poses_mpjpe"]["quantiles_mm"]["0.5"] == 50);
  CHECK(json["base"]["poses_mpjpe"]["histogram_poses"][6] == 1);
  CHECK(json["change_percent"]["mpjpe_mm"] == doctest::Approx(-12));
  CHECK(json["difference_interval_95"]["mpjpe_mm"]["low"] == -8);
  CHECK(json["gain_percent"]["clips"] == 7);
  CHECK(json["gain_percent"]["p_mpjpe"]["low"] == -2);
}
