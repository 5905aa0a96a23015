// posetape: the command line. Exit code 0 on success, 2 on wrong usage, 1 on failure with one line,
// 128 and the signal of a training that was stopped.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>

#include "engine/atomic_file.hpp"
#include "engine/ranks/ranks.hpp"
#include "kernels/base/dispatch.hpp"
#include "tools/commands.hpp"
#include "tools/files.hpp"
#include "tools/several_ranks.hpp"

namespace {

void end(int signal) {
  posetape::remove_temporary_files();
  posetape::tools::discard_waiting_output();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

int main(int argc, char** argv) {
  // A log that is followed shows each line when it is written.
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  // What is half written goes with the process. (What ignores a signal from outside, as under
  // nohup, goes on doing so.)
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (std::signal(signal, end) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
  // A limit on the size of files is a disk that is full: an error, with its file, and no signal.
  std::signal(SIGXFSZ, SIG_IGN);
  int code = 0;
  try {
    posetape::tools::join_ranks();
    code = posetape::tools::run_program(
        "posetape", "Trains and runs D3PRefiner, a diffusion model that denoises 3D human poses.",
        POSETAPE_VERSION, posetape::tools::add_commands,
        [&] {
          // POSETAPE_ISA may want kernels that are not there: before that is a file's error.
          posetape::cpu_isa();
          posetape::tools::check_ranks(POSETAPE_VERSION, argc, argv);
          posetape::tools::open_files();
        },
        argc, argv);
    posetape::tools::close_files();
  } catch (const std::exception& error) {
    code = posetape::tools::failed(error.what());
  }
  // A full disk shows here at the latest.
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.flush();
  if (!written && code == 0) {
    code = posetape::tools::failed("standard output: cannot be written; check the disk");
  }
  posetape::ranks().finish();
  return code;
}
