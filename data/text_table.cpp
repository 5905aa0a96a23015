#include "data/text_table.hpp"

#include <algorithm>

namespace posetape::data {
namespace {

// Columns that a cell takes on a terminal: not its escape codes, and one for each UTF-8 sequence.
std::size_t width(const std::string& text) {
  std::size_t columns = 0;
  bool escape = false;
  for (const char c : text) {
    if (c == '\x1b') escape = true;
    if (!escape && (c & 0xC0) != 0x80) ++columns;
    if (c == 'm') escape = false;
  }
  return columns;
}

}  // namespace

std::string text_table(const std::vector<std::vector<std::string>>& rows, std::size_t left) {
  std::vector<std::size_t> widths(rows[0].size(), 0);
  for (const auto& row : rows) {
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width(row[c]));
  }
  std::string text;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < rows[r].size(); ++c) {
      const std::string padding(widths[c] - width(rows[r][c]), ' ');
      if (c > 0) text += "  ";
      text += c < left ? rows[r][c] + padding : padding + rows[r][c];
    }
    text += '\n';
    if (r > 0) continue;
    for (std::size_t c = 0; c < widths.size(); ++c) {
      text += std::string(c == 0 ? 0 : 2, ' ') + std::string(widths[c], '-');
    }
    text += '\n';
  }
  return text;
}

}  // namespace posetape::data
