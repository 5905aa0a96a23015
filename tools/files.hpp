// The files that a command line names. They are declared with the command's options and looked at
// in one place, after parsing and before the command starts:
//
//   - an output that is an input, by whatever name or link, is refused, as are two outputs that are
//     one file: nothing that was given is lost, and nothing was begun;
//   - an output that cannot be written (no such folder, no permission) is refused before the work;
//   - "-" is standard input or standard output; a pipe, a socket or a device is read or written
//     as a whole. Formats that need seeking work too, since what is piped is kept in memory
//     (inputs) or in a temporary file (outputs). When standard output carries data, all that
//     commands print goes to standard error.
#pragma once

#include <functional>
#include <string>
#include <vector>
#include "tools/command_line.hpp"

namespace posetape::tools {

// Options (or positional arguments) that name files to read.
Option add_input(const Command& command, const std::string& name, std::string& path,
                 const std::string& help);
Option add_input(const Command& command, const std::string& name, std::vector<std::string>& paths,
                 const std::string& help);
// A folder of which files with these endings (lower case, ".bvh") are read, or one file.
Option add_input_folder(const Command& command, const std::string& name, std::string& path,
                        const std::string& help, std::vector<std::string> endings,
                        bool or_file = false);

struct OutputRules {
  bool stream = true;   // may be standard output, a pipe or a device
  bool folder = false;  // may be a folder, which the command makes
  // Files that the command writes beside it.
  std::function<std::vector<std::string>()> beside = {};
};
Option add_output(const Command& command, const std::string& name, std::string& path,
                  const std::string& help, OutputRules rules = {});

// The files and folders that are read.
std::vector<std::string> input_paths();

// Does all of the above with what was parsed; paths that are streams are replaced. Throws
// Exit after saying what is wrong with the command line, and Error where an output
// cannot be written.
void open_files();

// Passes on what was written for standard output, pipes and devices, after a command that has
// succeeded. Throws Error where that fails.
void close_files();

// Removes what waits to be passed on, for a signal handler that ends the process.
void discard_waiting_output() noexcept;

// Refuses, as open_files() does, an output whose name the command has made itself.
void check_output(const std::string& path);

// A path as the user gave it, "standard input" or "standard output".
std::string shown(const std::string& path);
// A text in which paths may stand, such as an error's.
std::string shown_text(std::string text);
// Whether a path stands for standard input, standard output, a pipe or a device.
bool is_stream(const std::string& path);

}  // namespace posetape::tools
