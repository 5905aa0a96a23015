#include "engine/atomic_file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/data/files.hpp"

using namespace posetape;
using namespace posetape::test;

namespace {

// Lets no file grow beyond `bytes`: the nearest thing to a full disk that needs no rights.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit old_{};
  void (*handler_)(int);
};

unsigned permissions(const std::string& path) {
  struct stat status {};
  stat(path.c_str(), &status);
  return status.st_mode & 0777;
}

}  // namespace

TEST_CASE("a committed file holds what was written, in order and after a seek") {
  const TemporaryDirectory directory;
  AtomicFile file(directory.file("a"));
  file.write("....world");
  CHECK(file.position() == 9);
  file.seek(0);
  file.write("hi, ");
  CHECK_FALSE(std::filesystem::exists(directory.file("a")));
  file.commit();
  CHECK(read_all(directory.file("a")) == "hi, world");
  CHECK(directory.count() == 1);
}

TEST_CASE("without a commit the old file stays and the temporary one goes") {
  const TemporaryDirectory directory;
  write_all(directory.file("a"), "old");
  {
    AtomicFile file(directory.file("a"));
    file.write("new");
    CHECK(directory.count() == 2);
  }
  CHECK(read_all(directory.file("a")) == "old");
  CHECK(directory.count() == 1);
}

TEST_CASE("what a process that was killed has left of the same file goes with the next write") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a");
  // A process that has ended and been waited for: its number is nobody's.
  const pid_t dead = fork();
  if (dead == 0) _exit(0);
  waitpid(dead, nullptr, 0);
  const auto left = [&](const std::string& name, auto pid, const std::string& end) {
    const std::string file = directory.file(fmt::format("{}.tmp-{}{}", name, pid, end));
    write_all(file, "half");
    return file;
  };
  const std::vector<std::string> stale = {left("a", dead, "-0"), left("a", dead, "-17"),
                                          left("a", getpid(), "-4000000000")};
  // Of a process that is alive, of other files, and names that only look like it.
  const std::vector<std::string> kept = {left("a", 1, "-0"),
                                         left("b", dead, "-0"),
                                         left("aa", dead, "-0"),
                                         left("a", dead, ""),
                                         left("a", dead, "-"),
                                         left("a", dead, "-0x"),
                                         left("a", "", "-0"),
                                         left("a", -dead, "-0"),
                                         left("a", "x", "-0"),
                                         left("a", dead, "-0.bak"),
                                         left("a", "99999999999999999999", "-0")};
  // One that a process elsewhere is writing: its number is nobody's here, but the file is locked.
  const std::string elsewhere = left("a", dead, "-1");
  const int lock = open(elsewhere.c_str(), O_RDONLY);
  REQUIRE(flock(lock, LOCK_EX | LOCK_NB) == 0);

  write_file(path, "new");
  for (const std::string& file : stale) CHECK_MESSAGE(!std::filesystem::exists(file), file);
  for (const std::string& file : kept) CHECK_MESSAGE(std::filesystem::exists(file), file);
  CHECK(std::filesystem::exists(elsewhere));
  CHECK(read_all(path) == "new");
  close(lock);
}

TEST_CASE("a signal handler can remove what is half written") {
  const TemporaryDirectory directory;
  AtomicFile first(directory.file("a"));
  {
    const AtomicFile second(directory.file("b"));
    CHECK(directory.count() == 2);
  }
  AtomicFile committed(directory.file("c"));
  committed.commit();
  remove_temporary_files();
  CHECK(directory.count() == 1);
  CHECK(std::filesystem::exists(directory.file("c")));
}

TEST_CASE("a full disk keeps the old file, leaves nothing behind and says so") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  write_all(path, "old");
  {
    const FileSizeLimit limit(1000);
    CHECK_MESSAGE_PARTS(write_file(path, std::string(5000, 'x')), path, "cannot be written",
                        "File too large", "free some space");
  }
  CHECK(read_all(path) == "old");
  CHECK(directory.count() == 1);
  write_file(path, std::string(5000, 'x'));
  CHECK(read_all(path).size() == 5000);
}

TEST_CASE("a target that cannot be written is refused before any work") {
  const TemporaryDirectory directory;
  CHECK_MESSAGE_PARTS(AtomicFile(directory.file("no/a")), directory.file("no/a"),
                      "No such file or directory", "make the directory '", "/no' first");
  CHECK_MESSAGE_PARTS(AtomicFile(directory.file("")), "Is a directory", "file in it");
  CHECK_MESSAGE_PARTS(AtomicFile("/dev/full"), "/dev/full", "not a regular file");
  // Nobody may make a file there, not even root.
  CHECK_MESSAGE_PARTS(AtomicFile("/sys/posetape-test"), "/sys/posetape-test",
                      "where you may write");
  write_all(directory.file("a"), "");
  CHECK_MESSAGE_PARTS(AtomicFile(directory.file("a/b")), "Not a directory", "make the directory");
  CHECK(directory.count() == 1);
}

TEST_CASE("a replaced file keeps its permissions, a new one has the usual") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a");
  const mode_t mask = umask(022);
  write_file(path, "1");
  umask(mask);
  CHECK(permissions(path) == 0644);
  chmod(path.c_str(), 0600);
  write_file(path, "2");
  CHECK(permissions(path) == 0600);
  CHECK(read_all(path) == "2");
}

TEST_CASE("through a symbolic link the file behind it is replaced") {
  const TemporaryDirectory directory;
  write_all(directory.file("real"), "old");
  std::filesystem::create_symlink("real", directory.file("link"));
  write_file(directory.file("link"), "new");
  CHECK(std::filesystem::is_symlink(directory.file("link")));
  CHECK(read_all(directory.file("real")) == "new");
}
