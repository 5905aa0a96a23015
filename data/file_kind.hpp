// What a file is, told from its first bytes, for messages to those who gave the wrong one.
#pragma once

#include <initializer_list>
#include <string>

namespace posetape::data {

enum class FileKind {
  npz,          // a zip archive of npy arrays
  npy,          // a single array
  safetensors,  // a network's weights
  torch,        // a checkpoint of PyTorch, of either format
  zip,          // any other archive
  json,         // one value, or one a line
  motion,       // of a format in data/motion_format.hpp
  text,         // any other text
  empty,
  folder,
  unknown,  // also: missing, not readable, damaged
};

FileKind file_kind(const std::string& path);

// Throws Error, saying what the file is and what to do, where it certainly is none of `expected`,
// which are called `what` ("a dataset (.npz)"). A file that is missing, damaged or unknown is for
// its reader to explain.
void expect_kind(const std::string& path, std::initializer_list<FileKind> expected,
                 const std::string& what);

struct FormatRule;

// The same where it certainly is no file of this format of motion.
void expect_format(const std::string& path, const FormatRule& format);

// What a file is, and what to do, where it is something that is taken for weights: "a gzip archive;
// unpack it first". "" where nothing is known, also of a file that can't be read.
std::string foreign_kind(const std::string& path);

}  // namespace posetape::data
