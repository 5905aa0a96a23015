#include "tests/emulation/support.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace posetape::test {

std::optional<Child> in_child() {
  if (std::getenv("POSETAPE_EMULATION_CHILD") != nullptr) return std::nullopt;
  const std::string name = doctest::getContextOptions()->currentTest->m_name;
  // By its path, and not as /proc/self/exe, which would be the shell.
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self);
  REQUIRE(length > 0);
  const std::string command = "POSETAPE_EMULATION_CHILD=1 '" +
                              std::string(self, static_cast<std::size_t>(length)) +
                              "' '--test-case=" + name + "' 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  Child child;
  char text[4096];
  while (std::fgets(text, sizeof text, pipe) != nullptr) child.output += text;
  const int status = pclose(pipe);
  child.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  REQUIRE_FALSE(contains(child.output, "test cases: 0"));  // a comma in a name separates names
  return child;
}

}  // namespace posetape::test
