// A dataset of motion in files of one format, as `posetape prepare FORMAT` makes it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/motion_format.hpp"
#include "data/prepare.hpp"

namespace posetape::data {

// `path` is a file; or a folder of files, which are then of one subject named after the folder; or
// a folder of folders, one a subject. Sequences are sorted by name and named <subject>/<file
// without ending>/<camera>. `notes` gets a line for each choice that the files left, with the file
// or files that it was made for. Throws Error with the file for anything that cannot be read, and
// for unknown subjects and cameras.
Dataset prepare_motion(const FormatRule& format, const std::filesystem::path& path,
                       const PrepareOptions& options, const MotionOptions& motion, Notes& notes);

}  // namespace posetape::data
