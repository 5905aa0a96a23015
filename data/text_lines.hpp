// Text files of words and numbers, line by line, with errors that say where.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "engine/error.hpp"

namespace posetape::data {

// A whole file. Throws Error where it cannot be read.
std::string read_text(const std::filesystem::path& file);

// Text as lines of words. Blank lines and lines that start with '#' are passed over, and so is a
// byte order mark at the start. Both arguments outlive it; `file` is for messages.
class TextLines {
 public:
  TextLines(std::string_view text, const std::string& file) : text_(text), file_(file) {
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
  }

  // Moves to the next line with words; false at the end of the text.
  bool next();

  std::string_view line() const { return line_; }

  // The next word of the line, empty at its end.
  std::string_view word();

  // The next word of the line as a finite number, or `text` as one; `of` is what it stands for.
  double number(std::string_view of);
  double number(std::string_view of, std::string_view text) const;

  // Throws Error "<file>:<line>: expected ...".
  template <class... Args>
  [[noreturn]] void bad(fmt::format_string<Args...> expected, Args&&... args) const {
    fail("{}:{}: expected {}", file_, number_, fmt::format(expected, std::forward<Args>(args)...));
  }

 private:
  std::string_view text_, line_, rest_;
  const std::string& file_;
  std::size_t position_ = 0;
  int number_ = 0;
};

}  // namespace posetape::data
