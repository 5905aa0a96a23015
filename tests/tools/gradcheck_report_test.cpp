#include "tools/gradcheck_report.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "data/text_table.hpp"
#include "tools/gradcheck_html.hpp"

using namespace posetape;
using namespace posetape::tools;

namespace {

SuiteRow row_of(const std::string& check, Verdict verdict, double error, bool passed) {
  SuiteRow row;
  row.op = "op";
  row.case_name = "c";
  row.check = check;
  row.dtype = "f64";
  row.device = "cpu";
  row.verdict = verdict;
  row.error = error;
  row.trust = 1e-13;
  row.passed = passed;
  return row;
}

SuiteRun run_of(std::vector<SuiteRow> rows) {
  SuiteRun run;
  run.rows = std::move(rows);
  run.device = "cpu";
  return run;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("colours take no space in a table") {
  CHECK(data::text_table({{"a", "b"}, {"\x1b[31mred\x1b[0m", "µs"}}) ==
        "a     b\n---  --\n\x1b[31mred\x1b[0m  µs\n");
}

TEST_CASE("a skip is no failure where it was meant, and one where it was not") {
  const SuiteRun run = run_of({row_of("differences", Verdict::agree, 1e-12, true),
                               row_of("differences", Verdict::unresolved, 1e-8, true),
                               row_of("adjoint", Verdict::skipped, 0, true),
                               row_of("composite", Verdict::skipped, 0, false)});
  const Totals t = totals(run);
  CHECK(t.passed == 2);
  CHECK(t.failed == 1);
  CHECK(t.skipped == 1);
  CHECK(contains(skip_text(run), "adjoint"));
  CHECK(!contains(skip_text(run), "composite"));
  CHECK(contains(failure_text(run, false), "composite"));
}

TEST_CASE("failures stand for the others, then the worse verdict, then the larger error") {
  const auto first = [](std::vector<SuiteRow> rows) {
    Rows pointers;
    for (const SuiteRow& row : rows) pointers.push_back(&row);
    return worst(pointers);
  };
  const SuiteRow small = row_of("x", Verdict::agree, 1e-12, true);
  const SuiteRow large = row_of("x", Verdict::agree, 1e-10, true);
  const SuiteRow kink = row_of("x", Verdict::unresolved, 0, true);
  const SuiteRow failed = row_of("x", Verdict::unresolved, 0, false);
  const SuiteRow nothing = row_of("x", Verdict::disagree, std::nan(""), false);
  CHECK(first({small, large}).error == 1e-10);
  CHECK(first({large, kink, small}).verdict == Verdict::unresolved);
  CHECK(!first({kink, failed, large}).passed);
  CHECK(std::isnan(first({failed, nothing, large}).error));
  CHECK(first({row_of("x", Verdict::skipped, 0, true), small}).verdict == Verdict::agree);
}

TEST_CASE("groups are by op and input, inputs in order") {
  SuiteRow second = row_of("x", Verdict::agree, 0, true);
  second.input = 2;
  SuiteRow other = second;
  other.op = "model:whole";
  SuiteRow between = second;
  between.input = 1;
  between.case_name = "d";
  const SuiteRun run = run_of({row_of("x", Verdict::agree, 0, true), second, between, other});
  const std::vector<Group> groups = grouped(run);
  REQUIRE(groups.size() == 4);
  CHECK(groups[1].input == 1);
  CHECK(groups[2].input == 2);
  CHECK(groups[3].op == "model:whole");
}

TEST_CASE("numbers that are not finite are null, and errors in ULP say so") {
  SuiteRow ulp = row_of("ulp", Verdict::agree, 0.75, true);
  ulp.dtype = "f32";
  ulp.trust = 0.5;
  const SuiteRun run =
      run_of({row_of("x", Verdict::disagree, std::nan(""), false),
              row_of("x", Verdict::disagree, std::numeric_limits<double>::infinity(), false), ulp});
  const auto json = nlohmann::json::parse(json_report(run));
  CHECK(json["rows"][0]["error"].is_null());
  CHECK(json["rows"][1]["error"].is_null());
  CHECK(json["rows"][0]["verdict"] == "disagree");
  CHECK(json["rows"][2]["error"] == 0.75);
  CHECK(json["passed"] == 1);
  CHECK(json["failed"] == 2);
  CHECK(contains(group_table(run, false), "ulp f32"));
  CHECK(contains(group_table(run, false), " 0.8 "));
  // ULP are left out of what is relative.
  CHECK(trust(grouped(run)[0].rows) == 1e-13);
}

TEST_CASE("nothing in a row becomes markup") {
  SuiteRow row = row_of("<b>", Verdict::agree, 0, true);
  row.op = "<i>\"'&";
  row.case_name = "<u>";
  row.dtype = "<s>";
  row.device = "<p>";
  row.where = "<em>";
  row.note = "</script>";
  const std::string page = html_report(run_of({row}));
  for (const char* tag : {"<b>", "<i>", "<u>", "<s>", "<p>\"", "<em>"}) {
    CHECK_MESSAGE(!contains(page, tag), tag);
  }
  CHECK(contains(page, "&lt;i&gt;&quot;&#39;&amp;"));
  CHECK(page.find("</script>") == page.rfind("</script>"));
}
