// Which of a file's joints or markers the 17 joints are, as a user says it in a text file:
//
//     # our joint = a name in the file, or several whose mean it is
//     RHip   = R_Hip_Joint
//     Hip    = LASI, RASI, LPSI, RPSI
//
// Joints that are not in it are found by their names.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.hpp"

namespace posetape::data {

struct JointsMap {
  std::string file;
  std::array<std::vector<std::string>, kJoints> names;
};

// Both throw Error with file, line, what was expected and what is there.
JointsMap parse_joints_map(std::string_view text, const std::string& file);
JointsMap read_joints_map(const std::filesystem::path& file);

}  // namespace posetape::data
