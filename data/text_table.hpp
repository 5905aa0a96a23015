// Tables of plain text for terminals and logs.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace posetape::data {

// Columns two spaces apart, the first `left` of them left aligned, the others right; a rule below
// the header, which is the first row. Colours (ANSI escape codes) in a cell take no space.
std::string text_table(const std::vector<std::vector<std::string>>& rows, std::size_t left = 1);

}  // namespace posetape::data
