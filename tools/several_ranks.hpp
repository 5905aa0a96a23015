// One program as several processes (engine/ranks/ranks.hpp): the first speaks, all end together.
#pragma once

#include <string>

namespace posetape::tools {

// To be called first: joins the others, where mpirun has started some. From then on only what the
// first one prints is seen.
void join_ranks();

// Once the command line is read, and before a file is written: throws Error where the ranks have
// not the same program, options and input, with what differs.
void check_ranks(const std::string& version, int argc, char** argv);

// Says on standard error what has failed, and ends the other ranks. Returns the exit code, 1.
int failed(const char* what);

}  // namespace posetape::tools
