#include "tools/plot.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ranges>

#include "tools/terminal.hpp"

namespace posetape::tools {
namespace {

// Dots in cells of 2 x 4 (braille), or of one (ASCII).
class Canvas {
 public:
  Canvas(const PlotStyle& style)
      : across_(style.utf8 ? 2 : 1),
        down_(style.utf8 ? 4 : 1),
        columns_(style.width),
        cells_(static_cast<std::size_t>(style.width * style.height), 0) {}

  int width() const { return across_ * columns_; }
  int height() const { return down_ * static_cast<int>(cells_.size()) / columns_; }

  void dot(int x, int y) {
    // Bits of a braille cell, row by row: U+2800 plus their sum is its character.
    constexpr std::array<std::array<int, 2>, 4> kBits{
        {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}};
    const auto cell = static_cast<std::size_t>(y / down_ * columns_ + x / across_);
    cells_[cell] |=
        kBits[static_cast<std::size_t>(y % down_)][static_cast<std::size_t>(x % across_)];
  }

  void line(int x0, int y0, int x1, int y1) {
    const int steps = std::max({std::abs(x1 - x0), std::abs(y1 - y0), 1});
    for (int i = 0; i <= steps; ++i) {
      const double part = static_cast<double>(i) / steps;
      dot(x0 + static_cast<int>(std::lround(part * (x1 - x0))),
          y0 + static_cast<int>(std::lround(part * (y1 - y0))));
    }
  }

  std::string row(int r) const {
    std::string text;
    for (int c = 0; c < columns_; ++c) {
      const int bits = cells_[static_cast<std::size_t>(r * columns_ + c)];
      if (bits == 0) {
        text += ' ';
      } else if (down_ == 1) {
        text += '*';
      } else {  // U+2800 ... U+28FF in UTF-8
        text +=
            {'\xe2', static_cast<char>(0xa0 | bits >> 6), static_cast<char>(0x80 | (bits & 0x3f))};
      }
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
  }

 private:
  int across_, down_, columns_;
  std::vector<int> cells_;
};

std::string coloured(const std::string& text, const char* code, const PlotStyle& style) {
  return style.colour && !text.empty() ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
}

std::string spaces(std::size_t count) {
  return std::string(count, ' ');
}

// A bar of `length` columns, and how many columns its text takes.
std::pair<std::string, std::size_t> bar(double length, const PlotStyle& style) {
  const int eighths = static_cast<int>(std::lround(8 * length));
  if (!style.utf8) {
    const auto columns = static_cast<std::size_t>(std::lround(length));
    return {std::string(columns, '#'), columns};
  }
  std::string text;
  for (int i = 0; i < eighths / 8; ++i) text += "█";
  constexpr std::array<const char*, 8> kParts{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int rest = eighths % 8;
  text += kParts[static_cast<std::size_t>(rest)];
  return {text, static_cast<std::size_t>(eighths / 8 + (rest > 0 ? 1 : 0))};
}

}  // namespace

PlotStyle plot_style() {
  PlotStyle style;
  style.utf8 = is_utf8();
  style.colour = wants_colour(STDOUT_FILENO);
  return style;
}

std::string curve(const std::string& title, const std::vector<double>& x,
                  const std::vector<double>& y, const std::string& x_name, const PlotStyle& style) {
  std::vector<std::pair<double, double>> points;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isfinite(y[i])) points.emplace_back(x[i], y[i]);
  }
  if (points.empty()) return fmt::format("{}: nothing to draw\n", title);
  const auto [low, high] =
      std::ranges::minmax(y | std::views::filter([](double v) { return std::isfinite(v); }));
  const double left = points.front().first;
  const double right = points.back().first;
  Canvas canvas(style);
  const auto place = [](double v, double from, double to, int dots) {
    return to > from ? static_cast<int>(std::lround((v - from) / (to - from) * (dots - 1))) : 0;
  };
  int before_x = 0;
  int before_y = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const int dot_x = place(points[i].first, left, right, canvas.width());
    const int dot_y = canvas.height() - 1 - place(points[i].second, low, high, canvas.height());
    if (i == 0) canvas.dot(dot_x, dot_y);
    if (i > 0) canvas.line(before_x, before_y, dot_x, dot_y);
    before_x = dot_x;
    before_y = dot_y;
  }

  const std::string top = fmt::format("{:.5g}", high);
  const std::string bottom = fmt::format("{:.5g}", low);
  const std::size_t margin = std::max(top.size(), bottom.size());
  std::string text = title + '\n';
  for (int r = 0; r < style.height; ++r) {
    const bool labelled = r == 0 || r == style.height - 1;
    const std::string& label = r == 0 ? top : bottom;
    text += labelled ? spaces(margin - label.size()) + label : spaces(margin);
    text += style.utf8 ? (labelled ? " ┤" : " │") : (labelled ? " +" : " |");
    text += coloured(canvas.row(r), "36", style) + '\n';
  }
  const std::string first = fmt::format("{:g}", left);
  const std::string last = fmt::format("{:g} {}", right, x_name);
  const auto width = static_cast<std::size_t>(style.width);
  text += spaces(margin + 2) + first;
  if (right > left) {
    const std::size_t end = fmt::format("{:g}", right).size();
    text += spaces(width > first.size() + end ? width - first.size() - end : 1) + last;
  } else {
    text += ' ' + x_name;
  }
  return text + '\n';
}

std::string bars(const std::string& title, const std::vector<std::string>& labels,
                 const std::vector<BarColumn>& columns, const std::string& unit,
                 const PlotStyle& style) {
  double most = 0;
  for (const BarColumn& column : columns) {
    for (const double v : column.values) most = std::max(most, v);
  }
  std::size_t margin = title.size();
  for (const std::string& label : labels) margin = std::max(margin, label.size());
  const int room = std::max(10, style.width / static_cast<int>(columns.size()));
  std::size_t numbers = 0;  // the widest number, with its unit
  const auto number = [&](double v) { return fmt::format(" {:.1f}{}", v, unit); };
  for (const BarColumn& column : columns) {
    for (const double v : column.values) numbers = std::max(numbers, number(v).size());
  }
  const std::size_t full = static_cast<std::size_t>(room) + numbers;

  // Base and refined poses in the paper's green and blue, others as they come.
  constexpr std::array<const char*, 5> kColours{"32", "34", "35", "33", "36"};
  std::string text = title + spaces(margin - title.size());
  for (std::size_t c = 0; c < columns.size(); ++c) {
    text += "  " + coloured(columns[c].name, kColours[c % kColours.size()], style);
    if (c + 1 < columns.size()) text += spaces(full - std::min(full, columns[c].name.size()));
  }
  text += '\n';
  for (std::size_t i = 0; i < labels.size(); ++i) {
    text += spaces(margin - labels[i].size()) + labels[i];
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const double v = columns[c].values[i];
      const auto [drawn, width] = bar(most > 0 ? room * v / most : 0, style);
      const std::string figure = v > 0 ? number(v) : "";
      text += "  " + coloured(drawn, kColours[c % kColours.size()], style) + figure;
      if (c + 1 < columns.size()) text += spaces(full - width - figure.size());
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  return text;
}

}  // namespace posetape::tools
