#include "tools/several_ranks.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <span>
#include <system_error>
#include <thread>
#include <vector>

#include "engine/crc32.hpp"
#include "engine/error.hpp"
#include "engine/ranks/ranks.hpp"
#include "kernels/base/dispatch.hpp"
#include "tools/files.hpp"
#include "tools/lines.hpp"

namespace posetape::tools {
namespace {

// Where this rank says what has failed, while its standard error is nowhere.
int own_error = STDERR_FILENO;

// What has to be the same on all ranks.
struct Fact {
  std::string what;
  std::string value;
};

// A file's size and the checksum of its first 64 KiB; what a folder holds is not looked at.
std::string contents(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return "not there";
  if (S_ISDIR(status.st_mode)) return "a folder";
  std::array<std::byte, 65536> head{};
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const ssize_t n = file < 0 ? 0 : read(file, head.data(), head.size());
  if (file >= 0) close(file);
  const auto size = static_cast<std::size_t>(std::max<ssize_t>(n, 0));
  return fmt::format("{} bytes, checksum {:08x}", status.st_size,
                     crc32(std::span(head).first(size)));
}

std::vector<Fact> facts(const std::string& version, int argc, char** argv) {
  std::string options;
  for (int i = 1; i < argc; ++i) options += fmt::format("{}{}", i > 1 ? " " : "", argv[i]);
  std::vector<Fact> all{{"version", version},
                        {"program", contents("/proc/self/exe")},
                        {"instruction set (POSETAPE_ISA)", name(cpu_isa())},
                        {"command line", options}};
  for (const std::string& path : input_paths()) all.push_back({path, contents(path)});
  return all;
}

}  // namespace

void join_ranks() {
  std::error_code none;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", none).parent_path();
  posetape::join_ranks({(self / "../libexec/posetape").lexically_normal().string(),
                        (self / "../engine").lexically_normal().string()});
  if (ranks().writes()) return;
  std::fflush(stdout);
  own_error = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  dup2(nowhere, STDOUT_FILENO);
  dup2(nowhere, STDERR_FILENO);
  close(nowhere);
}

void check_ranks(const std::string& version, int argc, char** argv) {
  if (ranks().alone()) return;
  for (const std::string& path : input_paths()) {
    if (path == "-") fail("standard input: goes to one of {} ranks; name a file", ranks().size());
  }
  // All ranks have to make the same calls, whatever each has been given.
  std::string here;
  for (const Fact& fact : facts(version, argc, argv)) here += fact.what + '\n' + fact.value + '\n';
  const std::vector<std::string> all = ranks().gather(here);
  for (std::size_t r = 1; r < all.size(); ++r) {
    if (all[r] == all[0]) continue;
    const std::vector<std::string> first = complete_lines(all[0]);
    const std::vector<std::string> other = complete_lines(all[r]);
    const auto [a, b] = std::ranges::mismatch(first, other);
    const auto at = (a - first.begin()) / 2 * 2;
    const auto text = [&](const std::vector<std::string>& l, std::ptrdiff_t i) {
      return i < std::ssize(l) ? l[static_cast<std::size_t>(i)] : std::string("nothing");
    };
    fail("{}: {} on rank 0, {} on rank {}; give all ranks the same program, options and input",
         text(first, at), text(first, at + 1), text(other, at + 1), r);
  }
}

int failed(const char* what) {
  const std::string text = shown_text(what);
  if (ranks().alone()) {
    fmt::print(stderr, "posetape: {}\n", text);
    return 1;
  }
  // What all of them find is said by the first, which ends the others: that may take a second.
  using std::chrono::milliseconds;
  if (!ranks().writes()) std::this_thread::sleep_for(milliseconds(4000));
  const std::string line = fmt::format("posetape: {} (rank {} of {}, on {})\n", text,
                                       ranks().rank(), ranks().size(), host_name());
  if (write(own_error, line.data(), line.size()) < 0) own_error = -1;
  std::this_thread::sleep_for(milliseconds(300));  // a launcher drops what it has not yet passed on
  ranks().abort(1);
}

}  // namespace posetape::tools
