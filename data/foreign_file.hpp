// Files of other kinds than were asked for, for messages.
#pragma once

#include <string>

namespace posetape::data {

// What a file is by its first bytes, where it is something that is taken for weights: "a gzip
// archive; unpack it first". "" where nothing is known. Throws nothing on files that can't be read.
std::string foreign_kind(const std::string& path);

}  // namespace posetape::data
