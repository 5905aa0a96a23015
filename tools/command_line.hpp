// Commands and their options: a face of CLI11, which costs a compiler six seconds wherever it is
// included, and is included in command_line.cpp alone.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace posetape::tools {

// What was typed is wrong: exit code 2, with the way to --help.
class WrongUsage : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The command has said what there is to say, and ends with this exit code.
struct Exit {
  int code;
};

// A handle on an option or a positional argument. Each call returns it, to be followed by another.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option required() const;
  Option show_default() const;  // as it is now, in the help
  Option show_default(const std::string& text) const;
  Option list() const;                         // several values with commas between them
  Option values(int least, int most) const;    // so many of them
  Option excludes(const Option& other) const;  // not both
  Option help(const std::string& text) const;  // instead of what it was added with
  Option type(const std::string& name) const;  // instead of TEXT or INT in the help
  Option range(int least, int most) const;
  Option range(std::int64_t least, std::int64_t most) const;
  Option range(double least, double most) const;
  Option positive() const;
  Option not_negative() const;
  // Throws WrongUsage or Error where the text is not good.
  Option check(std::function<void(const std::string& text)> checks) const;

  std::size_t count() const;  // how often it was given
  std::string name() const;   // as it is typed

 private:
  CLI::Option* option_;
};

// A handle on a command, to which options are added before the command line is read. What they are
// stored in has to live until the command has run.
class Command {
 public:
  explicit Command(CLI::App* app) : app_(app) {}

  Command add_command(const std::string& name, const std::string& help) const;
  // A command that only has commands.
  Command add_group(const std::string& name, const std::string& help) const;

  // T is one of those at the end of command_line.cpp.
  template <class T>
  Option add_option(const std::string& name, T& value, const std::string& help) const;
  // Hands over the text, which `set` may refuse by a WrongUsage.
  Option add_text(const std::string& name, std::function<void(const std::string&)> set,
                  const std::string& help) const;
  Option add_flag(const std::string& name, bool& value, const std::string& help) const;
  Option add_flag(const std::string& name, std::function<void(bool)> set,
                  const std::string& help) const;

  // How often the option was given.
  std::size_t count(const std::string& name) const;
  void footer(const std::string& text) const;
  // What the command does, once all options are read. It may throw WrongUsage and Exit.
  void runs(std::function<void()> f) const;

 private:
  CLI::App* app_;
};

// A whole program. Reads the command line, calls `before`, runs the command, and returns the exit
// code of a command line that was wrong (2) or asked for help (0), or of Exit; throws what the
// command throws.
int run_program(const std::string& name, const std::string& help, const std::string& version,
                const std::function<void(Command)>& add, const std::function<void()>& before,
                int argc, char** argv);

}  // namespace posetape::tools
