// Text, line by line.
#pragma once

#include <string>
#include <vector>

namespace posetape::tools {

// Without a last one that nothing ends.
inline std::vector<std::string> complete_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    lines.push_back(text.substr(begin, end - begin));
  }
  return lines;
}

}  // namespace posetape::tools
