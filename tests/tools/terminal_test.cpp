// Text for terminals: plots, the progress line, and what the log of training says of gradients.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "engine/parameters.hpp"
#include "tools/plot.hpp"
#include "tools/progress.hpp"
#include "tools/training.hpp"

using namespace posetape;
using namespace posetape::tools;

namespace {

const PlotStyle kAscii{.utf8 = false, .colour = false, .width = 9, .height = 5};
const PlotStyle kBraille{.utf8 = true, .colour = false, .width = 3, .height = 2};

}  // namespace

TEST_CASE("a curve in ASCII") {
  CHECK(curve("loss", {1, 2, 3}, {5, 1, 3}, "epoch", kAscii) ==
        "loss\n"
        "5 +*\n"
        "  | *\n"
        "  |  *    **\n"
        "  |   * **\n"
        "1 +    *\n"
        "   1       3 epoch\n");
}

TEST_CASE("a curve in braille") {
  // Up the diagonal of 6 x 8 dots.
  CHECK(curve("y", {0, 1}, {0, 2.5}, "x", kBraille) ==
        "y\n"
        "2.5 ┤ ⢀⠎\n"
        "  0 ┤⡰⠁\n"
        "     0 1 x\n");
}

TEST_CASE("curves of one point, of none, and with gaps") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string one = curve("y", {7}, {2}, "epoch", kAscii);
  CHECK(one.find("2 +*\n   7 epoch\n") != std::string::npos);
  CHECK(curve("y", {1, 2}, {nan, std::numeric_limits<double>::infinity()}, "epoch", kAscii) ==
        "y: nothing to draw\n");
  CHECK(curve("y", {1, 2, 3}, {5, nan, 3}, "epoch", kAscii) ==
        curve("y", {1, 3}, {5, 3}, "epoch", kAscii));
}

TEST_CASE("bars share one scale and say their numbers") {
  PlotStyle style = kAscii;
  style.width = 20;
  const std::vector<BarColumn> columns{{"base", {10, 5}}, {"refined", {0, 2.5}}};
  CHECK(bars("mm", {"0-5", "5-10"}, columns, " %", style) ==
        "mm    base               refined\n"
        " 0-5  ########## 10.0 %\n"
        "5-10  ##### 5.0 %        ### 2.5 %\n");
  style.utf8 = true;
  CHECK(bars("mm", {"0-5", "5-10"}, columns, " %", style) ==
        "mm    base               refined\n"
        " 0-5  ██████████ 10.0 %\n"
        "5-10  █████ 5.0 %        ██▌ 2.5 %\n");
  style.colour = true;
  CHECK(bars("mm", {"0-5", "5-10"}, columns, " %", style).find("\x1b[34m██▌\x1b[0m 2.5 %") !=
        std::string::npos);
}

TEST_CASE("the progress line fits its terminal: the bar shrinks, then the end is cut") {
  const std::string figures = "90 frames/s  0:05 left  loss 1";
  CHECK(progress_line("train", 0.5, figures, 100) ==
        "train [############............]  50%  90 frames/s  0:05 left  loss 1");
  CHECK(progress_line("train", 0.5, figures, 58) ==
        "train [######......]  50%  90 frames/s  0:05 left  loss 1");
  CHECK(progress_line("train", 0.5, figures, 49) == "train  50%  90 frames/s  0:05 left  loss 1");
  CHECK(progress_line("train", 1, figures, 20) == "train 100%  90 fram");
  CHECK(progress_line("train", 1, figures, 0).empty());
}

TEST_CASE("a parameter belongs to a block, and blocks have the norms of their gradients") {
  CHECK(block_of("blocks.2.stc1.qkv.weight") == "blocks.2");
  CHECK(block_of("timestep.0.bias") == "timestep.0");
  CHECK(block_of("output.bias") == "output");
  CHECK(block_of("w") == "w");

  ParameterList list(64, DType::bf16, 1);
  for (const char* name : {"blocks.0.a", "blocks.1.a", "blocks.0.b"}) list.add(name, {2}, {});
  fill(list.entries()[0].gradient, 3);
  fill(list.entries()[1].gradient, -0.5);
  fill(list.entries()[2].gradient, 4);
  const auto norms = gradient_norms(list);
  REQUIRE(norms.size() == 2);
  CHECK(norms[0].first == "blocks.0");
  CHECK(norms[0].second == doctest::Approx(std::sqrt(50.0)));
  CHECK(norms[1].second == doctest::Approx(std::sqrt(0.5)));
}
