// Plots of text, for terminals and logs.
#pragma once

#include <string>
#include <vector>

namespace posetape::tools {

struct PlotStyle {
  bool utf8 = true;     // braille dots and blocks; else ASCII
  bool colour = false;  // ANSI escape codes
  int width = 60;       // columns of the plot itself
  int height = 8;       // rows of a curve
};
// What standard output can show.
PlotStyle plot_style();

// One line over x, with the range of both at its axes. Values that are not finite are left out.
std::string curve(const std::string& title, const std::vector<double>& x,
                  const std::vector<double>& y, const std::string& x_name, const PlotStyle& style);

// Bars from left to right, one row a label and one column of bars a series, all to one scale, each
// with its number. `columns[i].values` are as many as labels.
struct BarColumn {
  std::string name;
  std::vector<double> values;
};
std::string bars(const std::string& title, const std::vector<std::string>& labels,
                 const std::vector<BarColumn>& columns, const std::string& unit,
                 const PlotStyle& style);

}  // namespace posetape::tools
