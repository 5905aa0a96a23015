#include "tools/command_line.hpp"

#include <CLI/CLI.hpp>
#include <array>
#include <optional>
#include <utility>

#include "kernels/base/error.hpp"

namespace posetape::tools {
namespace {

// CLI11 says where a text was wrong, and how to get help.
template <class F>
void called(const std::string& where, const F& f) {
  try {
    f();
  } catch (const WrongUsage& error) {
    throw CLI::ValidationError(where, error.what());
  }
}

// CLI11's own print the largest double as the other end.
CLI::Validator number(const char* name, const char* expected, bool (*good)(double)) {
  return CLI::Validator(
      [expected, good](const std::string& text) {
        double x = 0;
        const bool is_number = CLI::detail::lexical_cast(text, x);
        return is_number && good(x)
                   ? std::string()
                   : "expected a number " + std::string(expected) + ", found " + text;
      },
      name);
}

}  // namespace

Option Option::required() const {
  option_->required();
  return *this;
}
Option Option::show_default() const {
  option_->capture_default_str();
  return *this;
}
Option Option::show_default(const std::string& text) const {
  option_->default_str(text);
  return *this;
}
Option Option::list() const {
  option_->delimiter(',');
  return *this;
}
Option Option::values(int least, int most) const {
  option_->expected(least, most);
  return *this;
}
Option Option::excludes(const Option& other) const {
  option_->excludes(other.option_);
  return *this;
}
Option Option::help(const std::string& text) const {
  option_->description(text);
  return *this;
}
Option Option::type(const std::string& name) const {
  option_->type_name(name);
  return *this;
}
Option Option::range(int least, int most) const {
  option_->check(CLI::Range(least, most));
  return *this;
}
Option Option::range(std::int64_t least, std::int64_t most) const {
  option_->check(CLI::Range(least, most));
  return *this;
}
Option Option::range(double least, double most) const {
  option_->check(CLI::Range(least, most));
  return *this;
}
Option Option::positive() const {
  option_->check(number("POSITIVE", "above 0", [](double x) { return x > 0; }));
  return *this;
}
Option Option::not_negative() const {
  option_->check(number("NONNEGATIVE", "from 0 on", [](double x) { return x >= 0; }));
  return *this;
}
Option Option::check(std::function<void(const std::string&)> checks) const {
  option_->check([checks = std::move(checks)](const std::string& text) -> std::string {
    try {
      checks(text);
    } catch (const WrongUsage& error) {
      return error.what();
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  });
  return *this;
}
std::size_t Option::count() const {
  return option_->count();
}
std::string Option::name() const {
  return option_->get_positional() ? option_->get_name(true) : option_->get_name();
}

Command Command::add_command(const std::string& name, const std::string& help) const {
  return Command(app_->add_subcommand(name, help));
}
Command Command::add_group(const std::string& name, const std::string& help) const {
  CLI::App* group = app_->add_subcommand(name, help);
  group->require_subcommand(1);
  return Command(group);
}

template <class T>
Option Command::add_option(const std::string& name, T& value, const std::string& help) const {
  return Option(app_->add_option(name, value, help));
}
Option Command::add_text(const std::string& name, std::function<void(const std::string&)> set,
                         const std::string& help) const {
  return Option(app_->add_option_function<std::string>(
      name,
      [name, set = std::move(set)](const std::string& text) { called(name, [&] { set(text); }); },
      help));
}
Option Command::add_flag(const std::string& name, bool& value, const std::string& help) const {
  return Option(app_->add_flag(name, value, help));
}
Option Command::add_flag(const std::string& name, std::function<void(bool)> set,
                         const std::string& help) const {
  return Option(app_->add_flag_function(
      name, [set = std::move(set)](std::int64_t given) { set(given > 0); }, help));
}

std::size_t Command::count(const std::string& name) const {
  return app_->count(name);
}
void Command::footer(const std::string& text) const {
  app_->footer(text);
}
void Command::runs(std::function<void()> f) const {
  app_->callback(std::move(f));
}

int run_program(const std::string& name, const std::string& help, const std::string& version,
                const std::function<void(Command)>& add, const std::function<void()>& before,
                int argc, char** argv) {
  CLI::App app{help};
  app.name(name);
  app.set_version_flag("--version", version);
  app.require_subcommand(1);
  add(Command(&app));
  app.parse_complete_callback(before);
  try {
    app.parse(argc, argv);
  } catch (const Exit& exit) {
    return exit.code;
  } catch (const WrongUsage& error) {
    app.exit(CLI::ValidationError(error.what()));
    return 2;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return 0;
}

template Option Command::add_option(const std::string&, bool&, const std::string&) const;
template Option Command::add_option(const std::string&, int&, const std::string&) const;
template Option Command::add_option(const std::string&, std::int64_t&, const std::string&) const;
template Option Command::add_option(const std::string&, std::uint64_t&, const std::string&) const;
template Option Command::add_option(const std::string&, double&, const std::string&) const;
template Option Command::add_option(const std::string&, std::string&, const std::string&) const;
template Option Command::add_option(const std::string&, std::array<std::int32_t, 2>&,
                                    const std::string&) const;
template Option Command::add_option(const std::string&, std::vector<int>&,
                                    const std::string&) const;
template Option Command::add_option(const std::string&, std::vector<std::string>&,
                                    const std::string&) const;
template Option Command::add_option(const std::string&, std::vector<double>&,
                                    const std::string&) const;
template Option Command::add_option(const std::string&, std::optional<double>&,
                                    const std::string&) const;
template Option Command::add_option(const std::string&, std::optional<int>&,
                                    const std::string&) const;
template Option Command::add_option(const std::string&, std::optional<std::int64_t>&,
                                    const std::string&) const;
template Option Command::add_option(const std::string&, std::optional<std::string>&,
                                    const std::string&) const;

}  // namespace posetape::tools
